package ratelimit

import (
	"fmt"
	"math"
)

// How a limit of work in flight finds itself. By Little's law a server of c workers that
// need time s each holds c pieces of work when it is just busy; what is in flight beyond
// waits in its queue and only makes everybody slower:
//
//	latency
//	   │                      ╱    in flight × s / c
//	 s │─────────────────────╱
//	   └─────────────────────┴──────▶ in flight
//	                         c
//
// With the latency without a queue, the baseline, the queue can be told from outside:
// queue = limit × (1 - baseline / latency). Vegas holds it between two bounds, Gradient
// steers by the ratio; both settle a few above c.
//
// The baseline is the lowest window mean of the last Memory. Means, not single samples, for
// the fastest request ever is not what requests take. It is not an average: it does not
// follow an incident, however long (up to Memory), so the limit cannot run away with it.
// It is measured too high if the limit never was below c; hence each probeEvery windows one
// runs at three quarters of the limit, which can only lower the baseline.
//
// Latency can also rise for reasons that are not our queue: a slow disk behind the server.
// A smaller limit does not help then and only wastes what the server could still do. So a
// cut is an experiment. When latency does not fall by at least half of what the queue in
// the picture would have made of it, the cut is taken back, and the limit is held, neither
// grown nor cut, until latency has changed; now and then the experiment is repeated.
//
// Only work that started after the last change of the limit is a sample for the next.
//
// Brakmo, Peterson, "TCP Vegas" (1995); Netflix, "Performance Under Load" (2018).

// Adaptation is how a Concurrency finds its limit.
type Adaptation uint8

const (
	// Fixed keeps the limit that was set.
	Fixed Adaptation = iota
	// AIMD adds one for each good window in which the limit was reached and takes a tenth
	// away after drops. It needs something behind it that refuses or times out.
	AIMD
	// Gradient multiplies the limit with baseline/latency and leaves a queue of the
	// limit's square root.
	Gradient
	// Vegas keeps a queue of three to five times the limit's decimal logarithm.
	Vegas
)

var adaptationNames = [...]string{"fixed", "aimd", "gradient", "vegas"}

// String is the name in small letters.
func (a Adaptation) String() string {
	if int(a) < len(adaptationNames) {
		return adaptationNames[a]
	}
	return fmt.Sprintf("adaptation(%d)", uint8(a))
}

const (
	minSamples  = 48 // the lowest of many means of fewer would be far below what is usual
	probeEvery  = 64 // windows
	repeatAfter = 64 // windows, until a failed experiment is repeated
	epochs      = 8  // the memory forgets by eighths
)

// adapter is the state of an adaptive limit. It has no clock of its own.
type adapter struct {
	o       *ConcurrencyOptions
	from    int64 // samples that started before do not count
	most    int   // most in flight in this window
	sum     float64
	n, lost int
	windows int

	best  [epochs]float64 // lowest window mean by eighths of the memory; 0: none
	epoch int64

	probing int // the limit to go back to after a probe; 0: none
	cut     struct {
		from    int     // the limit before the experiment; 0: none is running
		latency float64 // before it
	}
	held struct {
		latency float64 // at which the limit is held; 0: it is not
		windows int
	}
}

func newAdapter(o *ConcurrencyOptions) adapter { return adapter{o: o} }

// started notes how much is in flight.
func (a *adapter) started(flying int) { a.most = max(a.most, flying) }

// ended takes in a sample and returns the limit from now on.
func (a *adapter) ended(limit int, since, now int64, o Outcome) int {
	if a.o.Adaptation == Fixed || o == Ignore || since < a.from {
		return limit
	}
	took := now - since
	if o == Dropped || a.o.Timeout > 0 && took > int64(a.o.Timeout) {
		a.lost++
	} else {
		a.sum += float64(max(took, 1))
		a.n++
	}
	if now-a.from < int64(a.o.Window) || a.n+a.lost < minSamples {
		return limit
	}
	next := a.window(limit, now)
	next = min(max(next, a.o.Min), a.o.Max)
	a.sum, a.n, a.lost, a.most = 0, 0, 0, 0
	a.from = now
	return next
}

// window ends a window and returns the next limit.
func (a *adapter) window(limit int, now int64) int {
	a.windows++
	busy := a.most*10 >= limit*8
	if a.o.Adaptation == AIMD || a.lost > 0 && a.n == 0 {
		return aimd(limit, a.lost > 0, busy)
	}
	latency := a.sum / float64(a.n)
	a.remember(latency, now)
	if a.probing > 0 {
		limit, a.probing = a.probing, 0
		return limit
	}
	if a.lost > 0 {
		return aimd(limit, true, busy)
	}
	if a.cut.from > 0 {
		from, before := a.cut.from, a.cut.latency
		a.cut.from = 0
		if want := before * (1 + float64(limit)/float64(from)) / 2; latency > want {
			a.held.latency, a.held.windows = before, 0
			return from
		}
	}
	if a.held.latency > 0 {
		a.held.windows++
		same := latency > a.held.latency*0.8 && latency < a.held.latency*1.3
		if same && a.held.windows < repeatAfter {
			return limit
		}
		a.held.latency = 0
	}
	next := a.steer(limit, latency, busy)
	switch {
	case next*10 < limit*9:
		a.cut.from, a.cut.latency = limit, latency
	case next >= limit && a.windows%probeEvery == 0 && limit > a.o.Min && busy:
		a.probing = next
		return limit * 3 / 4
	}
	return next
}

// steer is the algorithm proper.
func (a *adapter) steer(limit int, latency float64, busy bool) int {
	base, l := a.baseline(), float64(limit)
	if a.o.Adaptation == Gradient {
		g := min(max(base/latency, 0.5), 1)
		next := l*g + math.Sqrt(l)
		if next > l && !busy {
			return limit
		}
		// A fifth of the way, but at least one.
		if d := (next - l) / 5; math.Abs(d) >= 1 || g == 0.5 {
			if g == 0.5 {
				return int(l * g)
			}
			return limit + int(d)
		} else if next >= l+1 {
			return limit + 1
		} else if next <= l-1 {
			return limit - 1
		}
		return limit
	}
	queue := l * (1 - base/latency)
	few := max(1, 3*math.Log10(l))
	switch {
	case queue < few && busy:
		return limit + int(max(1, math.Log10(l)))
	case queue > few*5/3:
		return int(max(l/2, l-max(1, queue-few*5/3)))
	}
	return limit
}

func aimd(limit int, lost, busy bool) int {
	switch {
	case lost:
		return limit - max(1, limit/10)
	case busy:
		return limit + 1
	}
	return limit
}

// remember notes a window's mean.
func (a *adapter) remember(latency float64, now int64) {
	e := now / max(int64(a.o.Memory)/epochs, 1)
	for ; a.epoch < e; a.epoch++ {
		if e-a.epoch > epochs {
			a.epoch = e - epochs
		}
		a.best[(a.epoch+1)%epochs] = 0
	}
	if b := &a.best[a.epoch%epochs]; *b == 0 || latency < *b {
		*b = latency
	}
}

// baseline is the lowest mean that is remembered; 0 if none is.
func (a *adapter) baseline() float64 {
	low := 0.0
	for _, b := range a.best {
		if b > 0 && (low == 0 || b < low) {
			low = b
		}
	}
	return low
}
