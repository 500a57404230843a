package ratelimit

import (
	"math/big"
	"sync/atomic"
	"time"
)

// hand is a clock that the test moves.
type hand struct{ ns atomic.Int64 }

func (h *hand) now() time.Time          { return time.Unix(1_700_000_000, 0).Add(time.Duration(h.ns.Load())) }
func (h *hand) advance(d time.Duration) { h.ns.Add(int64(d)) }
func (h *hand) unix() int64             { return h.now().UnixNano() }

// model is the definition of an algorithm for one key under one limit, written for
// plainness.
type model interface {
	admits(now, n int64) (ok bool, take func())
}

func newModel(a Algorithm, l Limit) model {
	switch a {
	case FixedWindow:
		return &windowModel{l: l}
	case SlidingLog:
		return &logModel{l: l}
	case SlidingCounter:
		return &counterModel{l: l, count: map[int64]int64{}}
	case LeakyBucket:
		return &queueModel{l: l}
	default:
		return &bucketModel{*newBucket(l)}
	}
}

type bucketModel struct{ bucket }

func (m *bucketModel) admits(now, n int64) (bool, func()) {
	m.take(now, 0)
	return m.tokens.Cmp(big.NewRat(n, 1)) >= 0, func() { m.take(now, n) }
}

type windowModel struct {
	l          Limit
	window, in int64
}

func (m *windowModel) admits(now, n int64) (bool, func()) {
	if w := now / int64(m.l.Per); w != m.window {
		m.window, m.in = w, 0
	}
	return m.in+n <= m.l.Events, func() { m.in += n }
}

type logModel struct {
	l    Limit
	seen []int64
}

func (m *logModel) admits(now, n int64) (bool, func()) {
	in := int64(0)
	for _, at := range m.seen {
		if at > now-int64(m.l.Per) {
			in++
		}
	}
	return in+n <= m.l.Events, func() {
		for range n {
			m.seen = append(m.seen, now)
		}
	}
}

type counterModel struct {
	l     Limit
	count map[int64]int64
}

func (m *counterModel) admits(now, n int64) (bool, func()) {
	per := int64(m.l.Per)
	w := now / per
	est := new(big.Rat).Mul(big.NewRat(m.count[w-1], 1), big.NewRat(per-now%per, per))
	est.Add(est, big.NewRat(m.count[w]+n, 1))
	return est.Cmp(big.NewRat(m.l.Events, 1)) <= 0, func() { m.count[w] += n }
}

// queueModel has departures at a constant pace; who is in the queue has not departed, and
// has been served for the whole of the time that it takes.
type queueModel struct {
	l    Limit
	free *big.Rat // when the server is free
}

func (m *queueModel) admits(now, n int64) (bool, func()) {
	t, each := big.NewRat(now, 1), big.NewRat(int64(m.l.Per), m.l.Events)
	if m.free == nil || m.free.Cmp(t) < 0 {
		m.free = t
	}
	end := new(big.Rat).Add(m.free, new(big.Rat).Mul(each, big.NewRat(n, 1)))
	most := new(big.Rat).Add(t, new(big.Rat).Mul(each, big.NewRat(m.l.Burst, 1)))
	return end.Cmp(most) <= 0, func() { m.free = end }
}
