package trie

import (
	"bytes"
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold is how terms and prefixes are made comparable. Terms that fold alike are one term;
// it is shown in the form that has the highest score.
type Fold uint8

const (
	// FoldDefault ignores case and the differences between compatible forms: NFKC and
	// Unicode case folding, so that "Ｎｅｗ YORK" is found by "new y" and "STRASSE" is
	// "straße". It does not remove accents.
	FoldDefault Fold = iota
	// FoldNone compares bytes.
	FoldNone
)

// aliasMark separates, in the key of a word-start alias, what it is found by from what
// stands before that in the term: "york\xffnew " stands for "new york". The byte occurs in
// no UTF-8 text.
const aliasMark = 0xff

const (
	defaultMaxTerm = 1 << 10
	limitMaxTerm   = 1 << 16
	maxPrefix      = 1 << 20 // bytes of a prefix that are worth folding; no term is as long
)

// append appends s, folded, to dst. s is valid UTF-8.
func (f Fold) append(dst []byte, s string) []byte {
	if f == FoldNone {
		return append(dst, s...)
	}
	start := len(dst)
	for i := range len(s) {
		b := s[i]
		if b >= utf8.RuneSelf {
			return foldUnicode(dst[:start], s)
		}
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}

// foldUnicode composes and folds until neither changes anything: folding may leave text
// that composes, and composing text that folds.
func foldUnicode(dst []byte, s string) []byte {
	start := len(dst)
	dst = norm.NFKC.AppendString(dst, s)
	for range 4 {
		end := len(dst)
		dst = appendFolded(dst, start, end)
		same := bytes.Equal(dst[start:end], dst[end:])
		dst = slices.Delete(dst, start, end)
		normal := norm.NFKC.IsNormal(dst[start:])
		if same && normal {
			break
		}
		if !normal {
			end = len(dst)
			dst = norm.NFKC.Append(dst, dst[start:end]...)
			dst = slices.Delete(dst, start, end)
		}
	}
	return dst
}

// appendFolded appends dst[from:to] with every rune folded.
func appendFolded(dst []byte, from, to int) []byte {
	for from < to {
		r, n := utf8.DecodeRune(dst[from:to])
		from += n
		switch r {
		case 'ß', 'ẞ':
			dst = append(dst, "ss"...)
		default:
			dst = utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
		}
	}
	return dst
}

// key checks a term and appends its key to dst.
func (f Fold) key(dst []byte, term string, maxBytes int) ([]byte, error) {
	if term == "" {
		return dst, ErrEmptyTerm
	}
	if len(term) > maxBytes {
		return dst, ErrTermTooLong
	}
	if !utf8.ValidString(term) {
		return dst, ErrInvalidUTF8
	}
	start := len(dst)
	dst = f.append(dst, term)
	if len(dst) == start {
		return dst, ErrEmptyTerm
	}
	if len(dst)-start > limitMaxTerm {
		return dst[:start], ErrTermTooLong
	}
	return dst, nil
}

// query folds a prefix into dst; false if no term can begin with it.
func (f Fold) query(dst []byte, prefix string) ([]byte, bool) {
	if len(prefix) > maxPrefix || !utf8.ValidString(prefix) {
		return dst, false
	}
	return f.append(dst, prefix), true
}

// wordStarts calls yield for the position of every word of key but the first.
func wordStarts(key []byte, yield func(int)) {
	inside := true // a term that begins with a mark has no word before its first
	first := true
	for i := 0; i < len(key); {
		r, n := utf8.DecodeRune(key[i:])
		word := wordRune(r)
		if word && !inside && !first {
			yield(i)
		}
		inside, first = word, false
		i += n
	}
}

// appendAlias appends the alias of key by which the word at is found.
func appendAlias(dst, key []byte, at int) []byte {
	dst = append(dst, key[at:]...)
	dst = append(dst, aliasMark)
	return append(dst, key[:at]...)
}

// foundBefore reports whether key begins with prefix at a word before position at, so that
// its alias for at says nothing new.
func foundBefore(key, prefix []byte, at int) bool {
	if bytes.HasPrefix(key, prefix) {
		return true
	}
	found := false
	wordStarts(key[:at], func(i int) {
		found = found || bytes.HasPrefix(key[i:], prefix)
	})
	return found
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// wordEnd is where the word, or else the single rune, ends that begins at from.
func wordEnd(key []byte, from int) int {
	r, n := utf8.DecodeRune(key[from:])
	at := from + n
	for wordRune(r) && at < len(key) {
		next, n := utf8.DecodeRune(key[at:])
		if !wordRune(next) {
			break
		}
		at += n
	}
	return at
}

// wordBreak reports whether no word goes on across position at.
func wordBreak(key []byte, at int) bool {
	before, _ := utf8.DecodeLastRune(key[:at])
	after, _ := utf8.DecodeRune(key[at:])
	return at == len(key) || !wordRune(before) || !wordRune(after)
}
