package neardup

// SimHash.
//
// Every pair of neighbouring words is hashed to 64 bits. Bit i of the result is the
// majority of bit i over all pairs. A text with one pair in a hundred changed moves each
// majority by little, and so flips only those that were close.
//
// A pair counts once in a while, not each time: what a table or a menu repeats a hundred
// times would outvote the text, and pages of one template would all look alike. Which
// pairs were met lately is kept in a small table where the later one of a place wins.
//
// Counting 64 majorities by 64 additions a pair is slow. Here the 64 counters stand
// upright: sum[l] holds bit l of all of them. Pairs are added two at a time by a
// carry-save adder, which turns three words of equal weight into one of the same weight
// and one of twice that:
//
//	sum[0], a, b ──▶ sum[0], carry ──▶ waits in odd[1] for the next carry
//	sum[1], odd[1], carry ──▶ sum[1], carry ──▶ odd[2] …
//
// Level l works once in 2^(l+1) pairs, so a pair costs five operations on 64 counters at
// once. Bit l of the number of pairs says whether odd[l] holds something.

import (
	"encoding/binary"
	"math/bits"
)

// maxWord is where longer words are cut: nobody's words, but a file's or an attacker's.
const maxWord = 64

const levels = 40 // a text of 2^40 words has none to come

// Hasher computes the SimHash of the text that is written to it. The zero value is ready.
type Hasher struct {
	n     uint64 // pairs counted
	words uint64
	prev  uint64 // hash of the last word
	sum   [levels]uint64
	odd   [levels]uint64
	carry [maxWord]byte // the word that the last Write ended in
	part  int           // its length so far
	seen  [1 << seenBits]uint64
}

// seenBits is the logarithm of how many pairs are remembered: a few paragraphs.
const seenBits = 10

// kinds of bytes in a text, which is taken for UTF-8.
const (
	gap  = iota // between words
	word        // in a word
	lead        // begins a word: the first byte of an ideograph, a kana or a Hangul syllable
)

var kind = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c >= 0xE3:
			t[c] = lead
		case c >= 0x80, '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z':
			t[c] = word
		}
	}
	return t
}()

// Write adds text. It never fails, and may cut words, even characters.
func (h *Hasher) Write(p []byte) (int, error) {
	written := len(p)
	if h.part > 0 {
		n := wordLen(p, h.part)
		copy(h.carry[h.part:], p[:n])
		h.part += n
		p = p[n:]
		if len(p) == 0 && h.part < maxWord {
			return written, nil
		}
		h.add(hashBytes(h.carry[:], 0, h.part))
		h.part = 0
	}
	for i := 0; i < len(p); {
		if kind[p[i]] == gap {
			i++
			continue
		}
		n := wordLen(p[i:], 0)
		if i+n == len(p) && n < maxWord {
			h.part = copy(h.carry[:], p[i:])
			break
		}
		h.add(hashBytes(p, i, n))
		i += n
	}
	return written, nil
}

// WriteString is Write for a string. It copies it piece by piece.
func (h *Hasher) WriteString(s string) (int, error) {
	var buf [512]byte
	written := len(s)
	for s != "" {
		n := copy(buf[:], s)
		h.Write(buf[:n])
		s = s[n:]
	}
	return written, nil
}

// wordLen returns how many bytes at the start of p go on with a word of which have bytes
// are known.
func wordLen(p []byte, have int) int {
	p = p[:min(len(p), maxWord-have)]
	i := 0
	if have == 0 && len(p) > 0 && kind[p[0]] == lead {
		i = 1
	}
	for i < len(p) && kind[p[i]] == word {
		i++
	}
	return i
}

// Multipliers of the word hash: odd, without pattern.
const (
	k0 = 0x9E3779B97F4A7C15
	k1 = 0xD6E8FEB86659FD93
	k2 = 0xA0761D6478BD642F
)

// mum multiplies to 128 bits and folds them.
func mum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// fold puts the ASCII letters of eight bytes in lower case. Other word bytes have the bit
// that it sets already, or are not ASCII and stay.
func fold(x uint64) uint64 { return x | ^x&0x8080808080808080>>2 }

// hashBytes hashes the n bytes of b from i.
func hashBytes(b []byte, i, n int) uint64 {
	h := uint64(n) * k0
	for ; n > 8; i, n = i+8, n-8 {
		h = mum(h^fold(binary.LittleEndian.Uint64(b[i:])), k1)
	}
	var x uint64
	if i+8 <= len(b) {
		x = binary.LittleEndian.Uint64(b[i:]) << (64 - 8*n)
	} else {
		for j := n - 1; j >= 0; j-- {
			x = x>>8 | uint64(b[i+n-1-j])<<56
		}
	}
	// The word's bytes are the upper ones now; below them is nothing.
	return mum(h^fold(x), k2)
}

// add takes a word's hash into account.
func (h *Hasher) add(w uint64) {
	prev := h.prev
	h.prev = w
	if h.words++; h.words > 1 {
		h.pair(mum(bits.RotateLeft64(prev, 31)^k1+w, k0))
	}
}

// pair adds one pair's hash to the counters.
func (h *Hasher) pair(x uint64) {
	if s := &h.seen[x>>(64-seenBits)]; *s == x {
		return
	} else {
		*s = x
	}
	l := 0
	for n := h.n; n&1 != 0; n >>= 1 {
		a, s := h.odd[l], h.sum[l]
		u := a ^ s
		h.sum[l] = u ^ x
		x = a&s | u&x
		if l++; l == levels {
			return
		}
	}
	h.odd[l] = x
	h.n++
}

// Words returns the number of words so far.
func (h *Hasher) Words() uint64 {
	if h.part > 0 {
		return h.words + 1
	}
	return h.words
}

// Sum64 returns the hash of the text so far; more may be written after it. A text without
// words has the hash 0.
func (h *Hasher) Sum64() uint64 {
	last := *h
	if last.part > 0 {
		last.add(hashBytes(last.carry[:], 0, last.part))
	}
	switch last.words {
	case 0:
		return 0
	case 1:
		last.pair(mum(last.prev^k1, k0))
	}
	var sum uint64
	for bit := range 64 {
		var count uint64
		for l := range levels {
			count += (last.sum[l] >> bit & 1) << l
			if last.n>>l&1 != 0 {
				count += (last.odd[l] >> bit & 1) << l
			}
		}
		if 2*count > last.n {
			sum |= 1 << bit
		}
	}
	return sum
}

// Reset makes the Hasher as new.
func (h *Hasher) Reset() { *h = Hasher{} }

// Sum returns the SimHash of a text.
func Sum(text []byte) uint64 {
	var h Hasher
	h.Write(text)
	return h.Sum64()
}

// Distance returns the number of bits in which two hashes differ.
func Distance(a, b uint64) int { return bits.OnesCount64(a ^ b) }
