package router

import (
	"sync"
	"time"
)

// limiter lets each client ask so many times a second, and a burst at once. It is the
// generic cell rate algorithm: all that is kept of a client is the moment until which
// what it asked for is paid for.
type limiter struct {
	every time.Duration // between two requests, in the long run; 0: no limit
	ahead time.Duration // how far a client may run ahead: its burst
	max   int           // clients that are kept

	mu   sync.Mutex
	paid map[string]time.Time // guarded by mu
}

func newLimiter(perSecond float64, burst int) *limiter {
	l := &limiter{max: 100_000, paid: map[string]time.Time{}}
	if perSecond > 0 {
		l.every = time.Duration(float64(time.Second) / perSecond)
		l.ahead = time.Duration(max(burst, 1)) * l.every
	}
	return l
}

// take takes n requests of a client's, or says when to come back.
func (l *limiter) take(client string, n int, now time.Time) (wait time.Duration, ok bool) {
	if l.every == 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.paid[client]
	if at.Before(now) {
		at = now
	}
	at = at.Add(time.Duration(n) * l.every)
	if over := at.Sub(now.Add(l.ahead)); over > 0 {
		return over, false
	}
	if len(l.paid) >= l.max {
		l.sweep(now)
	}
	l.paid[client] = at
	return 0, true
}

// sweep forgets clients that owe nothing, or all if none does: a flood from a hundred
// thousand addresses is not to be held back by address. The caller holds mu.
func (l *limiter) sweep(now time.Time) {
	for c, at := range l.paid {
		if !at.After(now) {
			delete(l.paid, c)
		}
	}
	if len(l.paid) >= l.max {
		clear(l.paid)
	}
}
