package router

import (
	"context"
	"sync"
)

// flights lets those who ask the same thing at the same moment share one answer: when the
// answer for a hot prefix has become too old, a thousand people would ask the nodes for
// it at once.
type flights struct {
	mu  sync.Mutex
	now map[flightKey]*flight // guarded by mu: under way
}

type flightKey struct {
	question
	generation uint64
}

type flight struct {
	done   chan struct{}
	shared int // guarded by flights.mu: who waits, beside the one who asked first
	res    Response
	err    error
}

// do returns what f returns, called by this caller or by one that asked before. f goes on
// when the caller that it is called by goes away: others may wait for it.
func (s *flights) do(ctx context.Context, k flightKey, f func(context.Context) (Response, error)) (Response, error) {
	s.mu.Lock()
	of := s.now[k]
	if of == nil {
		of = &flight{done: make(chan struct{})}
		if s.now == nil {
			s.now = map[flightKey]*flight{}
		}
		s.now[k] = of
		s.mu.Unlock()
		of.res, of.err = f(context.WithoutCancel(ctx))
		s.mu.Lock()
		delete(s.now, k)
		s.mu.Unlock()
		close(of.done)
		return of.res, of.err
	}
	of.shared++
	s.mu.Unlock()
	select {
	case <-of.done:
		return of.res, of.err
	case <-ctx.Done():
		return Response{}, ctx.Err()
	}
}
