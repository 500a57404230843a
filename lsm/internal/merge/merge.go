// Package merge walks several sources of entries as if they were one.
package merge

import (
	"bytes"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// New returns an iterator over all entries of its sources, in order, which it closes when
// it is closed. Sources must not share an internal key. A single source is returned as
// it is.
//
// Going forwards all sources stand at or after the present entry, in a heap with the
// smallest on top; going backwards it is the other way round. A change of direction
// moves every source to the other side of the present entry.
func New(sources ...key.Iterator) key.Iterator {
	if len(sources) == 1 {
		return sources[0]
	}
	return &iter{all: sources, heap: make([]key.Iterator, 0, len(sources))}
}

type iter struct {
	all  []key.Iterator
	heap []key.Iterator // the sources that are at an entry
	back bool
	err  error
	last []byte // scratch for the key around which the direction changes
}

// before reports whether a's entry comes before b's in the present direction.
func (m *iter) before(a, b key.Iterator) bool {
	c := key.Compare(a.Key(), a.Trailer(), b.Key(), b.Trailer())
	if m.back {
		return c > 0
	}
	return c < 0
}

// start moves every source and builds the heap.
func (m *iter) start(back bool, move func(key.Iterator) bool) bool {
	m.back, m.err = back, nil
	m.heap = m.heap[:0]
	for _, s := range m.all {
		if move(s) {
			m.heap = append(m.heap, s)
		} else if err := s.Err(); err != nil {
			return m.fail(err)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return len(m.heap) > 0
}

func (m *iter) fail(err error) bool {
	m.err, m.heap = err, m.heap[:0]
	return false
}

func (m *iter) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(m.heap) {
			return
		}
		if c+1 < len(m.heap) && m.before(m.heap[c+1], m.heap[c]) {
			c++
		}
		if !m.before(m.heap[c], m.heap[i]) {
			return
		}
		m.heap[i], m.heap[c] = m.heap[c], m.heap[i]
		i = c
	}
}

// settle puts the top back in its place after it moved.
func (m *iter) settle(ok bool) bool {
	if !ok {
		if err := m.heap[0].Err(); err != nil {
			return m.fail(err)
		}
		n := len(m.heap) - 1
		m.heap[0] = m.heap[n]
		m.heap = m.heap[:n]
	}
	m.down(0)
	return len(m.heap) > 0
}

func (m *iter) First() bool { return m.start(false, key.Iterator.First) }

func (m *iter) Last() bool { return m.start(true, key.Iterator.Last) }

func (m *iter) SeekGE(k []byte, t key.Trailer) bool {
	return m.start(false, func(s key.Iterator) bool { return s.SeekGE(k, t) })
}

func (m *iter) SeekLT(k []byte) bool {
	return m.start(true, func(s key.Iterator) bool { return s.SeekLT(k) })
}

func (m *iter) Next() bool {
	if len(m.heap) == 0 {
		return false
	}
	if m.back {
		m.last = append(m.last[:0], m.Key()...)
		t := m.Trailer()
		return m.start(false, func(s key.Iterator) bool {
			ok := s.SeekGE(m.last, t)
			if ok && s.Trailer() == t && bytes.Equal(s.Key(), m.last) {
				ok = s.Next()
			}
			return ok
		})
	}
	return m.settle(m.heap[0].Next())
}

func (m *iter) Prev() bool {
	if len(m.heap) == 0 {
		return false
	}
	if !m.back {
		m.last = append(m.last[:0], m.Key()...)
		t := m.Trailer()
		return m.start(true, func(s key.Iterator) bool {
			if s.SeekGE(m.last, t) {
				return s.Prev()
			}
			return s.Err() == nil && s.Last()
		})
	}
	return m.settle(m.heap[0].Prev())
}

func (m *iter) Valid() bool          { return len(m.heap) > 0 }
func (m *iter) Key() []byte          { return m.heap[0].Key() }
func (m *iter) Trailer() key.Trailer { return m.heap[0].Trailer() }
func (m *iter) Value() []byte        { return m.heap[0].Value() }
func (m *iter) Err() error           { return m.err }

func (m *iter) Close() error {
	var first error
	for _, s := range m.all {
		if err := s.Close(); err != nil && first == nil {
			first = err
		}
	}
	m.all, m.heap = nil, nil
	return first
}
