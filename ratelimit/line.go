package ratelimit

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

// Those who wait own slots of the time line that lie ahead (limiter.go has the picture):
//
//	   t     t+tol
//	───┼───────┼──[ A ][ B ][   C   ][ D ]┼──────▶
//	                                     tat
//
// A claim's time has come when its slot ends no later than t + tol. As slots ahead end in
// the order in which they were taken, who came first is served first; and as tat lies
// beyond t + tol while anybody waits, nobody overtakes them with Allow.
//
// Giving back. A cancelled claim leaves of its slot what lies after t: the rest was time
// in which the bucket filled for nobody. What lies behind moves up by as much, tat with it,
// so that the next caller finds what was given back. But a reservation told its caller a
// time and cannot move. In front of the first such one there remains a hole. It goes to the
// first of those who wait behind it, else to whoever comes and fits in, by the same rules as
// the line itself; a hole shrinks as t passes over it. Slots never overlap, none starts before its event, none ends later than
// tol after it: the invariants hold, so no window sees more than it may, whatever is
// cancelled when.
//
// Every reader of the line holds the limiter's lock; Allow comes here only when it would
// have to refuse and there are holes.

// line is who waits and what was given back among them.
type line struct {
	claims []*claim // those whose time has not come, in the order of their slots
	holes  []span   // disjoint, in order
	epoch  int      // counts the changes of the limit
}

type span struct{ from, to int64 }

// claim is a slot of a waiter or of a reservation.
type claim struct {
	lim     *Limiter
	from    int64 // start of the slot, in units after base
	cost    int64 // its length
	n       int64 // the events that it is for
	base    int64
	epoch   int
	fixed   bool // a reservation: its caller knows the time
	settled bool // its time has come, or it was cancelled
	done    bool // cancelled
	err     error
	moved   chan struct{} // of a waiter: look again
}

// unlock releases the limiter's lock and lets Allow know whether there are holes, and that
// something may have been given back.
func (l *Limiter) unlock() {
	l.shut.Store(false)
	if l.line != nil {
		l.holey.Store(len(l.line.holes) > 0)
	}
	l.mu.Unlock()
}

// due is how far the claim's time is ahead of t, in units.
func (k *claim) due(c *cell, t int64) int64 { return k.from + k.cost - c.tol - t }

// rebase counts the claim from the base of c.
func (k *claim) rebase(c *cell) {
	if d := c.base - k.base; d > 0 {
		k.base = c.base
		if hi, lo := bits.Mul64(uint64(d), uint64(c.e)); hi == 0 && lo < frozen {
			k.from = max(k.from-int64(lo), -frozen)
		} else {
			k.from = -frozen // long past: any instant before 0 will do
		}
	}
}

func (k *claim) notify() {
	select {
	case k.moved <- struct{}{}:
	default:
	}
}

// settle takes those out of the line whose time has come.
func (ln *line) settle(c *cell, t int64) {
	i := 0
	for ; i < len(ln.claims) && ln.claims[i].due(c, t) <= 0; i++ {
		ln.claims[i].settled = true
	}
	ln.claims = slices.Delete(ln.claims, 0, i)
	ln.holes = slices.DeleteFunc(ln.holes, func(h span) bool { return h.to <= t })
	if len(ln.holes) > 0 {
		ln.holes[0].from = max(ln.holes[0].from, t) // the others lie behind
	}
}

// moveLine counts everything in line from a base that is d ns later.
func (l *Limiter) moveLine(c *cell, d int64) {
	ln := l.line
	if ln == nil {
		return
	}
	for _, k := range ln.claims {
		k.rebase(c)
	}
	for i, h := range ln.holes {
		ln.holes[i] = span{rebase(h.from, d, c.e), rebase(h.to, d, c.e)}
	}
}

// waiting is what those in line take who can be placed anew. The lock must be held.
func (l *Limiter) waiting(c *cell, t int64) (sum int64) {
	ln := l.line
	if ln == nil {
		return 0
	}
	ln.settle(c, t)
	for _, k := range ln.claims {
		if !k.fixed {
			sum += k.cost
		}
	}
	return sum
}

// replaceWaiters puts those who wait in line for c, which nobody else has seen yet. The
// lock must be held.
func (l *Limiter) replaceWaiters(c *cell) {
	ln := l.line
	if ln == nil {
		return
	}
	ln.epoch++
	ln.holes = nil
	kept := ln.claims[:0]
	for _, k := range ln.claims {
		if k.fixed {
			continue
		}
		k.notify()
		if k.n > c.burst {
			k.err = ErrNever
			continue
		}
		k.from, k.cost, k.base, k.epoch = c.tat.Load(), k.n*c.p, c.base, ln.epoch
		c.tat.Store(k.from + k.cost)
		kept = append(kept, k)
	}
	clear(ln.claims[len(kept):])
	ln.claims = kept
}

// claim takes a slot for n events whose time comes within maxWait.
func (l *Limiter) claim(n int64, maxWait time.Duration, fixed bool) (*claim, error) {
	if n <= 0 {
		return nil, fmt.Errorf("%w: %d", ErrCost, n)
	}
	l.mu.Lock()
	defer l.unlock()
	c := l.cell.Load()
	if c == nil || n > c.burst {
		return nil, ErrNever
	}
	ln := l.line
	if ln == nil {
		ln = &line{}
		l.line = ln
	}
	k := &claim{lim: l, cost: n * c.p, n: n, epoch: ln.epoch, fixed: fixed}
	if !fixed {
		k.moved = make(chan struct{}, 1)
	}
	for {
		now := l.now()
		c = l.cover(c, now)
		t := max(now-c.base, 0) * c.e
		ln.settle(c, t)
		k.base = c.base
		// A waiter must not pass others that wait behind a hole.
		hole := -1
		if fixed || len(ln.claims) == 0 {
			hole = slices.IndexFunc(ln.holes, func(h span) bool { return max(h.from, t)+k.cost <= h.to })
		}
		tat := c.tat.Load()
		if k.from = max(tat, t); hole >= 0 {
			k.from = max(ln.holes[hole].from, t)
		}
		wait := k.due(c, t)
		if k.from+k.cost > ceiling || c.duration(wait) > max(maxWait, 0) {
			return nil, fmt.Errorf("%w: %v", ErrDeadline, c.duration(wait))
		}
		if hole >= 0 {
			ln.holes[hole].from = k.from + k.cost
		} else if !c.tat.CompareAndSwap(tat, k.from+k.cost) {
			continue
		}
		if k.settled = wait <= 0; !k.settled {
			i, _ := slices.BinarySearchFunc(ln.claims, k, byPlace)
			ln.claims = slices.Insert(ln.claims, i, k)
		}
		return k, nil
	}
}

// takeHole serves n events from what cancelled reservations left.
func (l *Limiter) takeHole(now, n int64) bool {
	l.mu.Lock()
	defer l.unlock()
	ln, c := l.line, l.cover(l.cell.Load(), now)
	t := max(now-c.base, 0) * c.e
	if n > c.burst {
		return false
	}
	ln.settle(c, t)
	for i, h := range ln.holes {
		if end := max(h.from, t) + n*c.p; end <= h.to && end <= t+c.tol {
			ln.holes[i].from = end
			return true
		}
	}
	return false
}

// cancel gives back what of k's slot lies ahead, and lets those who wait behind a
// reservation have it.
func (l *Limiter) cancel(k *claim) {
	l.mu.Lock()
	defer l.unlock()
	ln := l.line
	if k.done || k.epoch != ln.epoch {
		return
	}
	k.done, k.settled = true, true
	ln.claims = slices.DeleteFunc(ln.claims, func(o *claim) bool { return o == k })
	for l.giveBack(k); k != nil; {
		if k = ln.fillHole(); k != nil {
			l.giveBack(k) // the slot that it has left
		}
	}
}

// giveBack frees what of k's slot lies ahead. The lock must be held, and k not be in line.
func (l *Limiter) giveBack(k *claim) {
	ln := l.line
	for {
		// tat first: if it is still the same when it is swapped, then no gap has opened
		// between k's slot and tat since t was read.
		tat := l.cell.Load().tat.Load()
		now := l.now()
		old := l.cell.Load()
		c := l.cover(old, now)
		if c != old {
			continue
		}
		t := max(now-c.base, 0) * c.e
		ln.settle(c, t)
		k.rebase(c)
		end := k.from + k.cost
		left := end - max(k.from, t)
		if left <= 0 {
			return
		}
		if i := slices.IndexFunc(ln.holes, func(h span) bool { return h.to == k.from }); i >= 0 {
			// The hole in front was there because k could not move.
			left += k.from - max(ln.holes[i].from, t)
		}
		fixed := slices.IndexFunc(ln.claims, func(o *claim) bool { return o.fixed && o.from >= end })
		to := tat
		if fixed >= 0 {
			to = ln.claims[fixed].from
		}
		// Holes on the way go along.
		total := left
		for _, h := range ln.holes {
			if h.from >= end && h.to <= to {
				total += h.to - max(h.from, t)
			}
		}
		if fixed < 0 && !c.tat.CompareAndSwap(tat, tat-total) {
			continue
		}
		ln.holes = slices.DeleteFunc(ln.holes, func(h span) bool { return h.to == k.from })
		ln.moveUp(end, to, left, t)
		if fixed >= 0 {
			ln.addHole(span{to - total, to})
		}
		return
	}
}

// fillHole lets the first of those who wait behind a hole move into it if it fits, and
// returns the slot that this one has left; nil if nobody moved.
func (ln *line) fillHole() *claim {
	for i := range ln.holes {
		h := &ln.holes[i]
		j := slices.IndexFunc(ln.claims, func(o *claim) bool { return !o.fixed && o.from >= h.to })
		if j < 0 || ln.claims[j].cost > h.to-h.from {
			continue
		}
		k := ln.claims[j]
		left := &claim{from: k.from, cost: k.cost, base: k.base}
		k.from = h.from
		h.from += k.cost
		slices.SortFunc(ln.claims, byPlace)
		k.notify()
		return left
	}
	return nil
}

// byPlace orders claims by their slots.
func byPlace(a, b *claim) int { return cmp.Compare(a.from, b.from) }

// moveUp lets those whose slots are within [from, to) use the room in front of them, by
// and by also that of the holes between them, and drops these holes.
func (ln *line) moveUp(from, to, by, t int64) {
	i := 0
	for _, k := range ln.claims {
		if k.from < from || k.from >= to {
			continue
		}
		for ; i < len(ln.holes) && ln.holes[i].from < k.from; i++ {
			if h := ln.holes[i]; h.from >= from {
				by += h.to - max(h.from, t)
			}
		}
		k.from -= by
		k.notify()
	}
	ln.holes = slices.DeleteFunc(ln.holes, func(h span) bool { return h.from >= from && h.to <= to })
}

func (ln *line) addHole(h span) {
	i, _ := slices.BinarySearchFunc(ln.holes, h, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	ln.holes = slices.Insert(ln.holes, i, h)
}

// delay is the time until a claim's turn.
func (l *Limiter) delay(k *claim) (time.Duration, error) {
	l.mu.Lock()
	defer l.unlock()
	if k.err != nil || k.settled {
		return 0, k.err
	}
	now := l.now()
	c := l.cover(l.cell.Load(), now)
	t := max(now-c.base, 0) * c.e
	l.line.settle(c, t)
	if k.settled {
		return 0, nil
	}
	return c.duration(k.due(c, t)), nil
}

// Wait blocks until one event is admitted. See WaitN.
func (l *Limiter) Wait(ctx context.Context) error { return l.WaitN(ctx, 1) }

// WaitN blocks until n events are admitted together. Callers are served in the order in
// which they came. It fails at once with ErrNever if n is above the burst, with ErrDeadline
// if the deadline of ctx comes first, with ErrCost if n is not positive; and with the error
// of ctx when that is done, giving back what it had claimed, so that those behind move up.
func (l *Limiter) WaitN(ctx context.Context, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if n > 0 && l.allow(l.now(), n) {
		return nil
	}
	most := Never
	if d, ok := ctx.Deadline(); ok {
		most = time.Until(d)
	}
	k, err := l.claim(n, most, false)
	if err != nil {
		return err
	}
	d, err := l.delay(k)
	if err != nil || d <= 0 {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-k.moved:
		case <-ctx.Done():
			l.cancel(k)
			return ctx.Err()
		}
		if d, err = l.delay(k); err != nil || d <= 0 {
			return err
		}
		timer.Reset(d)
	}
}

// Reservation is a right to n events at a time to come. Copies are the same reservation.
type Reservation struct{ k *claim }

// Reserve takes n events now that may happen when Delay has passed, at most maxWait from
// now. The caller must wait for it, or Cancel. ErrDeadline if it would take longer than
// maxWait, ErrNever if n is above the burst, ErrCost if n is not positive; then nothing was
// taken. One allocation.
func (l *Limiter) Reserve(n int64, maxWait time.Duration) (Reservation, error) {
	k, err := l.claim(n, maxWait, true)
	return Reservation{k}, err
}

// Delay is how long the reserved events still have to wait; 0 when their time has come.
func (r Reservation) Delay() time.Duration {
	if r.k == nil {
		return 0
	}
	d, _ := r.k.lim.delay(r.k)
	return d
}

// Cancel gives back exactly what nobody can have used: all of it before the reservation's
// time and at that very moment, and afterwards what the rate has not replaced meanwhile.
// Again, or on the zero Reservation, it does nothing.
func (r Reservation) Cancel() {
	if r.k != nil {
		r.k.lim.cancel(r.k)
	}
}
