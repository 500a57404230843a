package memtable

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

var (
	// ErrFull is returned when a table has no room for another node or for its data, which
	// is after 8 GiB of nodes or 16 GiB of data; large values do not count.
	ErrFull = errors.New("memtable: full")
	// ErrTooLarge is returned for a key or a value of 2 GiB or more.
	ErrTooLarge = errors.New("memtable: entry too large")
)

// Add adds an entry, or a range tombstone from k to value if kind is RangeDelete. It
// copies k and value. The pair of k and seq must be new. One Add at a time; readers may
// run beside it, and see the entry wholly or not at all.
func (t *Table) Add(seq uint64, kind key.Kind, k, value []byte) error {
	if len(k) > maxKey || len(value) > maxValue {
		return ErrTooLarge
	}
	if kind == key.RangeDelete {
		t.addSpan(key.Span{Start: slices.Clone(k), End: slices.Clone(value), Seq: seq})
		return nil
	}
	s := search(k, key.Pack(seq, kind))
	t.locate(&s)
	levels := t.randomHeight()
	at, w, err := t.newNode(&s, value, levels)
	if err != nil {
		return err
	}
	t.insert(&s, at, w, levels)
	t.length.Add(1)
	return nil
}

// locate sets path to where s belongs. Beyond the greatest entry that is known without a
// search: path is kept to be the last node of each level for as long as entries ascend.
func (t *Table) locate(s *searched) {
	if t.last != t.head && t.path[0].before == t.last {
		if low, below := t.compare(s, t.nodes.at(t.last), 0); below {
			t.path[0].low = low
			for level := 1; level < int(t.height.Load()); level++ {
				t.path[level].low = unknown
			}
			return
		}
	}
	t.seek(s, &t.path)
}

// newNode makes a node that no link leads to yet.
func (t *Table) newNode(s *searched, value []byte, levels int) (ref, []uint64, error) {
	inline, flag := len(value), uint64(0)
	if len(value) >= bigLen {
		inline, flag = 8, 1
	}
	var keyHead, valueHead [binary.MaxVarintLen64]byte
	kh := binary.PutUvarint(keyHead[:], uint64(len(s.key)))
	vh := binary.PutUvarint(valueHead[:], uint64(len(value))<<1|flag)
	size := uint64(kh+len(s.key)+vh+inline+dataUnit-1) / dataUnit * dataUnit
	at, ok := t.nodes.alloc(nodeWords(levels))
	data, fits := t.data.alloc(size)
	if !ok || !fits || at > maxNode || data/dataUnit > 1<<32-1 {
		return 0, nil, ErrFull
	}
	d := t.data.at(data)
	d = d[copy(d, keyHead[:kh]):]
	d = d[copy(d, s.key):]
	d = d[copy(d, valueHead[:vh]):]
	if flag != 0 {
		binary.LittleEndian.PutUint64(d, t.addBig(value))
	} else {
		copy(d, value)
	}
	w := t.nodes.at(at)
	w[0] = uint64(s.trailer)
	w[1] = uint64(data/dataUnit) << 32
	t.size.Add(int64(8*nodeWords(levels)) + int64(size) + int64(len(value)-inline))
	return at, w, nil
}

// addBig keeps a value outside the arena and returns its number.
func (t *Table) addBig(value []byte) uint64 {
	var bigs [][]byte
	if p := t.bigs.Load(); p != nil {
		bigs = *p
	}
	// Readers look only below the length they have loaded: appending in place is safe.
	bigs = append(bigs, slices.Clone(value))
	t.bigs.Store(&bigs)
	return uint64(len(bigs) - 1)
}

// insert links node at, whose words are w, into its places, from the bottom up.
func (t *Table) insert(s *searched, at ref, w []uint64, levels int) {
	if levels > int(t.height.Load()) {
		t.height.Store(int32(levels)) // above the old height path is the head, as it should be
	}
	w[1] |= uint64(t.path[0].before)
	for level := range levels {
		p := &t.path[level]
		before := t.nodes.at(p.before)
		if p.low == unknown {
			p.low, _ = t.compare(s, before, 0)
		}
		place := &before[linksAt+level]
		old := *place
		next := ref(old & refMask)
		w[linksAt+level] = t.linkAfter(old, p.high)
		atomic.StoreUint64(place, link(at, s.key, p.low))
		if level > 0 {
			continue
		}
		if next != 0 {
			nw := t.nodes.at(next)
			atomic.StoreUint64(&nw[1], nw[1]&^(1<<32-1)|uint64(at))
		} else {
			t.last = at
		}
	}
	if t.last == at {
		for level := range levels {
			t.path[level] = place{before: at}
		}
	}
}

// linkAfter returns the link from a new node to the one to which old leads, with which it
// has common bytes in common.
func (t *Table) linkAfter(old uint64, common int) uint64 {
	to := ref(old & refMask)
	if to == 0 {
		return noHint << commonAt
	}
	if l, ok := forwarded(old, common); ok {
		return l
	}
	return link(to, t.key(t.nodes.at(to)), common)
}

// randomHeight is 1 with probability 3/4, 2 with 3/16 and so on.
func (t *Table) randomHeight() int {
	t.rand ^= t.rand << 13
	t.rand ^= t.rand >> 7
	t.rand ^= t.rand << 17
	return min(bits.TrailingZeros64(t.rand|1<<62)/2+1, maxHeight)
}
