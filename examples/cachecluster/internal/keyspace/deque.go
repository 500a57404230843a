package keyspace

import "bytes"

// Deque is a list: a ring of elements, so that both ends and any index cost one step; the
// middle costs as many as there are elements to move.
type Deque struct {
	ring  [][]byte
	first int
	n     int
	size  int64
}

// perElement is what an element costs beside its bytes.
const perElement = 24

// Len is the number of elements.
func (q *Deque) Len() int { return q.n }

func (q *Deque) slot(i int) *[]byte {
	i += q.first
	if i >= len(q.ring) {
		i -= len(q.ring)
	}
	return &q.ring[i]
}

// At is the element at an index from 0; it stays the list's.
func (q *Deque) At(i int) []byte { return *q.slot(i) }

// Set replaces an element by a copy of v.
func (q *Deque) Set(i int, v []byte) {
	p := q.slot(i)
	q.size += int64(len(v) - len(*p))
	*p = bytes.Clone(v)
}

// grow makes room for one more, and for about as many again.
func (q *Deque) grow() {
	if q.n < len(q.ring) {
		return
	}
	q.resize(max(4, 2*q.n))
}

func (q *Deque) resize(n int) {
	ring := make([][]byte, n)
	for i := range q.n {
		ring[i] = q.At(i)
	}
	q.ring, q.first = ring, 0
}

// Push adds a copy of v in front or at the end.
func (q *Deque) Push(v []byte, front bool) {
	q.grow()
	v = append(make([]byte, 0, len(v)), v...)
	if front {
		q.first--
		if q.first < 0 {
			q.first += len(q.ring)
		}
		q.n++
		*q.slot(0) = v
	} else {
		q.n++
		*q.slot(q.n - 1) = v
	}
	q.size += perElement + int64(len(v))
}

// Pop takes the first or the last element away.
func (q *Deque) Pop(front bool) []byte {
	i := q.n - 1
	if front {
		i = 0
	}
	p := q.slot(i)
	v := *p
	*p = nil
	if front {
		if q.first++; q.first == len(q.ring) {
			q.first = 0
		}
	}
	q.n--
	q.size -= perElement + int64(len(v))
	if len(q.ring) > 64 && q.n < len(q.ring)/4 {
		q.resize(len(q.ring) / 2)
	}
	return v
}

// Insert puts a copy of v before index i.
func (q *Deque) Insert(i int, v []byte) {
	q.Push(v, false)
	last := q.At(q.n - 1)
	for j := q.n - 1; j > i; j-- {
		*q.slot(j) = q.At(j - 1)
	}
	*q.slot(i) = last
}

// Remove takes up to limit elements equal to v away, the first ones or the last ones, and
// returns how many.
func (q *Deque) Remove(v []byte, limit int, fromEnd bool) (removed int) {
	kept := make([][]byte, 0, q.n)
	for k := range q.n {
		i := k
		if fromEnd {
			i = q.n - 1 - k
		}
		if e := q.At(i); removed < limit && bytes.Equal(e, v) {
			removed++
			q.size -= perElement + int64(len(v))
		} else {
			kept = append(kept, e)
		}
	}
	if fromEnd {
		for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
			kept[i], kept[j] = kept[j], kept[i]
		}
	}
	q.ring, q.first, q.n = kept[:cap(kept):cap(kept)], 0, len(kept)
	return removed
}
