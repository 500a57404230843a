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
// upright: sum[l] holds bit l of all of them. A carry-save adder turns three words of
// equal weight into one of the same weight and one of twice that; eight pairs at a time
// go through seven of them:
//
//	sum[0] + x0 + x1 ──▶ sum[0], twos      sum[0] + x2 + x3 ──▶ sum[0], twos
//	           sum[1] + twos + twos ──▶ sum[1], fours                …
//	                      sum[2] + fours + fours ──▶ sum[2], eights
//
// Eights are added the same way, two at a time: the first waits in odd[3], and so on up.
// Bit l of the number of pairs says whether odd[l] holds something. A pair costs about
// five operations on all 64 counters at once.
//
// Words are found by masks of 64 bytes, a bit each, so that how long a word is costs no
// branch that cannot be foretold.

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
	prev  uint64    // hash of the last word
	last  [8]uint64 // the n%8 pairs that are not in sum yet
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
		i = h.blocks(p, i)
		for stop := min(i+64, len(p)); i < stop; {
			if kind[p[i]] == gap {
				i++
				continue
			}
			n := wordLen(p[i:], 0)
			if i+n == len(p) && n < maxWord {
				h.part = copy(h.carry[:], p[i:])
				return written, nil
			}
			h.add(hashBytes(p, i, n))
			i += n
		}
	}
	return written, nil
}

// blocks adds the words in p from i, which begins no later than a word, for as long as
// there are 64 bytes together without ideographs, and returns where it has come to.
func (h *Hasher) blocks(p []byte, i int) int {
	start := -1 // of the word that goes on
	for ; i+64 <= len(p); i += 64 {
		m, ok := wordMask(p[i : i+64])
		if !ok {
			break
		}
		for at := 0; ; {
			if start < 0 {
				begin := bits.TrailingZeros64(m >> at)
				if begin == 64 {
					break
				}
				at += begin
				start = i + at
			}
			n := bits.TrailingZeros64(^m >> at)
			if at+n >= 64 {
				break
			}
			at += n
			for ; i+at-start > maxWord; start += maxWord {
				h.add(hashBytes(p, start, maxWord))
			}
			h.add(hashBytes(p, start, i+at-start))
			start = -1
		}
		for ; start >= 0 && i+64-start >= maxWord; start += maxWord {
			h.add(hashBytes(p, start, maxWord))
		}
		if start == i+64 {
			start = -1 // cut at the block's very end; what follows is another word
		}
	}
	if start >= 0 {
		return start
	}
	return i
}

// wordMask returns the bits of those of 64 bytes that are in words. It is of no use if
// there are bytes that begin words of their own; ok is false then.
func wordMask(b []byte) (m uint64, ok bool) {
	const top, low = 0x8080808080808080, 0x7F7F7F7F7F7F7F7F
	const each = 0x0101010101010101
	b = b[:64]
	var leads uint64
	for k := 0; k < 64; k += 8 {
		x := binary.LittleEndian.Uint64(b[k:])
		z := x & low // sums of seven bits stay in their byte
		y := z | 0x20*each
		letter := (y + (0x80-'a')*each) &^ (y + (0x7F-'z')*each)
		digit := (z + (0x80-'0')*each) &^ (z + (0x7F-'9')*each)
		leads |= (z + (0x80-0x63)*each) & x
		word := (letter | digit | x) & top
		m |= word >> 7 * 0x0102040810204080 >> 56 << k
	}
	return m, leads&top == 0
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
		h.pair(pairHash(prev, w))
	}
}

// pair adds one pair's hash to the counters.
func (h *Hasher) pair(x uint64) {
	s := &h.seen[x>>(64-seenBits)]
	if *s == x {
		return
	}
	*s = x
	h.last[h.n&7] = x
	if h.n++; h.n&7 == 0 {
		h.eight()
	}
}

// csa adds three words bit by bit.
func csa(a, b, c uint64) (sum, carry uint64) {
	u := a ^ b
	return u ^ c, a&b | u&c
}

// eight adds the eight pairs in last, the n-th among them, to the counters.
func (h *Hasher) eight() {
	x := &h.last
	ones, a := csa(h.sum[0], x[0], x[1])
	ones, b := csa(ones, x[2], x[3])
	twos, c := csa(h.sum[1], a, b)
	ones, a = csa(ones, x[4], x[5])
	ones, b = csa(ones, x[6], x[7])
	twos, d := csa(twos, a, b)
	fours, e := csa(h.sum[2], c, d)
	h.sum[0], h.sum[1], h.sum[2] = ones, twos, fours
	l := 3
	for n := h.n>>3 - 1; n&1 != 0 && l < levels-1; n >>= 1 {
		h.sum[l], e = csa(h.sum[l], h.odd[l], e)
		l++
	}
	h.odd[l] = e
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
	n, planes := h.n, h.sum
	add := func(x uint64, l int) {
		for ; x != 0 && l < levels; l++ {
			planes[l], x = planes[l]^x, planes[l]&x
		}
	}
	for _, x := range h.last[:n&7] {
		add(x, 0)
	}
	for l := 3; l < levels; l++ {
		if h.n>>l&1 != 0 {
			add(h.odd[l], l)
		}
	}
	if x, ok := h.unfinished(); ok {
		add(x, 0)
		n++
	}
	// The planes hold the counts now; compare all with n/2, highest bit first.
	var more, equal uint64 = 0, 1<<64 - 1
	for l := min(bits.Len64(n), levels-1); l >= 0; l-- {
		if n/2>>l&1 == 0 {
			more |= equal & planes[l]
			equal &^= planes[l]
		} else {
			equal &= planes[l]
		}
	}
	return more
}

// unfinished returns the pair that would be counted if the text ended here: of the word
// that is not complete yet, or of the only word with nothing.
func (h *Hasher) unfinished() (x uint64, ok bool) {
	switch {
	case h.part == 0 && h.words == 1:
		return mum(h.prev^k1, k0), true
	case h.part == 0:
		return 0, false
	}
	w := hashBytes(h.carry[:], 0, h.part)
	if h.words == 0 {
		return mum(w^k1, k0), true
	}
	x = pairHash(h.prev, w)
	return x, h.seen[x>>(64-seenBits)] != x
}

// pairHash hashes two neighbouring words.
func pairHash(a, b uint64) uint64 { return mum(bits.RotateLeft64(a, 31)^k1+b, k0) }

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
