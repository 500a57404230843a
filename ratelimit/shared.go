package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Failure says who decides while the store does not.
type Failure uint8

const (
	// FailLocal keeps the limits in this process, each divided by SharedOptions.Nodes.
	FailLocal Failure = iota
	// FailOpen admits everything.
	FailOpen
	// FailClosed refuses everything.
	FailClosed
)

// SharedOptions are the options of NewShared.
type SharedOptions struct {
	// Timeout bounds each call of the store, whether it heeds its context or not. 0 means
	// 50 ms.
	Timeout   time.Duration
	OnFailure Failure
	// Nodes is how many processes share the limits: with FailLocal each keeps one part of
	// so many. 0 means 1.
	Nodes int
	// Failures in a row open the breaker: the store is left alone, but for a trial in
	// the background each Cooldown. 0 means 1.
	Failures int
	// Cooldown is the time between trials. 0 means 200 ms.
	Cooldown time.Duration
	// DenyCache is how many refused keys are remembered until they may come again; they
	// are refused without asking the store. 0 means 10,000, less than 0 none.
	DenyCache int
	// Lease takes so many events of a key from the store at once and spends them here, one
	// round trip for all. They are taken from the shared limit when they are leased, so
	// the limit holds; what is not spent within LeaseTime is lost. Only for single
	// requests under GCRA or TokenBucket. 0 or 1 means no leases.
	Lease int64
	// LeaseTime bounds how much later than taken a leased event may be spent. 0 means 1 s.
	LeaseTime time.Duration
	// MaxCalls bounds the calls of the store under way; while there are so many, others
	// are decided by OnFailure. 0 means 1,000.
	MaxCalls int
	// OnBreaker is told when the breaker opens, with the error, and closes, with nil. It
	// may be called from any goroutine.
	OnBreaker func(open bool, err error)
	Now       func() time.Time // nil means time.Now
}

func (o *SharedOptions) validate() error {
	if o.Timeout < 0 || o.Nodes < 0 || o.Failures < 0 || o.Cooldown < 0 || o.Lease < 0 || o.LeaseTime < 0 || o.MaxCalls < 0 || o.OnFailure > FailClosed {
		return fmt.Errorf("%w: %+v", ErrOptions, *o)
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Timeout, 50*time.Millisecond)
	def(&o.Cooldown, 200*time.Millisecond)
	def(&o.LeaseTime, time.Second)
	o.Nodes, o.Failures = max(o.Nodes, 1), max(o.Failures, 1)
	if o.DenyCache == 0 {
		o.DenyCache = 10_000
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Shared keeps limits that several processes share, on a Store. A store that is slow or
// gone costs its callers at most one Timeout; from then on a breaker lets them pass it by,
// decisions follow OnFailure and are marked Degraded, and a trial in the background finds
// out when the store is back. It is safe for concurrent use. Close it.
type Shared struct {
	store Store
	o     SharedOptions
	local *Memory

	open    atomic.Bool
	fails   atomic.Int32
	trialAt atomic.Int64 // Unix nanoseconds by Now
	calls   chan struct{}

	refused refusals
	leases  leases
	stats   sharedCounters

	mu     sync.RWMutex // closing
	closed bool
	wg     sync.WaitGroup
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
}

type sharedCounters struct{ calls, failures, degraded, denied, leased atomic.Uint64 }

// NewShared shares limits on s. ErrOptions says what is wrong with o.
func NewShared(s Store, o SharedOptions) (*Shared, error) {
	if s == nil {
		return nil, fmt.Errorf("%w: no store", ErrOptions)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	m, err := NewMemory(MemoryOptions{Now: o.Now})
	if err != nil {
		return nil, err
	}
	sh := &Shared{store: s, o: o, local: m, calls: make(chan struct{}, o.MaxCalls)}
	sh.refused.most = o.DenyCache
	sh.ctx, sh.cancel = context.WithCancel(context.Background())
	return sh, nil
}

func (s *Shared) now() int64 { return s.o.Now().UnixNano() }

// Take decides on all requests together; what it returns is the decision of the limit that
// decides. Failures of the store are no errors but Degraded decisions. Errors: those of
// Check, also when the store finds them; the error of ctx when that is done before the store has answered, and ErrClosed.
func (s *Shared) Take(ctx context.Context, reqs ...Request) (Decision, error) {
	dst := make([]Decision, len(reqs))
	if err := s.TakeEach(ctx, reqs, dst); err != nil {
		return Decision{}, err
	}
	return tightest(dst), nil
}

// TakeEach is Take with the decision of each limit.
func (s *Shared) TakeEach(ctx context.Context, reqs []Request, dst []Decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := Check(reqs, dst); err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	if s.refused.find(reqs, dst, s.now()) {
		s.stats.denied.Add(1)
		return nil
	}
	if s.leasable(reqs) {
		return s.takeLeased(ctx, &reqs[0], &dst[0])
	}
	return s.ask(ctx, reqs, dst)
}

// ask lets the store decide, or who decides in its place.
func (s *Shared) ask(ctx context.Context, reqs []Request, dst []Decision) error {
	if s.open.Load() {
		s.tryAgain(reqs)
		return s.instead(ctx, reqs, dst)
	}
	err := s.call(ctx, reqs, dst)
	switch {
	case err == nil:
		s.succeeded()
		s.refused.note(reqs, dst, s.now())
		return nil
	case ctx.Err() != nil:
		return ctx.Err() // the caller's doing, not the store's
	case s.ctx.Err() != nil:
		return ErrClosed
	}
	return s.without(ctx, reqs, dst, err)
}

// without goes on after a call of the store has failed.
func (s *Shared) without(ctx context.Context, reqs []Request, dst []Decision, err error) error {
	switch {
	case errors.Is(err, ErrLimit), errors.Is(err, ErrOptions):
		return err // the requests are bad, not the store
	case !answered(err):
		s.failed(err)
	}
	return s.instead(ctx, reqs, dst)
}

// answered says that the store is there, although this call failed. A corrupt value must
// not cut off the other keys, nor a crowd before the store those behind it.
func answered(err error) bool {
	for _, e := range []error{nil, ErrLimit, ErrOptions, ErrCorrupt, ErrFull} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// call asks the store in a goroutine of its own: one that does not heed its context must
// not hold up the caller.
func (s *Shared) call(ctx context.Context, reqs []Request, dst []Decision) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	select {
	case s.calls <- struct{}{}:
	default:
		return fmt.Errorf("%w: %d calls of the store under way", ErrFull, cap(s.calls))
	}
	s.stats.calls.Add(1)
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	own, out, done := append([]Request(nil), reqs...), make([]Decision, len(reqs)), make(chan error, 1)
	s.wg.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("ratelimit: store panicked: %v", p)
			}
			<-s.calls
		}()
		done <- s.store.Take(ctx, own, out)
	})
	select {
	case err := <-done:
		copy(dst, out)
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

func (s *Shared) succeeded() {
	if s.fails.Load() != 0 {
		s.fails.Store(0)
	}
	if s.open.CompareAndSwap(true, false) && s.o.OnBreaker != nil {
		s.o.OnBreaker(false, nil)
	}
}

func (s *Shared) failed(err error) {
	s.stats.failures.Add(1)
	if int(s.fails.Add(1)) < s.o.Failures {
		return
	}
	s.trialAt.Store(s.now() + int64(s.o.Cooldown))
	if s.open.CompareAndSwap(false, true) && s.o.OnBreaker != nil {
		s.o.OnBreaker(true, err)
	}
}

// tryAgain asks the store in the background, once each Cooldown, whether it is back. It
// asks about the caller's keys and takes nothing.
func (s *Shared) tryAgain(reqs []Request) {
	at, now := s.trialAt.Load(), s.now()
	if now < at || !s.trialAt.CompareAndSwap(at, now+int64(s.o.Cooldown)) {
		return
	}
	peek := append([]Request(nil), reqs...)
	for i := range peek {
		peek[i].N, peek[i].Charge = 0, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return
	}
	s.wg.Go(func() {
		if err := s.call(s.ctx, peek, make([]Decision, len(peek))); answered(err) {
			s.succeeded()
		} else {
			s.stats.failures.Add(1)
		}
	})
}

// instead decides without the store.
func (s *Shared) instead(ctx context.Context, reqs []Request, dst []Decision) error {
	s.stats.degraded.Add(1)
	if s.o.OnFailure == FailLocal {
		part := reqs
		if s.o.Nodes > 1 {
			part = make([]Request, len(reqs))
			for i, r := range reqs {
				part[i] = r.part(int64(s.o.Nodes))
			}
		}
		if err := s.local.Take(ctx, part, dst); err == nil {
			for i := range dst {
				dst[i].Degraded = true
			}
			return nil
		} // it is full: refuse
	}
	for i := range reqs {
		quota, n := reqs[i].quota(), reqs[i].N
		ok := s.o.OnFailure == FailOpen && n >= 0 && n <= quota
		dst[i] = Decision{OK: ok, Degraded: true, Limit: reqs[i].Limit.Name, Quota: quota}
		switch {
		case ok:
			dst[i].Remaining = quota
		case n < 0 || n > quota:
			dst[i].RetryAfter = Never
		default:
			dst[i].RetryAfter = s.o.Cooldown
		}
	}
	return nil
}

// part is the request under one n-th of its limit, at least one event, and as it is if
// that could not be counted.
func (r Request) part(n int64) Request {
	l := r.Limit
	l.Burst = max(l.Burst/n, 1)
	if r.Algorithm.windowed() {
		l.Events = max(l.Events/n, 1)
	} else if int64(l.Per) < maxUnits/n {
		l.Per *= time.Duration(n)
	}
	if l.Validate() == nil {
		r.Limit = l
	}
	return r
}

// Reset forgets all counts of keys, here and in the store. Other processes may go on
// refusing them until the RetryAfter that they have seen.
func (s *Shared) Reset(ctx context.Context, keys ...string) error {
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	s.refused.forget(keys)
	s.leases.forget(keys)
	_ = s.local.Reset(ctx, keys...) // cannot fail
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	return s.store.Reset(ctx, keys...)
}

// SharedStats are the state of now and counts since the start.
type SharedStats struct {
	Open     bool   // the breaker
	Calls    uint64 // of the store
	Failures uint64
	Degraded uint64 // decisions without the store, for it had failed
	Denied   uint64 // refused from memory, without asking
	Leased   uint64 // admitted from leases, without asking
}

// Stats are not a snapshot: counters go on meanwhile.
func (s *Shared) Stats() SharedStats {
	c := &s.stats
	return SharedStats{s.open.Load(), c.calls.Load(), c.failures.Load(), c.degraded.Load(), c.denied.Load(), c.leased.Load()}
}

// Close waits until no call of the store is under way any more; it cancels them. Take fails
// with ErrClosed from then on. Again it does nothing.
func (s *Shared) Close() error {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
