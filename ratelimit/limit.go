package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

var (
	// ErrLimit means that a Limit cannot be kept: a count or a period that is not
	// positive, or one so large that it could not be counted exactly.
	ErrLimit = errors.New("ratelimit: bad limit")
	// ErrOptions means that options contradict each other or are out of range.
	ErrOptions = errors.New("ratelimit: bad options")
	// ErrCost means that a cost is not positive.
	ErrCost = errors.New("ratelimit: cost is not positive")
	// ErrNever means that what was asked for can never be granted: it costs more than the
	// limit ever holds.
	ErrNever = errors.New("ratelimit: cost exceeds what the limit ever holds")
	// ErrDeadline means that the wait would be longer than the caller may wait. It is
	// reported at once, not when the time is up.
	ErrDeadline = errors.New("ratelimit: wait would exceed the deadline")
	// ErrFull means that a queue or a table is full.
	ErrFull = errors.New("ratelimit: full")
	// ErrCorrupt means that a store holds something under a key that no limiter wrote.
	ErrCorrupt = errors.New("ratelimit: corrupt value in the store")
	// ErrClosed means that the thing was closed.
	ErrClosed = errors.New("ratelimit: closed")
)

// Never is the RetryAfter of what will not be admitted however long one waits.
const Never = time.Duration(math.MaxInt64)

// Limit allows Events per Per on average, and Burst at once.
//
// The zero Limit is not valid. Arithmetic is on integers and exact: seven a minute is a
// period of 60/7 s, not of 8.571428571 s. What could not be counted exactly is refused
// (ErrLimit): the time to fill an empty bucket, Burst×Per/Events, must be below 2^60
// nanoseconds (36 years) and Events/Per in lowest terms (Per in nanoseconds) must not
// need a numerator above 2^32; the product of the two bounds what odd rates with huge
// bursts may be.
type Limit struct {
	Name   string        // told in decisions and headers; may be empty
	Events int64         // at least 1
	Per    time.Duration // more than 0
	// Burst is how much may come at once after idle time; at least 1. Algorithms that
	// count in windows (FixedWindow, SlidingLog, SlidingCounter) ignore it: their most is
	// Events.
	Burst int64
}

// PerSecond allows n events a second, all n at once if need be.
func PerSecond(n int64) Limit { return Limit{Events: n, Per: time.Second, Burst: n} }

// PerMinute allows n events a minute, all n at once if need be.
func PerMinute(n int64) Limit { return Limit{Events: n, Per: time.Minute, Burst: n} }

// PerHour allows n events an hour, all n at once if need be.
func PerHour(n int64) Limit { return Limit{Events: n, Per: time.Hour, Burst: n} }

// Every allows one event each d, and never two closer than that.
func Every(d time.Duration) Limit { return Limit{Events: 1, Per: d, Burst: 1} }

// Validate returns nil or an error that wraps ErrLimit and says what is wrong.
func (l Limit) Validate() error {
	_, err := l.pace()
	return err
}

// String is "name: 100 per 1m0s, burst 20".
func (l Limit) String() string {
	s := fmt.Sprintf("%d per %v, burst %d", l.Events, l.Per, l.Burst)
	if l.Name != "" {
		s = l.Name + ": " + s
	}
	return s
}

// maxUnits bounds the time to fill a bucket, in units of the limit. Sums of a few such
// values stay below 2^63.
const maxUnits = 1 << 60

// pace is a Limit in the units in which it is counted: 1/e nanosecond, where p/e in
// lowest terms is the time of one event in nanoseconds. In these units an event, the
// burst and every instant that a clock can show are whole numbers.
type pace struct {
	p, e  int64
	burst int64
	tol   int64 // burst × p: a bucket that is tol behind is empty
}

func (l Limit) pace() (pace, error) {
	switch {
	case l.Events <= 0:
		return pace{}, fmt.Errorf("%w: %d events", ErrLimit, l.Events)
	case l.Per <= 0:
		return pace{}, fmt.Errorf("%w: period %v", ErrLimit, l.Per)
	case l.Burst <= 0:
		return pace{}, fmt.Errorf("%w: burst %d", ErrLimit, l.Burst)
	}
	g := gcd(int64(l.Per), l.Events)
	x := pace{p: int64(l.Per) / g, e: l.Events / g, burst: l.Burst}
	hi, lo := bits.Mul64(uint64(x.p), uint64(x.burst))
	if x.e > math.MaxUint32 || hi != 0 || lo > maxUnits {
		return pace{}, fmt.Errorf("%w: %v cannot be counted exactly", ErrLimit, l)
	}
	x.tol = int64(lo)
	return x, nil
}

// duration is a number of units as time, rounded up: who waits that long is not early.
func (x *pace) duration(units int64) time.Duration {
	if units <= 0 {
		return 0
	}
	if x.e == 1 { // the usual case, without a division
		return time.Duration(units)
	}
	d := units / x.e
	if units%x.e != 0 {
		d++
	}
	return time.Duration(d)
}

// cost is n events in units, at most maxUnits.
func (x *pace) cost(n int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(x.p))
	if hi != 0 || lo > maxUnits {
		return maxUnits
	}
	return int64(lo)
}

// scale is ceil(v × num / den) for positive numbers, at most maxUnits.
func scale(v, num, den int64) int64 {
	hi, lo := bits.Mul64(uint64(v), uint64(num))
	if hi >= uint64(den) {
		return maxUnits
	}
	q, r := bits.Div64(hi, lo, uint64(den))
	if r != 0 {
		q++
	}
	return int64(min(q, maxUnits))
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
