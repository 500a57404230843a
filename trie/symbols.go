package trie

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// Labels are written in symbols: a table, trained on the terms themselves, of up to 255
// strings of one to eight bytes that are frequent in labels. A label byte is the code of
// a symbol, or 255 and then a byte as it is:
//
//	"rary function"  ─▶  [ra][ry][ f][unc][tion]      13 bytes ─▶ 5
//
// Decoding is one load and one unaligned store of eight bytes per symbol, of which the
// symbol's length then counts, so that it costs about what a copy does.
// Source: Boncz, Neumann, Leis, "FSST: Fast Random Access String Compression" (2020).
// The difference is in the encoder: labels are short and written once, so it takes the
// shortest encoding instead of the greedy one.

const (
	maxSymbols = 255
	maxSymbol  = 8 // bytes
	escape     = 255
	codeSlack  = maxSymbol // what decode may write behind the end of what it appends
)

// symbols is a trained table. The zero table has no symbol and escapes every byte.
type symbols struct {
	n    int
	text [256]uint64 // little-endian, zero-padded
	size [256]uint8
}

// appendDecoded appends the text of codes to dst.
func (t *symbols) appendDecoded(dst, codes []byte) []byte {
	for i := 0; i < len(codes); i++ {
		c := codes[i]
		if c == escape {
			if i++; i < len(codes) {
				dst = append(dst, codes[i])
			}
			continue
		}
		n := len(dst)
		if cap(dst)-n < codeSlack {
			dst = slices.Grow(dst, 64)
		}
		binary.LittleEndian.PutUint64(dst[n:n+maxSymbol], t.text[c])
		dst = dst[:n+int(t.size[c])]
	}
	return dst
}

// length is the length of the text of codes.
func (t *symbols) length(codes []byte) int {
	n := 0
	for i := 0; i < len(codes); i++ {
		if codes[i] == escape {
			if i++; i < len(codes) {
				n++
			}
		} else {
			n += int(t.size[codes[i]])
		}
	}
	return n
}

// match compares the text of codes with b. It returns how many bytes of b it matched and
// whether that is all of one of the two.
func (t *symbols) match(codes, b []byte) (n int, same bool) {
	for i := 0; i < len(codes); i++ {
		c := codes[i]
		rest := b[n:]
		if len(rest) == 0 {
			return n, true
		}
		text, size := t.text[c], t.size[c]
		if c == escape {
			if i++; i == len(codes) {
				return n, false
			}
			text, size = uint64(codes[i]), 1
		}
		if len(rest) < int(size) {
			size = uint8(len(rest))
		}
		if (load(rest)^text)&lowBytes(size) != 0 {
			return n, false
		}
		n += int(size)
	}
	return n, true
}

// marshal appends the table: the number of symbols, their sizes, their texts.
func (t *symbols) marshal(b []byte) []byte {
	b = append(b, byte(t.n))
	b = append(b, t.size[:t.n]...)
	for i := range t.n {
		b = appendSymbol(b, t.text[i], t.size[i])
	}
	return b
}

func appendSymbol(b []byte, text uint64, size uint8) []byte {
	for range size {
		b = append(b, byte(text))
		text >>= 8
	}
	return b
}

// parseSymbols reads what marshal wrote.
func parseSymbols(b []byte) (*symbols, bool) {
	t := &symbols{}
	if len(b) < 1 || int(b[0]) > maxSymbols || len(b) < 1+int(b[0]) {
		return nil, false
	}
	t.n = int(b[0])
	sizes, text := b[1:1+t.n], b[1+t.n:]
	for i, size := range sizes {
		if size < 1 || size > maxSymbol || len(text) < int(size) {
			return nil, false
		}
		t.size[i] = size
		t.text[i] = load(text[:size])
		text = text[size:]
	}
	return t, len(text) == 0
}

// load reads up to eight bytes as a little-endian number.
func load(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	var x uint64
	for i, c := range b {
		x |= uint64(c) << (8 * i)
	}
	return x
}

func lowBytes(n uint8) uint64 {
	if n >= 8 {
		return math.MaxUint64
	}
	return 1<<(8*n) - 1
}

// encoder finds the shortest encoding of labels in a table.
type encoder struct {
	table  *symbols
	single [256]int16          // code of a one-byte symbol; -1
	start  [buckets + 1]uint16 // by bucket of the first two bytes, start of its symbols in codes
	codes  []uint8             // longer symbols, ordered by bucket
	cost   [257]uint16
	pick   [256]int16
}

func newEncoder(t *symbols) *encoder {
	e := &encoder{table: t}
	for i := range e.single {
		e.single[i] = -1
	}
	for c := range t.n {
		if t.size[c] == 1 {
			e.single[byte(t.text[c])] = int16(c)
		} else {
			e.codes = append(e.codes, uint8(c))
			e.start[bucket(t.text[c])+1]++
		}
	}
	for i := range buckets {
		e.start[i+1] += e.start[i]
	}
	slices.SortStableFunc(e.codes, func(a, b uint8) int { return bucket(t.text[a]) - bucket(t.text[b]) })
	return e
}

// buckets is enough that most hold one symbol or none.
const buckets = 1 << 11

func bucket(word uint64) int { return int(uint32(word&0xffff) * 0x9e3779b1 >> 21) }

// append appends the shortest encoding of text.
func (e *encoder) append(dst, text []byte) []byte {
	for len(text) > len(e.pick) {
		dst = e.appendShort(dst, text[:len(e.pick)])
		text = text[len(e.pick):]
	}
	return e.appendShort(dst, text)
}

// appendShort works from the end: cost[i] is the least number of bytes for text[i:].
func (e *encoder) appendShort(dst, text []byte) []byte {
	n := len(text)
	e.cost[n] = 0
	for i := n - 1; i >= 0; i-- {
		best, pick := e.cost[i+1]+2, int16(-1)
		if c := e.single[text[i]]; c >= 0 {
			best, pick = e.cost[i+1]+1, c
		}
		if i+2 <= n {
			word, rest := load(text[i:]), n-i
			from := bucket(word)
			for _, c := range e.codes[e.start[from]:e.start[from+1]] {
				size := e.table.size[c]
				if int(size) <= rest && word&lowBytes(size) == e.table.text[c] && e.cost[i+int(size)]+1 < best {
					best, pick = e.cost[i+int(size)]+1, int16(c)
				}
			}
		}
		e.cost[i], e.pick[i] = best, pick
	}
	for i := 0; i < n; {
		if c := e.pick[i]; c >= 0 {
			dst = append(dst, byte(c))
			i += int(e.table.size[c])
		} else {
			dst = append(dst, escape, text[i])
			i++
		}
	}
	return dst
}

const (
	trainBytes  = 192 << 10 // of sample, beyond which training takes longer and gains nothing
	trainRounds = 7
)

// trainSymbols makes a table for labels like those of the sample. In every round it
// writes the sample in the table it has, and then keeps those of its symbols and of
// their concatenations that saved, or would save, the most.
func trainSymbols(sample [][]byte) *symbols {
	t := &symbols{}
	type key struct {
		text uint64
		size uint8
	}
	var codes []byte
	for round := range trainRounds {
		gain := map[key]int{}
		e := newEncoder(t)
		for _, s := range sample {
			codes = e.append(codes[:0], s)
			var prev key
			for i := 0; i < len(codes); i++ {
				k := key{t.text[codes[i]], t.size[codes[i]]}
				if codes[i] == escape {
					i++
					k = key{uint64(codes[i]), 1}
				}
				gain[k]++
				if both := prev.size + k.size; prev.size > 0 && both <= maxSymbol && round < trainRounds-1 {
					gain[key{prev.text | k.text<<(8*prev.size), both}]++
				}
				prev = k
			}
		}
		// A symbol saves size-1 bytes wherever it stands, one more where the byte would
		// have been escaped, and takes size+1 bytes of the table.
		worth := func(k key) int { return gain[k]*int(k.size) - int(k.size) - 1 }
		keys := make([]key, 0, len(gain))
		for k := range gain {
			if worth(k) > 0 {
				keys = append(keys, k)
			}
		}
		slices.SortFunc(keys, func(a, b key) int {
			return cmp.Or(cmp.Compare(worth(b), worth(a)), cmp.Compare(a.size, b.size), cmp.Compare(a.text, b.text))
		})
		keys = keys[:min(len(keys), maxSymbols)]
		t = &symbols{n: len(keys)}
		for i, k := range keys {
			t.text[i], t.size[i] = k.text, k.size
		}
	}
	return t
}

// sampler collects label tails for training from runs of neighbouring keys.
type sampler struct {
	tails [][]byte
	bytes int
}

// thin returns an even part of the sample of at most trainBytes or so.
func (s *sampler) thin() [][]byte {
	step := s.bytes/trainBytes + 1
	var out [][]byte
	for i := 0; i < len(s.tails); i += step {
		out = append(out, s.tails[i])
	}
	return out
}

// add takes the tail that key would have as a leaf between its neighbours in key order.
func (s *sampler) add(before, key, after []byte) {
	from := max(common(before, key), common(key, after)) + 1
	if from < len(key) {
		s.tails = append(s.tails, bytes.Clone(key[from:]))
		s.bytes += len(key) - from
	}
}

// common is the length of the longest common prefix.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
