package merge

import (
	"bytes"
	"errors"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// The merging iterator: a heap of sources, of which the root stands on the next entry.
//
//	          ┌───────── root: smallest ─────────┐
//	          ▼                                  │ advanced; still smaller than the
//	      source 2  ──────────────────────────▶ entry? runner-up: done, one comparison
//	     ╱        ╲
//	source 0    source 4      runner-up: the smaller of the two below the root,
//	 ╱    ╲                   found once and remembered until the heap changes
//	…      …
//
// Sources are seldom equal: the bottom level of a store holds nine tenths of its keys, so
// that the source that won is the most likely to win again. It then costs one comparison,
// with a runner-up that stays known for as long as it loses. And comparisons
// look at the first eight bytes of the keys, kept in the heap, before they look at keys.
//
// For the way back all is mirrored: a larger key wins. Turning around moves every other
// source to the far side of the current entry, which is one step for each, since in either
// direction each stands at the entry that it would deliver next.
//
// Invariants: forward, every source but the root stands on its first entry after the
// root's; backward, on its last before. Equal internal keys, which a store does not have,
// are delivered in the order of the sources.
type iter struct {
	sources []source
	heap    []*source // those that stand on an entry
	second  int       // index in heap of the runner-up; 0: not known
	reverse bool
	err     error
	closed  bool
}

// source is an iterator and what was last seen of it.
type source struct {
	key.Iterator
	prefix  uint64
	key     []byte
	trailer key.Trailer
	rank    int
}

// load reads the entry that the source stands on.
func (s *source) load() {
	s.key, s.trailer = s.Key(), s.Trailer()
	s.prefix = key.Prefix(s.key)
}

// New joins iterators into one that walks the entries of all in internal-key order. It
// owns them: Close closes them. They may stand anywhere; the result stands nowhere. It
// stops at the first error of any. One iterator is returned as it is.
func New(iters ...key.Iterator) key.Iterator {
	if len(iters) == 1 {
		return iters[0]
	}
	m := &iter{sources: make([]source, len(iters)), heap: make([]*source, 0, len(iters))}
	for i, it := range iters {
		m.sources[i] = source{Iterator: it, rank: i}
	}
	return m
}

// less reports whether a comes before b in the present direction.
func (m *iter) less(a, b *source) bool {
	if a.prefix != b.prefix {
		return a.prefix < b.prefix != m.reverse
	}
	c := bytes.Compare(a.key, b.key)
	switch {
	case c != 0:
	case a.trailer != b.trailer:
		c = 1
		if a.trailer > b.trailer {
			c = -1
		}
	default:
		c = a.rank - b.rank
	}
	return c < 0 != m.reverse
}

// build makes the heap anew after every source was positioned.
func (m *iter) build(reverse bool, position func(*source) bool) bool {
	m.heap, m.second, m.reverse, m.err = m.heap[:0], 0, reverse, nil
	for i := range m.sources {
		if !m.admit(&m.sources[i], position) {
			return false
		}
	}
	return m.heapify()
}

// admit positions a source and puts it into the heap if it then stands on an entry. It
// reports false for an error, which ends the walk.
func (m *iter) admit(s *source, position func(*source) bool) bool {
	if position(s) {
		s.load()
		m.heap = append(m.heap, s)
		return true
	}
	if err := s.Err(); err != nil {
		m.fail(err)
		return false
	}
	return true
}

func (m *iter) fail(err error) {
	m.err = err
	m.heap, m.second = m.heap[:0], 0
}

func (m *iter) heapify() bool {
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	m.second = 0
	return len(m.heap) > 0
}

// down moves the source at i to where it belongs.
func (m *iter) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if r := child + 1; r < len(m.heap) && m.less(m.heap[r], m.heap[child]) {
			child = r
		}
		if !m.less(m.heap[child], m.heap[i]) {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}

// step restores the heap after the root has moved; ok is whether it stands on an entry.
func (m *iter) step(ok bool) bool {
	root := m.heap[0]
	if !ok {
		if err := root.Err(); err != nil {
			m.fail(err)
			return false
		}
		last := len(m.heap) - 1
		m.heap[0] = m.heap[last]
		m.heap = m.heap[:last]
		m.second = 0
		m.down(0)
		return last > 0
	}
	root.load()
	if len(m.heap) == 1 {
		return true
	}
	if m.second == 0 {
		m.second = 1
		if len(m.heap) > 2 && m.less(m.heap[2], m.heap[1]) {
			m.second = 2
		}
	}
	if !m.less(m.heap[m.second], root) {
		return true
	}
	m.heap[0], m.heap[m.second] = m.heap[m.second], root
	m.down(m.second)
	m.second = 0
	return true
}

// turn goes into the other direction: every source but the current one crosses the
// current entry.
func (m *iter) turn(reverse bool, step, end func(*source) bool) bool {
	current := m.heap[0]
	m.heap, m.second, m.reverse = m.heap[:0], 0, reverse
	for i := range m.sources {
		s := &m.sources[i]
		ok := m.admit(s, func(s *source) bool {
			if s == current || s.Valid() {
				return step(s)
			}
			return end(s)
		})
		if !ok {
			return false
		}
	}
	return m.heapify()
}

func first(s *source) bool { return s.First() }
func last(s *source) bool  { return s.Last() }
func next(s *source) bool  { return s.Next() }
func prev(s *source) bool  { return s.Prev() }

func (m *iter) First() bool { return m.build(false, first) }

func (m *iter) Last() bool { return m.build(true, last) }

func (m *iter) SeekGE(k []byte, t key.Trailer) bool {
	return m.build(false, func(s *source) bool { return s.SeekGE(k, t) })
}

func (m *iter) SeekLT(k []byte) bool {
	return m.build(true, func(s *source) bool { return s.SeekLT(k) })
}

func (m *iter) Next() bool {
	switch {
	case len(m.heap) == 0:
		return false
	case m.reverse:
		return m.turn(false, next, first)
	}
	return m.step(m.heap[0].Next())
}

func (m *iter) Prev() bool {
	switch {
	case len(m.heap) == 0:
		return false
	case !m.reverse:
		return m.turn(true, prev, last)
	}
	return m.step(m.heap[0].Prev())
}

func (m *iter) Valid() bool { return len(m.heap) > 0 }

func (m *iter) Key() []byte { return m.heap[0].key }

func (m *iter) Trailer() key.Trailer { return m.heap[0].trailer }

func (m *iter) Value() []byte { return m.heap[0].Value() }

func (m *iter) Err() error { return m.err }

// Close closes all sources and joins what they report.
func (m *iter) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	m.heap = nil
	errs := []error{m.err}
	for _, s := range m.sources {
		if err := s.Close(); err != nil && !errors.Is(m.err, err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
