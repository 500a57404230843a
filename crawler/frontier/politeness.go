package frontier

import (
	"fmt"
	"math"
	"time"
)

// A host's delay is the longest of four:
//
//	Options.MinDelay                    what is decent
//	SetDelay                            what its robots.txt asks for
//	LatencyFactor × its mean latency    what it can bear, by its own speed   ┐ at most
//	penalty                             what it can bear, by its own word    ┘ MaxDelay
//
// The penalty doubles the delay each time that the host throttles, and remembers the
// delay at which it did, the edge. Successes shorten it by a tenth each until it is a
// tenth above the edge, and by a two-thousandth from there: so the rate is found again
// fast, and then stays below what the host bears, with a try at more less than once in a
// hundred visits. (Additive increase and multiplicative decrease, with the slow-start threshold of
// TCP; Jacobson 1988.)
//
// The breaker is apart from that: failures in a row stop all visits, for longer each time,
// with one visit in between to find out.

const slowly = 2000 // part of the penalty that a success takes off near the edge

// succeeded notes that a host answered.
func (f *Frontier) succeeded(h *host, latency time.Duration) {
	f.measured(h, latency)
	if h.trips > 0 {
		h.dirty = true
	}
	h.fails, h.trips = 0, 0
	if h.penalty == 0 {
		return
	}
	h.stale = true
	if uint64(h.penalty)*10 > uint64(h.edge)*11 {
		h.penalty -= max(h.penalty/10, 1)
	} else if h.penalty >= slowly || h.visits%(slowly/h.penalty) == 0 {
		h.penalty -= max(h.penalty/slowly, 1)
	}
	if time.Duration(h.penalty)*time.Millisecond <= f.o.MinDelay {
		h.penalty, h.edge = 0, 0
	}
}

// measured notes a latency.
func (f *Frontier) measured(h *host, latency time.Duration) {
	if latency <= 0 {
		return
	}
	ms := uint32(min(int64(latency/time.Millisecond), math.MaxInt32))
	if h.latency == 0 {
		h.latency = ms
	} else {
		h.latency = uint32((7*uint64(h.latency) + uint64(ms)) / 8)
	}
	h.stale = true
}

// throttled notes that a host asked for fewer requests.
func (f *Frontier) throttled(h *host) {
	const least = 100 // ms, where there was no delay
	d := uint32(min(f.delay(h)/int64(time.Millisecond), math.MaxInt32))
	h.edge = d
	h.penalty = max(min(2*max(d, least/2), uint32(f.o.MaxDelay/time.Millisecond)), 1)
	h.dirty = true
	f.stats.Throttled++
	if hook := f.o.Hooks.Slowed; hook != nil {
		name, delay := h.name, time.Duration(f.delay(h))
		f.news = append(f.news, func() { hook(name, delay) })
	}
}

// failed notes that a host did not answer as it should.
func (f *Frontier) failed(h *host, now int64) {
	if f.o.Breaker == 0 {
		return
	}
	if h.fails < math.MaxUint16 {
		h.fails++
	}
	h.stale = true
	if int(h.fails) < f.o.Breaker {
		return
	}
	rest := f.o.Rest
	for range h.trips {
		if rest = min(2*rest, f.o.MaxRest); rest == f.o.MaxRest {
			break
		}
	}
	if h.trips < math.MaxUint8 {
		h.trips++
	}
	h.fails = uint16(f.o.Breaker - 1) // the next failure opens it again
	h.block = max(h.block, now+int64(rest))
	h.dirty = true
	f.stats.Rested++
	if hook := f.o.Hooks.Rested; hook != nil {
		name, until := h.name, time.Unix(0, h.block)
		f.news = append(f.news, func() { hook(name, until) })
	}
}

// SetDelay sets the least time between the end of a visit to the host and the next, such
// as a Crawl-delay; Options.MinDelay stays the least. It takes effect at once, also for the
// visit that is due next, and is durable when it returns. The host need not be known yet.
// More than 45 days are ErrOptions.
func (f *Frontier) SetDelay(name string, d time.Duration) error {
	if d < 0 || d > maxDelay {
		return fmt.Errorf("%w: delay of %v", ErrOptions, d)
	}
	ms := uint32((d + time.Millisecond - 1) / time.Millisecond)
	return f.change(name, func(h *host, _ int64) {
		before := f.delay(h)
		h.base = ms
		h.fence += f.delay(h) - before
	})
}

// Block keeps the host from being visited until then; a time that is past lifts the block,
// and a rest of the breaker with it. Durable when it returns.
func (f *Frontier) Block(name string, until time.Time) error {
	at := clampTime(until)
	return f.change(name, func(h *host, _ int64) { h.block = at })
}

// SetBudget sets how many pages of the host may be fetched in all, 0: any number. What
// exceeds it stays queued: see StateSpent. Durable when it returns.
func (f *Frontier) SetBudget(name string, pages int) error {
	if pages < 0 || int64(pages) > math.MaxUint32 {
		return fmt.Errorf("%w: budget of %d", ErrOptions, pages)
	}
	return f.change(name, func(h *host, _ int64) { h.budget = uint32(pages) })
}

// change changes a host, makes it if need be, and writes its record.
func (f *Frontier) change(name string, edit func(h *host, now int64)) error {
	if !validHost(name) {
		return fmt.Errorf("%w: %.80q", ErrHost, name)
	}
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		return err
	}
	now := f.advance()
	h := f.hostNamed(name)
	edit(h, now)
	if h.state != StateLeased {
		f.place(h, now)
		f.wakeUp()
	}
	f.unlock()
	return f.hostRecord(h)
}

// Touch notes that the host was visited outside of a lease, to its end: it is left alone
// for its delay from now on. For a robots.txt fetched under a lease Release does the same.
func (f *Frontier) Touch(name string) error {
	f.mu.Lock()
	defer f.unlock()
	if err := f.usable(); err != nil {
		return err
	}
	h := f.hosts.find(name)
	if h == nil {
		return fmt.Errorf("%w: %.80q", ErrHost, name)
	}
	now := f.advance()
	h.fence = max(h.fence, now+f.delay(h))
	if h.state != StateLeased {
		f.place(h, now)
	}
	return nil
}
