package ratelimit

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// The generic cell rate algorithm (ITU-T I.371) keeps one number, the theoretical arrival
// time: when the bucket will be full again if nothing more comes.
//
//	           t                    tat                t+tol
//	───────────┼─────────────────────┼───────────────────┼──────▶ time
//	           │◀──── is used ──────▶│◀── is left ──────▶│
//
// An event that takes p is admitted when max(tat, t) + p ≤ t + tol, and moves tat there.
// tol is the burst times p. The decisions are those of a token bucket with burst tokens,
// to the last one (TestAgainstTokenBucket): tokens = (t + tol - max(tat, t)) / p.
//
// Exact. Time is counted in 1/e nanoseconds, p/e being the time of an event in lowest
// terms, so that everything is a whole number. Such numbers outgrow an int64 after some
// time (292 years / e), so they count from a base, and the base moves.
//
// Slots. Each admitted event owns the slot [max(tat, t), max(tat, t) + cost) of the time
// line. The invariants from which all else follows:
//
//	I1  slots do not overlap
//	I2  a slot starts no earlier than its event happens
//	I3  a slot ends no later than tol after its event happens
//
// Events that happen within [x, y] own slots within [x, y+tol], so they cost at most
// y - x + tol: no window of any length sees more than its share plus one burst. A stale t
// can only refuse more.
//
// Hot path. One load of the pointer to the cell; one line of the cell, with all it takes
// to decide; to admit, one compare-and-swap in that line. To refuse, no write: cores that
// are being refused share the line and do not disturb each other; and while it is certain
// that nothing can be admitted, not even the clock (close). A cell is replaced when
// its base has to move or the limit changes: under the lock its tat is set to frozen,
// which is so far ahead that every caller ends on the path of refusal, where it looks
// twice. So the rare event costs the usual path nothing.

// frozen marks the tat of a cell that was replaced. No slot ends there.
const frozen = 1 << 62

// ceiling bounds how far ahead reservations and charges may reach.
const ceiling = frozen - 2*maxUnits

// cell is the state of a Limiter under one limit and one base. One cache line.
type cell struct {
	tat     atomic.Int64 // in 1/e ns after base; frozen when the cell was replaced
	base    int64        // ns after the limiter's start
	horizon uint64       // how far t may be from base, in ns
	pace                 // immutable
	limit   *Limit       // as it was given
}

// Limiter keeps one rate in one process. It is safe for concurrent use, never blocks but
// in Wait, and starts no goroutine; a timer may hold it in memory for a second after it has
// refused. The zero Limiter denies everything.
type Limiter struct {
	cell  atomic.Pointer[cell]
	start time.Time  // the clock's zero, with its monotonic reading
	mu    sync.Mutex // replacing the cell; the line
	line  *line
	holey atomic.Bool // there are holes in the line
	shut  atomic.Bool // nothing can be admitted for a while, see close
	opens int64       // when the timer that ends this fires; guarded by mu
}

// New makes a limiter that starts with its whole burst. ErrLimit if l cannot be kept.
func New(l Limit) (*Limiter, error) {
	x, err := l.pace()
	if err != nil {
		return nil, err
	}
	lim := &Limiter{start: time.Now()}
	lim.cell.Store(newCell(x, &l, 0, 0))
	return lim, nil
}

func newCell(x pace, l *Limit, base, tat int64) *cell {
	c := &cell{base: base, horizon: uint64(maxUnits / x.e), pace: x, limit: l}
	c.tat.Store(tat)
	return c
}

// now is the time since the limiter was made: one reading of the monotonic clock.
func (l *Limiter) now() int64 { return int64(time.Since(l.start)) }

// Allow admits one event or none. It does not allocate.
func (l *Limiter) Allow() bool { return !l.shut.Load() && l.allow(l.now(), 1) }

// AllowN admits n events or none of them. It never admits a negative n nor one above the
// burst. An n of 0 takes nothing and tells whether one event would be admitted.
func (l *Limiter) AllowN(n int64) bool { return !l.shut.Load() && l.allow(l.now(), n) }

func (l *Limiter) allow(now, n int64) bool {
	c := l.cell.Load()
	if c == nil {
		return false
	}
	d := uint64(now - c.base)
	if d > c.horizon || uint64(n-1) >= uint64(c.burst) {
		return l.allowSlowly(now, n)
	}
	t, cost := int64(d)*c.e, n*c.p
	for {
		tat := c.tat.Load()
		next := max(tat, t) + cost
		if next > t+c.tol {
			if tat == frozen || l.holey.Load() {
				return l.allowSlowly(now, n)
			}
			if tat+c.p-t-c.tol > c.e*int64(leastShut) {
				l.close()
			}
			return false
		}
		if c.tat.CompareAndSwap(tat, next) {
			return true
		}
	}
}

const (
	// leastShut is how long nothing can be admitted for a limiter to be shut.
	leastShut = 20 * time.Millisecond
	// mostShut is how long it is shut at most, and how long a timer may hold it in memory.
	mostShut = time.Second
)

// close lets Allow refuse without a look at the clock, which is nearly all that a refusal
// costs, for half of the time in which nothing can be admitted: tat only moves away but
// under the lock, and who holds it opens again (unlock). A timer ends the time. The other
// half, at least 10 ms, is for timers that are late, as they are when all processors are
// busy: by then Allow looks at the clock and is exact.
func (l *Limiter) close() {
	if !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	c, now := l.cell.Load(), l.now()
	if d := now - c.base; d < 0 || uint64(d) > c.horizon || l.holey.Load() {
		return
	}
	wait := (c.tat.Load() + c.p - (now-c.base)*c.e - c.tol) / c.e
	if wait < int64(leastShut) {
		return
	}
	switch until := now + min(wait/2, int64(mostShut)); {
	case l.opens <= now:
		l.opens = until
		l.shut.Store(true)
		time.AfterFunc(time.Duration(until-now), func() { l.shut.Store(false) })
	case l.opens <= until: // the timer that runs is early enough
		l.shut.Store(true)
	}
}

// allowSlowly is what allow falls back on: odd costs, cells to be replaced, spans that
// cancelled reservations left.
func (l *Limiter) allowSlowly(now, n int64) bool { return l.take(now, n).OK }

// Take is AllowN with the whole story.
func (l *Limiter) Take(n int64) Decision { return l.take(l.now(), n) }

// AllowAt is Take at a time that the caller has read, so that a batch pays for the clock
// once and tests own it. Times may come in any order; an earlier one than the latest is
// treated as if no time had passed since, or stricter. Do not mix with readings of a
// clock that differs from time.Now by more than you are ready to see refused.
func (l *Limiter) AllowAt(t time.Time, n int64) Decision {
	return l.take(min(max(int64(t.Sub(l.start)), 0), frozen), n)
}

func (l *Limiter) take(now, n int64) Decision {
	for {
		c, t := l.at(now)
		if c == nil {
			return Decision{RetryAfter: Never}
		}
		tat := c.tat.Load()
		if tat == frozen {
			continue
		}
		if n < 0 || n > c.burst {
			return c.decide(tat, t, n, false)
		}
		next := max(tat, t) + n*c.p
		if next > t+c.tol || (n == 0 && next+c.p > t+c.tol) {
			if n > 0 && l.holey.Load() && l.takeHole(now, n) {
				return c.decide(tat, t, n, true)
			}
			return c.decide(tat, t, n, false)
		}
		if n == 0 || c.tat.CompareAndSwap(tat, next) {
			return c.decide(next, t, n, true)
		}
	}
}

// decide tells of a decision about n at t; tat is what it is after it.
func (c *cell) decide(tat, t, n int64, ok bool) Decision {
	used := max(tat-t, 0)
	d := Decision{OK: ok, Limit: c.limit.Name, Quota: c.burst, Remaining: floorDiv(c.tol-used, c.p), ResetAfter: c.duration(used)}
	if !ok {
		if n < 0 || n > c.burst {
			d.RetryAfter = Never
		} else {
			d.RetryAfter = max(c.duration(used+max(n, 1)*c.p-c.tol), 1)
		}
	}
	return d
}

// TakeUpTo admits as many of n events as it can and returns how many.
func (l *Limiter) TakeUpTo(n int64) int64 {
	if n <= 0 {
		return 0
	}
	now := l.now()
	for {
		c, t := l.at(now)
		if c == nil {
			return 0
		}
		tat := c.tat.Load()
		if tat == frozen {
			continue
		}
		from := max(tat, t)
		k := min(n, (t+c.tol-from)/c.p)
		if k <= 0 {
			return 0
		}
		if c.tat.CompareAndSwap(tat, from+k*c.p) {
			return k
		}
	}
}

// Charge takes n events without asking, for work that was found to cost more after it was
// done, or that is reported late. The balance may go below zero, and everything is refused
// until it is paid back. ErrCost if n is not positive.
func (l *Limiter) Charge(n int64) error {
	if n <= 0 {
		return fmt.Errorf("%w: %d", ErrCost, n)
	}
	now := l.now()
	for {
		c, t := l.at(now)
		if c == nil {
			return nil
		}
		tat := c.tat.Load()
		if tat != frozen && c.tat.CompareAndSwap(tat, min(max(tat, t)+c.cost(n), ceiling)) {
			return nil
		}
	}
}

// Limit is the limit in force; the zero Limit of a zero Limiter.
func (l *Limiter) Limit() Limit {
	c := l.cell.Load()
	if c == nil {
		return Limit{}
	}
	return *c.limit
}

// SetLimit changes the limit. What is in use stays in use, counted in events: with seven of
// ten taken, a new burst of twenty leaves thirteen, a new burst of five leaves minus two.
// Those who wait are served under the new limit, or get ErrNever if they no longer fit;
// reservations made before can no longer be cancelled, and keep what they took.
func (l *Limiter) SetLimit(n Limit) error {
	x, err := n.pace()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.unlock()
	old := l.cell.Load()
	if old == nil {
		return fmt.Errorf("%w: a zero Limiter denies and has no limit to change", ErrOptions)
	}
	now := l.now()
	now = max(now, old.base)
	old = l.cover(old, now)
	tat, t := old.tat.Swap(frozen), (now-old.base)*old.e
	used := max(tat-t-l.waiting(old, t), 0)
	c := newCell(x, &n, now, scale(used, x.p, old.p))
	l.replaceWaiters(c)
	l.cell.Store(c)
	return nil
}

// at returns the cell for a time and the time in the cell's units. A time before the base
// is the base: somebody has seen that one already.
func (l *Limiter) at(now int64) (*cell, int64) {
	c := l.cell.Load()
	if c == nil {
		return nil, 0
	}
	if d := now - c.base; d <= 0 {
		return c, 0
	} else if uint64(d) > c.horizon {
		l.mu.Lock()
		c = l.cover(l.cell.Load(), now)
		l.unlock()
	}
	return c, max(now-c.base, 0) * c.e
}

// cover replaces c, which must be the present cell, by one with a later base if now is
// beyond its horizon. The lock must be held.
func (l *Limiter) cover(c *cell, now int64) *cell {
	d := now - c.base
	if d <= 0 || uint64(d) <= c.horizon {
		return c
	}
	n := newCell(c.pace, c.limit, now, 0)
	n.tat.Store(rebase(c.tat.Swap(frozen), d, c.e))
	l.moveLine(n, d)
	l.cell.Store(n)
	return n
}

// rebase is an instant counted from a base that is d ns later; at least 0, the base itself.
func rebase(at, d, e int64) int64 {
	hi, lo := bits.Mul64(uint64(d), uint64(e))
	if hi != 0 || lo >= uint64(at) {
		return 0
	}
	return at - int64(lo)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
