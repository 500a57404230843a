package trie

import (
	"bytes"
	"sync"
)

// A Blocklist knows words and phrases that must not be suggested, for [Query.Filter], or to
// keep terms out of a [Builder]. A term is blocked if it contains one of them as whole
// words: "ass" blocks "kick ass", not "assembly". A nil Blocklist blocks nothing. It is
// safe for any number of goroutines.
type Blocklist struct {
	fold    Fold
	phrases map[string][][]byte // by their first word or mark
	pool    sync.Pool           // of *[]byte
}

// NewBlocklist returns a list of phrases, which are folded as terms are. An error is that of
// a phrase that could not be a term.
func NewBlocklist(fold Fold, phrases ...string) (*Blocklist, error) {
	b := &Blocklist{fold: fold, phrases: map[string][][]byte{}}
	for _, p := range phrases {
		key, err := fold.key(nil, p, limitMaxTerm)
		if err != nil {
			return nil, err
		}
		head := string(key[:wordEnd(key, 0)])
		b.phrases[head] = append(b.phrases[head], key)
	}
	return b, nil
}

// Allows reports whether a term may be shown.
func (b *Blocklist) Allows(term string) bool { return !b.Blocks(term) }

// Blocks reports whether a term contains a phrase of the list.
func (b *Blocklist) Blocks(term string) bool {
	if b == nil || len(b.phrases) == 0 {
		return false
	}
	buf, ok := b.pool.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer b.pool.Put(buf)
	*buf = b.fold.append((*buf)[:0], term)
	key := *buf
	for at := 0; at < len(key); {
		end := wordEnd(key, at)
		for _, p := range b.phrases[string(key[at:end])] {
			if rest := key[at:]; bytes.HasPrefix(rest, p) && wordBreak(rest, len(p)) {
				return true
			}
		}
		at = end
	}
	return false
}
