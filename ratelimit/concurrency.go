package ratelimit

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"
)

// Outcome is how a piece of work ended.
type Outcome uint8

const (
	// OK: it was done, and its time is a sample of what work takes.
	OK Outcome = iota
	// Dropped: it was refused or timed out behind the limiter, a sign of overload.
	Dropped
	// Ignore: its time says nothing (it failed early, it was cancelled by its caller).
	Ignore
)

// ConcurrencyOptions are the options of NewConcurrency.
type ConcurrencyOptions struct {
	Adaptation Adaptation
	// Limit is how much work may be in flight: for ever if Fixed, else at first.
	// 0 means 20.
	Limit int
	// Min and Max bound what the limit may become. 0 means 1 and 1,000.
	Min, Max int
	// MaxQueue is how many may wait for a permit. 0 means none: who finds no room is
	// refused at once.
	MaxQueue int
	// MaxWait bounds the time in the queue. 0 means that only the caller's context does.
	MaxWait time.Duration
	// Window is the least time between adaptations. 0 means 100 ms.
	Window time.Duration
	// Timeout makes work that took longer count as Dropped. 0 means never.
	Timeout time.Duration
	// Memory is for how long the best latency seen is believed to be what the work needs
	// without a queue. 0 means 30 minutes. An incident that is shorter does not move it.
	Memory time.Duration
	// OnChange is told the old and the new limit, by the Done that has changed it.
	OnChange func(old, now int)
	// Now is the clock; nil means time.Now. Timers of the queue always run on real time.
	Now func() time.Time
}

func (o *ConcurrencyOptions) validate() error {
	if o.Limit == 0 {
		o.Limit = 20
	}
	if o.Min == 0 {
		o.Min = 1
	}
	if o.Max == 0 {
		o.Max = max(1000, o.Limit)
	}
	if o.Window == 0 {
		o.Window = 100 * time.Millisecond
	}
	if o.Memory == 0 {
		o.Memory = 30 * time.Minute
	}
	switch {
	case o.Adaptation > Vegas:
		return fmt.Errorf("%w: %v", ErrOptions, o.Adaptation)
	case o.Min < 1 || o.Max < o.Min || o.Limit < o.Min || o.Limit > o.Max || o.Max > 1<<24:
		return fmt.Errorf("%w: limit %d of %d to %d", ErrOptions, o.Limit, o.Min, o.Max)
	case o.MaxQueue < 0 || o.MaxWait < 0 || o.Timeout < 0 || o.Window < 0 || o.Memory < 0:
		return fmt.Errorf("%w: negative bound", ErrOptions)
	}
	return nil
}

// Concurrency bounds how much work is in flight: by a fixed limit, or by one that follows
// what the work's latency tells (adapt.go). Who finds no room waits in a queue, the
// highest priority first, among equals who came first. It is safe for concurrent use and
// starts no goroutine.
type Concurrency struct {
	o      ConcurrencyOptions
	start  time.Time
	mu     sync.Mutex
	limit  int
	flying int
	slots  []slot
	spare  []uint32
	queue  waiters
	seq    uint64
	adapt  adapter
	stats  ConcurrencyStats
}

// slot is a permit that is out, or was. Its generation makes a copy of a Permit that was
// given back worthless.
type slot struct {
	since int64
	gen   uint32
}

// Permit is the right to do one piece of work. Copies are the same permit.
type Permit struct {
	c   *Concurrency
	at  uint32
	gen uint32
}

// NewConcurrency makes a limiter of work in flight. ErrOptions says what is wrong with o.
func NewConcurrency(o ConcurrencyOptions) (*Concurrency, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Concurrency{o: o, limit: o.Limit}
	if c.start = time.Now(); o.Now != nil {
		c.start = o.Now()
	}
	c.adapt = newAdapter(&c.o)
	return c, nil
}

func (c *Concurrency) now() int64 {
	if c.o.Now == nil {
		return int64(time.Since(c.start))
	}
	return int64(c.o.Now().Sub(c.start))
}

// TryAcquire takes a permit if there is room and nobody waits.
func (c *Concurrency) TryAcquire() (Permit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying >= c.limit {
		c.stats.Refused++
		return Permit{}, false
	}
	return c.grant(c.now()), true
}

// Acquire takes a permit, waiting in the queue if it has to, with priority 0.
func (c *Concurrency) Acquire(ctx context.Context) (Permit, error) { return c.AcquirePriority(ctx, 0) }

// AcquirePriority takes a permit. If all are out it waits, in front of those with lower
// priority; a full queue drops the last of these to make room. ErrFull if there is no
// room in the queue or was no longer, ErrDeadline after MaxWait, or the error of ctx.
func (c *Concurrency) AcquirePriority(ctx context.Context, priority int) (Permit, error) {
	if err := ctx.Err(); err != nil {
		return Permit{}, err
	}
	c.mu.Lock()
	if c.flying < c.limit {
		p := c.grant(c.now())
		c.mu.Unlock()
		return p, nil
	}
	w := &waiter{priority: priority, seq: c.seq, ready: make(chan struct{})}
	if !c.enqueue(w) {
		c.mu.Unlock()
		return Permit{}, ErrFull
	}
	c.mu.Unlock()

	var expired <-chan time.Time
	if c.o.MaxWait > 0 {
		t := time.NewTimer(c.o.MaxWait)
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-w.ready:
		return w.permit, w.err
	case <-expired:
		return c.leave(w, fmt.Errorf("%w: %v in the queue", ErrDeadline, c.o.MaxWait))
	case <-ctx.Done():
		return c.leave(w, ctx.Err())
	}
}

// enqueue puts w in the queue. A full one drops who would be served last, if that is not w.
func (c *Concurrency) enqueue(w *waiter) bool {
	if len(c.queue) >= c.o.MaxQueue {
		last := c.queue.last()
		if last == nil || last.priority >= w.priority {
			c.stats.Refused++
			return false
		}
		heap.Remove(&c.queue, last.index)
		last.err = ErrFull
		close(last.ready)
		c.stats.Refused++
	}
	c.seq++
	heap.Push(&c.queue, w)
	c.stats.Queued++
	return true
}

// leave gives up waiting. If the permit came at that moment it goes on to the next.
func (c *Concurrency) leave(w *waiter, err error) (Permit, error) {
	c.mu.Lock()
	select {
	case <-w.ready:
		c.mu.Unlock()
		w.permit.Done(Ignore)
	default:
		heap.Remove(&c.queue, w.index)
		c.stats.Refused++
		c.mu.Unlock()
	}
	return Permit{}, err
}

// grant makes a permit. The lock must be held.
func (c *Concurrency) grant(now int64) Permit {
	c.flying++
	c.stats.Admitted++
	c.adapt.started(c.flying)
	var at uint32
	if n := len(c.spare); n > 0 {
		at, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		at = uint32(len(c.slots))
		c.slots = append(c.slots, slot{gen: 1})
	}
	c.slots[at].since = now
	return Permit{c, at, c.slots[at].gen}
}

// Done gives the permit back and says how the work ended. Again, or on the zero Permit, it
// does nothing.
func (p Permit) Done(o Outcome) {
	c := p.c
	if c == nil {
		return
	}
	if old, now := c.done(p, o); old != now && c.o.OnChange != nil {
		c.o.OnChange(old, now)
	}
}

// done is Done; it returns the limit before and after.
func (c *Concurrency) done(p Permit, o Outcome) (before, after int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before = c.limit
	s := &c.slots[p.at]
	if s.gen != p.gen {
		return before, before
	}
	s.gen++
	c.spare = append(c.spare, p.at)
	c.flying--
	now := c.now()
	if o == Dropped {
		c.stats.Dropped++
	}
	c.limit = c.adapt.ended(c.limit, s.since, now, o)
	for c.flying < c.limit && len(c.queue) > 0 {
		w := heap.Pop(&c.queue).(*waiter)
		w.permit = c.grant(now)
		close(w.ready)
	}
	return before, c.limit
}

// ConcurrencyStats are the state of now and counts since the start.
type ConcurrencyStats struct {
	Limit, InFlight, Waiting           int
	Admitted, Refused, Queued, Dropped uint64
	// Baseline is the latency that the work is believed to need without a queue; 0 if
	// nothing is believed yet.
	Baseline time.Duration
}

// Stats are consistent with each other.
func (c *Concurrency) Stats() ConcurrencyStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Limit, s.InFlight, s.Waiting, s.Baseline = c.limit, c.flying, len(c.queue), time.Duration(c.adapt.baseline())
	return s
}

// Limit is how much may be in flight now.
func (c *Concurrency) Limit() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit
}

// waiter is in the queue.
type waiter struct {
	priority int
	seq      uint64
	index    int
	ready    chan struct{} // closed when permit or err is there
	permit   Permit
	err      error
}

// waiters is a heap: who is served next is first.
type waiters []*waiter

func (q waiters) Len() int { return len(q) }

func (q waiters) Less(i, j int) bool {
	if q[i].priority != q[j].priority {
		return q[i].priority > q[j].priority
	}
	return q[i].seq < q[j].seq
}

func (q waiters) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for package heap.
func (q *waiters) Push(x any) {
	w := x.(*waiter)
	w.index = len(*q)
	*q = append(*q, w)
}

// Pop is for package heap.
func (q *waiters) Pop() any {
	n := len(*q) - 1
	w := (*q)[n]
	(*q)[n] = nil
	*q = (*q)[:n]
	return w
}

// last is who would be served last: a leaf.
func (q waiters) last() *waiter {
	if len(q) == 0 {
		return nil
	}
	last := len(q) / 2
	for i := last + 1; i < len(q); i++ {
		if q.Less(last, i) {
			last = i
		}
	}
	return q[last]
}
