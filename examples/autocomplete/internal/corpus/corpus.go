// Package corpus reads what a service that nobody has asked yet may suggest: names and
// phrases of Go sources, which every machine with Go has, or a file of terms and counts.
package corpus

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrTerms is matched by what is wrong with a file of terms.
var ErrTerms = errors.New("autocomplete: bad file of terms")

// Counts is how often each term was seen.
type Counts map[string]uint64

// All iterates over the terms in no order.
func (c Counts) All() iter.Seq2[string, uint64] { return maps.All(c) }

// maxWords is the length of the longest phrase that is counted.
const maxWords = 3

// GoSources counts the names ("ReadFile", "os.ReadFile") and the phrases of comments, of
// one to three words, in the Go files below root. Commands, tests and test data are left
// out, and so is what occurs less than five times.
func GoSources(ctx context.Context, root string) (Counts, error) {
	c := Counts{}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (name == "testdata" || name == "vendor" || name == "cmd") {
				return fs.SkipDir
			}
			return ctx.Err()
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		c.file(source)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if files == 0 {
		return nil, fmt.Errorf("%w: no Go files below %s", ErrTerms, root)
	}
	const least = 5
	maps.DeleteFunc(c, func(_ string, n uint64) bool { return n < least })
	return c, nil
}

// file counts one source. One that does not scan is counted as far as it does.
func (c Counts) file(source []byte) {
	var s scanner.Scanner
	set := token.NewFileSet()
	s.Init(set.AddFile("", -1, len(source)), source, nil, scanner.ScanComments)
	var name, last string // the identifier before the last token, and whether that was a dot
	for {
		_, tok, text := s.Scan()
		switch tok {
		case token.EOF:
			return
		case token.COMMENT:
			c.phrases(text)
		case token.IDENT:
			if len(text) > 2 {
				c[text]++
			}
			if last == "." && name != "" && len(text) > 2 {
				c[name+"."+text]++
			}
			name = text
		case token.PERIOD:
		default:
			name = ""
		}
		last = ""
		if tok == token.PERIOD {
			last = "."
		}
	}
}

// phrases counts the runs of up to maxWords words that no punctuation divides.
func (c Counts) phrases(comment string) {
	if strings.HasPrefix(comment, "//go:") || strings.Contains(comment, "Copyright") {
		return
	}
	var starts [maxWords]int // where the last words began in run
	run, words := make([]byte, 0, 256), 0
	var word []byte
	end := func(stop bool) {
		if len(word) > 0 {
			if len(run) > 0 {
				run = append(run, ' ')
			}
			copy(starts[:], starts[1:])
			starts[maxWords-1] = len(run)
			run = append(run, word...)
			words++
			for n := 1; n <= min(words, maxWords); n++ {
				if phrase := run[starts[maxWords-n]:]; len(phrase) > 2 {
					c[string(phrase)]++
				}
			}
			word = word[:0]
		}
		if stop {
			run, words = run[:0], 0
		}
	}
	for _, r := range comment {
		switch {
		case unicode.IsLetter(r) || r == '\'' && len(word) > 0:
			word = utf8.AppendRune(word, unicode.ToLower(r))
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			end(false)
		case r == '-' && len(word) > 0:
			word = append(word, '-')
		default:
			end(true)
		}
	}
	end(true)
}

// Bounds of a file of terms.
const (
	maxLine  = 64 << 10
	maxTerms = 50_000_000
)

// ReadFile reads a file of terms, which may be compressed with gzip: on each line a term,
// a tab, and a count; a space may stand for the tab. Further columns are left alone if
// there are tabs. A term that comes twice counts for the sum.
func ReadFile(path string) (Counts, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTerms, err)
	}
	defer f.Close()
	c, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Read is ReadFile for a stream.
func Read(r io.Reader) (Counts, error) {
	b := bufio.NewReader(r)
	if magic, _ := b.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTerms, err)
		}
		b = bufio.NewReader(z)
	}
	c := Counts{}
	lines := bufio.NewScanner(b)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimSuffix(lines.Text(), "\r")
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if text == "" {
			continue
		}
		term, count, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrTerms, n, err)
		}
		c[term] = addUp(c[term], count)
		if len(c) > maxTerms {
			return nil, fmt.Errorf("%w: more than %d terms", ErrTerms, maxTerms)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: line %d: %w", ErrTerms, n+1, err)
	}
	if len(c) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrTerms)
	}
	return c, nil
}

func parse(line string) (term string, count uint64, err error) {
	term, rest, tab := strings.Cut(line, "\t")
	if tab {
		rest, _, _ = strings.Cut(rest, "\t")
	} else if at := strings.LastIndexByte(line, ' '); at > 0 {
		term, rest = line[:at], line[at+1:]
	}
	if term == "" || !utf8.ValidString(term) {
		return "", 0, errors.New("needs a term of valid UTF-8")
	}
	count, err = strconv.ParseUint(rest, 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("needs a count after the term %.40q", term)
	}
	return term, count, nil
}

// addUp adds, and stops at the greatest number.
func addUp(a, b uint64) uint64 {
	if s := a + b; s >= a {
		return s
	}
	return ^uint64(0)
}
