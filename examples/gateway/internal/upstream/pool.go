package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// ErrRest means that a pool has failed too often and is given a rest.
var ErrRest = errors.New("upstream: the pool is given a rest after too many failures")

// ErrNoBackend means that every backend was drained.
var ErrNoBackend = errors.New("upstream: all backends are drained")

// Options are the options of New.
type Options struct {
	Rules rules.Pool
	// Transport makes the attempts. Required, and shared by all pools.
	Transport http.RoundTripper
	// Event is told what happens to backends and to the pool; nil: nobody is.
	Event func(backend, text string)
	// Old is the pool that this one takes the place of: backends that are the same in both
	// keep what is known of them. nil: there is none.
	Old *Pool
}

// Pool is an http.RoundTripper over several backends. It is safe for concurrent use. Close
// it: health checks run until then; requests may be made still.
type Pool struct {
	rules     rules.Pool
	transport http.RoundTripper
	event     func(backend, text string)
	all       []*Backend
	policy    policy
	budget    *budget
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	retries   atomic.Uint64
	starved   atomic.Uint64 // retries that the budget has refused
	rested    atomic.Uint64 // requests that the breaker has refused

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New makes a pool of checked rules, and starts its health checks.
func New(o Options) (*Pool, error) {
	p := &Pool{rules: o.Rules, transport: o.Transport, event: o.Event}
	for _, r := range o.Rules.Backends {
		b, err := newBackend(r)
		if err != nil {
			return nil, err
		}
		if o.Old != nil {
			if old := find(o.Old.all, r.ID); old != nil && *old.url == *b.url && old.Weight == b.Weight {
				b = old
			}
		}
		p.all = append(p.all, b)
	}
	var err error
	if p.policy, err = newPolicy(o.Rules.Policy, o.Rules.Name, p.all); err != nil {
		return nil, err
	}
	if p.budget, err = newBudget(orInt(o.Rules.Retry.Percent, 20)); err != nil {
		return nil, err
	}
	p.breaker = newBreaker(o.Rules, p.note)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if o.Rules.Health.Path != "" {
		for _, b := range p.all {
			p.wg.Go(func() { p.watch(ctx, b) })
		}
	} else {
		for _, b := range p.all {
			b.down.Store(false) // nobody would ever find it up again
		}
	}
	return p, nil
}

func newBreaker(r rules.Pool, note func(*Backend, string, ...any)) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	least, percent := uint32(orInt(r.Breaker.Requests, 20)), uint32(orInt(r.Breaker.Percent, 50))
	window := r.Breaker.Window.Or(10 * time.Second)
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: r.Name, MaxRequests: 3, Interval: window, BucketPeriod: window / 10, Timeout: r.Breaker.Rest.Or(time.Second),
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= least && uint64(c.TotalFailures)*100 >= uint64(c.Requests)*uint64(percent)
		},
		OnStateChange: func(_ string, _, to gobreaker.State) { note(nil, "breaker: %v", to) },
		IsExcluded: func(err error) bool {
			var body *BodyError
			return errors.Is(err, context.Canceled) || errors.As(err, &body)
		},
	})
}

// note tells of an event; of the pool, if b is nil.
func (p *Pool) note(b *Backend, format string, args ...any) {
	if p.event == nil {
		return
	}
	id := ""
	if b != nil {
		id = b.ID
	}
	p.event(id, fmt.Sprintf(format, args...))
}

// Close ends the health checks.
func (p *Pool) Close() error {
	p.cancel()
	p.wg.Wait()
	return nil
}

// Name is the pool's name.
func (p *Pool) Name() string { return p.rules.Name }

// PoolStatus is a pool at one moment; counts are since it was made.
type PoolStatus struct {
	Name, Policy, Breaker    string
	Backends                 []Status
	Retries, Starved, Rested uint64 // attempts made again, and refused by the budget; requests refused by the breaker
}

// Status looks at the pool.
func (p *Pool) Status() PoolStatus {
	s := PoolStatus{
		Name: p.rules.Name, Policy: p.rules.Policy, Breaker: p.breaker.State().String(),
		Retries: p.retries.Load(), Starved: p.starved.Load(), Rested: p.rested.Load(),
	}
	if s.Policy == "" {
		s.Policy = "two-choices"
	}
	for _, b := range p.all {
		s.Backends = append(s.Backends, b.Status())
	}
	return s
}

// Drain takes a backend out of service, or puts it back: requests under way go on.
func (p *Pool) Drain(id string, drained bool) error {
	b := find(p.all, id)
	if b == nil {
		return fmt.Errorf("upstream: pool %s has no backend %q", p.rules.Name, id)
	}
	if b.drained.Swap(drained) != drained {
		p.note(b, "%s", map[bool]string{true: "drained", false: "back in service"}[drained])
	}
	return nil
}

// ready are the backends to choose from, without those tried. If none is available all
// are that no operator took out: what is believed of them may be what is wrong.
func (p *Pool) ready(tried []*Backend) (ready, available []*Backend) {
	now := time.Now()
	for _, b := range p.all {
		if b.available(now) {
			available = append(available, b)
		}
	}
	if len(available) == 0 {
		for _, b := range p.all {
			if !b.drained.Load() {
				available = append(available, b)
			}
		}
	}
	if len(tried) == 0 {
		return available, available
	}
	for _, b := range available {
		if !slices.Contains(tried, b) {
			ready = append(ready, b)
		}
	}
	if len(ready) == 0 {
		ready = available // all were tried: once more
	}
	return ready, available
}

// judge takes in how an attempt ended. No more than half of a pool is ejected: whoever is
// left would only fail next.
func (p *Pool) judge(b *Backend, failed bool) {
	if !failed {
		b.succeeded()
		return
	}
	e := p.rules.Eject
	if !b.failed(orInt(e.Failures, 5)) {
		return
	}
	now, out := time.Now(), 0
	for _, other := range p.all {
		if other.ejected(now) {
			out++
		}
	}
	if b.ejected(now) || 2*(out+1) > len(p.all) {
		return
	}
	d := b.eject(now, e.For.Or(time.Second), e.Most.Or(30*time.Second))
	p.note(b, "ejected for %v: %d failures in a row", d, orInt(e.Failures, 5))
}
