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
	// ErrFull is returned when a table's 2^40 bytes are used up.
	ErrFull = errors.New("memtable: full")
	// ErrTooLarge is returned for a key of 16 MiB or more, or a value of 2 GiB or more.
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
	at, w, err := t.newNode(&s, value)
	if err != nil {
		return err
	}
	t.insert(&s, at, w)
	t.length.Add(1)
	return nil
}

// locate sets path to where s belongs. Beyond the greatest entry that is known without a
// search: path is kept to be the last node of each level for as long as entries ascend.
func (t *Table) locate(s *searched) {
	if t.last != t.head && t.after(s, t.nodes.at(t.last)) && t.path[0] == t.last {
		return
	}
	t.seek(s, &t.path)
}

// newNode makes a node of a random height that no link leads to yet.
func (t *Table) newNode(s *searched, value []byte) (ref, []uint64, error) {
	levels := uint64(t.randomHeight())
	inline, length := uint64(len(value)), uint32(len(value))
	if len(value) >= bigLen {
		inline, length = 8, length|bigValue
	}
	at := t.nodes.alloc(linkAt + 2*levels)
	data := t.data.alloc(dataHead + uint64(len(s.key)) + inline)
	if at == 0 || data == 0 {
		return 0, nil, ErrFull
	}
	d := t.data.at(data)
	binary.LittleEndian.PutUint32(d, length)
	d = d[dataHead:]
	d = d[copy(d, s.key):]
	if length&bigValue != 0 {
		binary.LittleEndian.PutUint64(d, t.addBig(value))
	} else {
		copy(d, value)
	}
	w := t.nodes.at(at)
	w[0] = uint64(s.trailer)
	w[1] = levels << refBits
	w[2] = uint64(len(s.key))<<refBits | uint64(data)
	t.size.Add(int64(8*(linkAt+2*levels)) + int64(dataHead+len(s.key)+len(value)))
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

// insert links node at, whose words are w, behind path, from the bottom up.
func (t *Table) insert(s *searched, at ref, w []uint64) {
	levels := int(w[1] >> refBits)
	if levels > int(t.height.Load()) {
		t.height.Store(int32(levels)) // above the old height path is the head, as it should be
	}
	w[1] |= uint64(t.path[0])
	for level := range levels {
		before := t.nodes.at(t.path[level])
		l0, l1 := &before[linkAt+2*level], &before[linkAt+2*level+1]
		next := ref(*l1 & refMask)
		w[linkAt+2*level], w[linkAt+2*level+1] = *l0, *l1
		atomic.StoreUint64(l1, s.w1|uint64(at))
		atomic.StoreUint64(l0, s.w0)
		if level > 0 {
			continue
		}
		if next != 0 {
			nw := t.nodes.at(next)
			atomic.StoreUint64(&nw[1], nw[1]&^uint64(refMask)|uint64(at))
		} else {
			t.last = at
		}
	}
	if t.last == at {
		for level := range levels {
			t.path[level] = at
		}
	}
}

// randomHeight is 1 with probability 1/2, 2 with 1/4 and so on. Links cost little here and
// visits much, and one half makes for the fewest visits.
func (t *Table) randomHeight() int {
	t.rand ^= t.rand << 13
	t.rand ^= t.rand >> 7
	t.rand ^= t.rand << 17
	return min(bits.TrailingZeros64(t.rand|1<<63)+1, maxHeight)
}
