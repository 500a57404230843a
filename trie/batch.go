package trie

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
)

// batch holds what was added, in the order in which it came, and sorts it when asked: a
// slice of bytes for the texts and a slice of references, so that the garbage collector
// has nothing to follow in it.
//
// It is sorted eight bytes at a time: a reference carries the next eight bytes of its key
// as a number, so that most comparisons touch no text; those that agree in them are
// sorted again by the eight that follow.
type batch struct {
	text []byte // entries: uvarint key, uvarint show, score u64, key, show
	refs []ref
	done bool // refs are in order
}

type ref struct {
	word uint64 // big-endian
	at   uint64 // position in text
}

func (b *batch) bytes() int64 { return int64(len(b.text)) + int64(len(b.refs))*16 }

func (b *batch) reset() { b.text, b.refs, b.done = b.text[:0], b.refs[:0], false }

func (b *batch) add(key []byte, show string, score uint64) {
	b.done = false
	b.refs = append(b.refs, ref{at: uint64(len(b.text))})
	b.text = binary.AppendUvarint(b.text, uint64(len(key)))
	b.text = binary.AppendUvarint(b.text, uint64(len(show)))
	b.text = binary.LittleEndian.AppendUint64(b.text, score)
	b.text = append(b.text, key...)
	b.text = append(b.text, show...)
}

func (b *batch) item(r ref) item {
	n, at := uvarint(b.text, int(r.at))
	m, at := uvarint(b.text, at)
	score := binary.LittleEndian.Uint64(b.text[at:])
	at += 8
	mid := at + int(n)
	return item{b.text[at:mid:mid], b.text[mid : mid+int(m)], score}
}

func (b *batch) key(r ref) []byte { return b.item(r).key }

// sorted iterates over the items in order, those of equal key and form as one.
func (b *batch) sorted() iter.Seq2[item, error] {
	if !b.done {
		b.sort(b.refs, 0)
		b.done = true
	}
	return b.span(0, len(b.refs))
}

// sample iterates over runs of neighbouring items, evenly spread.
func (b *batch) sample(runs, length int) iter.Seq2[item, error] {
	all := b.sorted()
	if len(b.refs) < 2*runs*length {
		return all
	}
	return func(yield func(item, error) bool) {
		for i := range runs {
			from := int(int64(len(b.refs)-length) * int64(i) / int64(runs))
			for t, err := range b.span(from, from+length) {
				if !yield(t, err) {
					return
				}
			}
		}
	}
}

// span iterates over the refs from lo to hi, which are sorted by key.
func (b *batch) span(lo, hi int) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for i := lo; i < hi; {
			first := b.item(b.refs[i])
			j := i + 1
			for j < hi && bytes.Equal(b.key(b.refs[j]), first.key) {
				j++
			}
			if j > i+1 {
				slices.SortFunc(b.refs[i:j], func(x, y ref) int { return bytes.Compare(b.item(x).show, b.item(y).show) })
				first = b.item(b.refs[i])
			}
			for k := i + 1; k < j; k++ {
				next := b.item(b.refs[k])
				if bytes.Equal(next.show, first.show) {
					first.score = addSaturating(first.score, next.score)
					continue
				}
				if !yield(first, nil) {
					return
				}
				first = next
			}
			if !yield(first, nil) {
				return
			}
			i = j
		}
	}
}

// sort orders refs whose keys agree in their first depth bytes.
func (b *batch) sort(refs []ref, depth int) {
	for len(refs) > 1 {
		for i := range refs {
			refs[i].word = word(b.key(refs[i]), depth)
		}
		slices.SortFunc(refs, func(x, y ref) int {
			if x.word != y.word {
				if x.word < y.word {
					return -1
				}
				return 1
			}
			return 0
		})
		if refs[0].word == refs[len(refs)-1].word {
			refs, depth = b.ended(refs, depth), depth+8
			continue
		}
		for i := 0; i < len(refs); {
			j := i + 1
			for j < len(refs) && refs[j].word == refs[i].word {
				j++
			}
			if j > i+1 {
				b.sort(b.ended(refs[i:j], depth), depth+8)
			}
			i = j
		}
		return
	}
}

// ended moves the keys that end within the eight bytes at depth to the front, the shorter
// first, and returns the others. Such keys agree but for NUL bytes at their ends.
func (b *batch) ended(refs []ref, depth int) []ref {
	n := 0
	for i := range refs {
		if len(b.key(refs[i])) <= depth+8 {
			refs[n], refs[i] = refs[i], refs[n]
			n++
		}
	}
	slices.SortFunc(refs[:n], func(x, y ref) int { return len(b.key(x)) - len(b.key(y)) })
	return refs[n:]
}

// word is eight bytes of key from depth on, zeros behind its end.
func word(key []byte, depth int) uint64 {
	if depth+8 <= len(key) {
		return binary.BigEndian.Uint64(key[depth:])
	}
	var x uint64
	for i := depth; i < len(key); i++ {
		x |= uint64(key[i]) << (56 - 8*(i-depth))
	}
	return x
}
