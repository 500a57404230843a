package sstable

import (
	"encoding/binary"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// lookup finds the first entry at or after (k, t) and reports whether it is one of k.
//
// Unlike a seek it never puts a key together. While it walks through keys smaller than k
// it remembers how many bytes of k the last one matched, m. What the next entry shares
// with the last then decides most comparisons without a look at its bytes:
//
//	shares more than m   it is smaller than k for the same reason as the last one
//	shares less than m   it has left what it has in common with k: it is larger
//	shares m             compare what follows
func (b *blockIter) lookup(k []byte, t key.Trailer) (v []byte, tr key.Trailer, ok bool) {
	i := b.findRestart(k, t)
	if b.bad {
		return nil, 0, false
	}
	off, m := b.restart(i), 0
	for off < len(b.data) {
		if i+1 < b.n && off == b.restart(i+1) {
			i, m = i+1, 0 // nothing is shared across a restart
		}
		shared, unshared, vlen, body, good := b.header(off)
		if !good {
			b.bad = true
			return nil, 0, false
		}
		if shared < m {
			return nil, 0, false
		}
		next := body + unshared + 8 + vlen
		if shared == m {
			suffix, rest := b.data[body:body+unshared], k[m:]
			n := 0
			for n < len(suffix) && n < len(rest) && suffix[n] == rest[n] {
				n++
			}
			switch {
			case n == len(rest) && n == len(suffix):
				tr = key.Trailer(binary.LittleEndian.Uint64(b.data[body+unshared:]))
				if tr <= t {
					return b.data[next-vlen : next], tr, true
				}
			case n == len(rest) || n < len(suffix) && suffix[n] > rest[n]:
				return nil, 0, false
			}
			m += n
		}
		off = next
	}
	return nil, 0, false
}
