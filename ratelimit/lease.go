package ratelimit

import (
	"context"
	"slices"
	"sync"
	"time"
)

// refusals remember who was refused, and until when: those come in vain, and often.
type refusals struct {
	mu   sync.RWMutex
	most int
	by   map[id]refusal
}

type refusal struct {
	n     int64 // so many and more
	until int64
	limit Limit
	said  Decision
}

// find fills dst if one of the requests is known to be refused. Decisions of the others
// say nothing but their quota.
func (f *refusals) find(reqs []Request, dst []Decision, now int64) bool {
	if f.most <= 0 {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if len(f.by) == 0 {
		return false
	}
	found := false
	for i := range reqs {
		r := &reqs[i]
		dst[i] = Decision{OK: true, Limit: r.Limit.Name, Quota: r.quota(), Remaining: r.quota()}
		if x, ok := f.by[r.id()]; ok && now < x.until && r.N >= x.n && r.Limit == x.limit && !r.Charge {
			left := time.Duration(x.until - now)
			dst[i] = x.said
			dst[i].ResetAfter = max(x.said.ResetAfter-x.said.RetryAfter, 0) + left
			if dst[i].RetryAfter = left; r.N > r.quota() {
				dst[i].RetryAfter = Never
			}
			found = true
		}
	}
	return found
}

// note remembers refusals that will pass.
func (f *refusals) note(reqs []Request, dst []Decision, now int64) {
	for i := range reqs {
		d, r := &dst[i], &reqs[i]
		if f.most <= 0 || d.OK || d.RetryAfter == Never || r.N <= 0 {
			continue
		}
		f.mu.Lock()
		if f.by == nil {
			f.by = map[id]refusal{}
		}
		for k, x := range f.by { // any few that are past, and one that is not
			if len(f.by) < f.most && x.until > now {
				break
			}
			delete(f.by, k)
		}
		f.by[r.id()] = refusal{r.N, now + int64(d.RetryAfter), r.Limit, *d}
		f.mu.Unlock()
	}
}

func (f *refusals) forget(keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := range f.by {
		if slices.Contains(keys, k.key) {
			delete(f.by, k)
		}
	}
}

// leases are events that were taken from the store and not spent yet.
type leases struct {
	mu sync.Mutex
	by map[id]*lease
}

// maxLeases bounds the keys with leases.
const maxLeases = 100_000

type lease struct {
	mu    sync.Mutex // held while the store is asked: one round trip for all who wait
	limit Limit
	n     int64
	until int64
	said  Decision
}

func (l *leases) get(k id, now int64) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.by[k]
	if x == nil {
		if l.by == nil {
			l.by = map[id]*lease{}
		}
		for old, x := range l.by { // any few that are past
			if len(l.by) < maxLeases && !x.past(now) {
				break
			}
			delete(l.by, old)
		}
		x = &lease{}
		l.by[k] = x
	}
	return x
}

// past says that nobody uses the lease and nothing is left of it.
func (x *lease) past(now int64) bool {
	if !x.mu.TryLock() {
		return false
	}
	defer x.mu.Unlock()
	return x.until < now
}

func (l *leases) forget(keys []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.by {
		if slices.Contains(keys, k.key) {
			delete(l.by, k)
		}
	}
}

func (s *Shared) leasable(reqs []Request) bool {
	r := &reqs[0]
	return s.o.Lease > 1 && len(reqs) == 1 && r.Algorithm <= TokenBucket && !r.Charge && r.N > 0 && r.N <= s.o.Lease
}

// takeLeased spends what was leased, or leases more. When the store has not enough for a
// lease it is asked for what the caller needs.
func (s *Shared) takeLeased(ctx context.Context, r *Request, d *Decision) error {
	one := [1]Decision{}
	decided, asked, err := s.spend(ctx, r, one[:])
	switch {
	case err == nil:
		if asked {
			s.succeeded()
		}
		if !decided {
			err = s.ask(ctx, []Request{*r}, one[:])
		}
	case ctx.Err() != nil:
		return ctx.Err()
	case s.ctx.Err() != nil:
		return ErrClosed
	default:
		err = s.without(ctx, []Request{*r}, one[:], err)
	}
	*d = one[0]
	return err
}

// spend decides from the lease of a key, which it has renewed if need be. It holds the
// lease's lock meanwhile: others wait for what this one brings.
func (s *Shared) spend(ctx context.Context, r *Request, d []Decision) (decided, asked bool, err error) {
	x := s.leases.get(r.id(), s.now())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.limit == r.Limit && x.n >= r.N && s.now() < x.until && !s.open.Load() {
		x.n -= r.N
		d[0] = x.said
		d[0].Remaining += x.n
		s.stats.leased.Add(1)
		return true, false, nil
	}
	more := []Request{*r}
	if s.refused.find(more, d, s.now()) { // while this one waited for the lock
		s.stats.denied.Add(1)
		return true, false, nil
	}
	n := min(s.o.Lease, r.Limit.Burst)
	if n <= r.N || s.open.Load() {
		return false, false, nil
	}
	more[0].N = n
	if err = s.call(ctx, more, d); err != nil || !d[0].OK {
		return false, true, err
	}
	x.limit, x.said, x.n, x.until = r.Limit, d[0], n-r.N, s.now()+int64(s.o.LeaseTime)
	d[0].Remaining += x.n
	return true, true, nil
}
