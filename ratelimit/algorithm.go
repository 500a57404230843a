package ratelimit

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Algorithm is how events are counted. For a limit of 10 a minute:
//
//	GCRA            10 at once, then one each 6 s               8+4 bytes a key, exact
//	TokenBucket     the same decisions; another name            the same
//	LeakyBucket     one each 6 s, up to 10 in the queue         the same
//	FixedWindow     10 from each full minute to the next;       the same
//	                so 20 in a second around the edge
//	SlidingLog      10 in any minute                            16 bytes an event, exact
//	SlidingCounter  about 10 in any minute: assumes that the    16 bytes a key
//	                last window's events were spread evenly
type Algorithm uint8

const (
	// GCRA is the generic cell rate algorithm: Burst at once, Events per Per in the long
	// run. In any time w it admits at most Burst + Events×w/Per.
	GCRA Algorithm = iota
	// TokenBucket decides exactly as GCRA does: Burst tokens that refill evenly.
	TokenBucket
	// LeakyBucket is a queue that drains at a constant pace: an admitted event has to wait
	// Decision.Delay for its turn, Per/Events after the one before. At most Burst are in
	// the queue, the one being served among them; the rest is refused.
	LeakyBucket
	// FixedWindow admits Events in each window of length Per. Windows are aligned to the
	// Unix epoch, so that hours begin at full hours. Twice as many may come within a short
	// time around an edge: that is its nature.
	FixedWindow
	// SlidingLog remembers each event and admits Events in any time of length Per, to the
	// nanosecond. Memory grows with Events.
	SlidingLog
	// SlidingCounter keeps the counts of this window and the last, and weighs the last by
	// the part of it that is less than Per ago. No burst at an edge; at worst (all of a
	// window at its end, followed by a steady stream) twice Events in a time of Per.
	SlidingCounter
)

var algorithmNames = [...]string{"gcra", "token-bucket", "leaky-bucket", "fixed-window", "sliding-log", "sliding-counter"}

// String is the algorithm's name in small letters.
func (a Algorithm) String() string {
	if int(a) < len(algorithmNames) {
		return algorithmNames[a]
	}
	return fmt.Sprintf("algorithm(%d)", uint8(a))
}

// windowed says that a limit's most is Events, not Burst.
func (a Algorithm) windowed() bool { return a >= FixedWindow }

// maxLog bounds the events that a SlidingLog remembers for a key.
const maxLog = 1 << 20

// rule is a Limit made ready for one algorithm. Immutable.
type rule struct {
	limit Limit
	alg   Algorithm
	pace
	per    int64
	quota  int64 // the most that it ever holds
	origin int64 // Unix nanoseconds at the clock's zero, for the edges of windows
	// One event's time and the burst's, as ns and e-ths of a ns.
	step, tolerance span2
	perUnit         float64 // events in a unit, about
}

// span2 is a length or an instant of whole nanoseconds and a fraction in units of the rule.
type span2 struct {
	ns   int64
	frac uint32
}

func newRule(l Limit, a Algorithm, origin int64) (*rule, error) {
	if int(a) >= len(algorithmNames) {
		return nil, fmt.Errorf("%w: %v", ErrOptions, a)
	}
	x, err := l.pace()
	if err != nil {
		return nil, err
	}
	r := &rule{limit: l, alg: a, pace: x, per: int64(l.Per), quota: l.Burst, origin: origin}
	if a.windowed() {
		r.quota = l.Events
		if most := int64(math.MaxUint32); l.Events > most || a == SlidingLog && l.Events > maxLog {
			return nil, fmt.Errorf("%w: %v: too many events for %v", ErrLimit, l, a)
		}
	}
	r.step, r.tolerance, r.perUnit = r.split(x.p), r.split(x.tol), 1/float64(x.p)
	return r, nil
}

func (r *rule) split(units int64) span2 { return span2{units / r.e, uint32(units % r.e)} }

// state is what is known of one key under one rule. The zero state is that of a key never
// seen, and so is every state whose at is past: idle keys need not be kept.
//
//	GCRA, TokenBucket, LeakyBucket   at + b/e is the theoretical arrival time (limiter.go);
//	                                 with the fraction aside, years of nanoseconds fit
//	FixedWindow                      at is the window's end, b its count
//	SlidingCounter                   at is the end of the window after this one (when all
//	                                 is forgotten), b this window's count, c the last one's
//	SlidingLog                       at is when the newest event leaves; the log has them all
type state struct {
	at   int64
	b, c uint32
}

// take is the state after n more events at now; ok says whether the limit admits them.
// With force it is the state after them in any case. A log is not changed but for
// dropping what is too old.
func (r *rule) take(s state, lg *stamps, now, n int64, force bool) (next state, ok bool) {
	if !force && (n < 0 || n > r.quota) {
		return s, false
	}
	switch r.alg {
	case FixedWindow:
		s = r.window(s, now)
		ok = n <= r.quota-int64(s.b)
		s.b = saturate(int64(s.b), n)
	case SlidingCounter:
		s = r.windows(s, now)
		ok = r.counterHolds(s, now, n)
		s.b = saturate(int64(s.b), n)
	case SlidingLog:
		now = lg.prune(now, r.per)
		ok = n <= r.quota-lg.sum
		s.at = now + r.per
	default:
		if s.at < now {
			s = state{at: now}
		}
		d := r.step
		if n != 1 {
			d = r.split(r.cost(n))
		}
		s.at += d.ns
		// In 64 bits: the sum of two fractions may exceed 32.
		if f := uint64(s.b) + uint64(d.frac); f >= uint64(r.e) {
			s.at++
			s.b = uint32(f - uint64(r.e))
		} else {
			s.b = uint32(f)
		}
		used := s.at - now
		ok = used < r.tolerance.ns || used == r.tolerance.ns && s.b <= r.tolerance.frac
		if force {
			s.at = min(s.at, now+2*maxUnits/r.e)
		}
	}
	return s, ok
}

// saturate adds counts.
func saturate(b, n int64) uint32 { return uint32(min(b+min(n, math.MaxUint32), math.MaxUint32)) }

// edge is the end of the window that now is in.
func (r *rule) edge(now int64) int64 {
	m := (now + r.origin) % r.per
	if m < 0 {
		m += r.per
	}
	return now - m + r.per
}

// window is a FixedWindow's state seen from now. A clock that goes back stays in its window.
func (r *rule) window(s state, now int64) state {
	if now >= s.at {
		return state{at: r.edge(now)}
	}
	return s
}

// windows is a SlidingCounter's state seen from now.
func (r *rule) windows(s state, now int64) state {
	switch end := s.at - r.per; {
	case now >= s.at || s.at == 0:
		return state{at: r.edge(now) + r.per}
	case now >= end:
		return state{at: s.at + r.per, c: s.b}
	default:
		return s
	}
}

// ahead is the time from now to the end of a SlidingCounter's window, at most a window.
func (r *rule) ahead(s state, now int64) int64 { return min(s.at-r.per-now, r.per) }

// counterHolds says whether last×(part of it within the sliding window) + this + n ≤ Events.
func (r *rule) counterHolds(s state, now, n int64) bool {
	room := r.quota - int64(s.b) - n
	if n > r.quota || room < 0 {
		return false
	}
	lhi, llo := bits.Mul64(uint64(s.c), uint64(r.ahead(s, now)))
	rhi, rlo := bits.Mul64(uint64(room), uint64(r.per))
	return lhi < rhi || lhi == rhi && llo <= rlo
}

// tell words the decision of which s is the state after it; n is what was asked for. It
// sets all fields but Delay, and divides as little as it can.
func (r *rule) tell(d *Decision, s state, lg *stamps, now, n int64, ok bool) {
	d.OK, d.Degraded, d.Limit, d.Quota, d.RetryAfter, d.ResetAfter = ok, false, r.limit.Name, r.quota, 0, 0
	never := n < 0 || n > r.quota
	n = max(n, 1)
	switch r.alg {
	case FixedWindow:
		s = r.window(s, now)
		d.Remaining = r.quota - int64(s.b)
		if s.b > 0 {
			d.ResetAfter = time.Duration(s.at - now)
		}
		d.RetryAfter = d.ResetAfter
	case SlidingCounter:
		s = r.windows(s, now)
		left := r.ahead(s, now)
		d.Remaining = r.quota - int64(s.b) - scale(int64(s.c), left, r.per)
		switch {
		case s.b > 0:
			d.ResetAfter = time.Duration(left + r.per)
		case s.c > 0:
			d.ResetAfter = time.Duration(left)
		}
		if !ok && !never {
			d.RetryAfter = time.Duration(r.counterRetry(s, left, n))
		}
	case SlidingLog:
		now = lg.prune(now, r.per)
		d.Remaining = r.quota - lg.sum
		if lg.len() > 0 {
			d.ResetAfter = time.Duration(lg.last() + r.per - now)
		}
		if !ok && !never {
			d.RetryAfter = time.Duration(lg.freeAt(lg.sum+n-r.quota) + r.per - now)
		}
	default:
		used := r.used(s, now)
		d.Remaining, d.ResetAfter = r.events(r.tol-used), r.duration(used)
		if !ok {
			d.RetryAfter = r.duration(used + r.cost(n) - r.tol)
		}
	}
	switch {
	case ok:
		d.RetryAfter = 0
	case never:
		d.RetryAfter = Never
	default:
		d.RetryAfter = max(d.RetryAfter, 1)
	}
}

// events is how many events have their time in so many units, rounded down. The quotient is
// guessed by a multiplication, off by two at most where it is below 2^50, and put right.
func (r *rule) events(units int64) int64 {
	q := int64(float64(units) * r.perUnit)
	if q > 1<<50 || q < -1<<50 {
		return floorDiv(units, r.p)
	}
	rest := units - q*r.p
	for ; rest < 0; rest += r.p {
		q--
	}
	for ; rest >= r.p; rest -= r.p {
		q++
	}
	return q
}

// used is how far a theoretical arrival time is ahead of now, in units. A clock that went
// back far sees more than can be counted, and all that is more than ever fits is the same.
func (r *rule) used(s state, now int64) int64 {
	if s.at < now {
		return 0
	}
	if s.at-now > 2*maxUnits/r.e {
		return 2 * maxUnits
	}
	return (s.at-now)*r.e + int64(s.b)
}

// counterRetry is when n are admitted if nothing else comes: still in this window, when
// enough of the last one has slid out, or in the next, when enough of this one has.
func (r *rule) counterRetry(s state, left, n int64) int64 {
	if room := r.quota - int64(s.b) - n; room >= 0 && s.c > 0 {
		// The most that may be ahead of the edge.
		return left - floorScale(room, r.per, int64(s.c))
	}
	if s.b == 0 {
		return left
	}
	// In the next window, whose last one is this.
	return left + max(r.per-floorScale(r.quota-n, r.per, int64(s.b)), 0)
}

// floorScale is v × num / den, at most num when v ≥ den.
func floorScale(v, num, den int64) int64 {
	if v >= den {
		return num
	}
	hi, lo := bits.Mul64(uint64(v), uint64(num))
	q, _ := bits.Div64(hi, lo, uint64(den))
	return int64(q)
}

// delay is how long an event that was admitted from state s waits for its turn.
func (r *rule) delay(s state, now int64) time.Duration {
	if r.alg != LeakyBucket || s.at < now {
		return 0
	}
	d := s.at - now
	if s.b > 0 {
		d++
	}
	return time.Duration(d)
}

// carry is the state under r of a key that had state s under o, where what is in use stays
// in use.
func (r *rule) carry(o *rule, s state, now int64) state {
	if o == nil || s.at < now {
		return state{}
	}
	switch r.alg {
	case FixedWindow:
		return state{at: r.edge(now), b: o.window(s, now).b}
	case SlidingCounter:
		if s = o.windows(s, now); o.per == r.per {
			return s
		}
		used := int64(s.b) + scale(int64(s.c), o.ahead(s, now), o.per)
		return state{at: r.edge(now) + r.per, b: saturate(used, 0)}
	case SlidingLog:
		return state{at: max(s.at-o.per+r.per, now)}
	default:
		d := r.split(scale(o.used(s, now), r.p, o.p))
		return state{at: now + d.ns, b: d.frac}
	}
}
