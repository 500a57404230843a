package ratelimit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Request asks for N events of Key under Limit. The counts that it touches are those of its
// Key, the Limit's Name and the Algorithm: give two limits on one key different names.
type Request struct {
	Key       string
	Limit     Limit
	N         int64 // 0 takes nothing and tells whether one event would be admitted
	Algorithm Algorithm
	// Charge takes N events in any case; the balance may go below zero.
	Charge bool
}

// Store keeps counts for several processes.
//
// Take decides on all requests in one round trip and atomically: every event of all of them
// is taken, or none is. It fills dst[i], which must be as long as reqs, with what the limit
// of reqs[i] says by itself; all was taken if all are OK. A cost that never fits, or a
// negative one, is refused by its decision. Errors: ErrLimit for bad limits, ErrOptions for
// no requests or two with the same counts; ErrCorrupt if what it holds makes no sense, and
// nothing was taken; ErrFull if there is no room; whatever else goes wrong, and it is not
// known whether something was taken.
//
// Reset forgets all counts of keys, under any limit.
//
// ratelimit/ratelimittest checks all this.
type Store interface {
	Take(ctx context.Context, reqs []Request, dst []Decision) error
	Reset(ctx context.Context, keys ...string) error
}

// Taker decides on requests: [Shared], [Edge], or what [Local] makes of a [Keyed]. The
// decision is that of the limit that decides (Decision.Limit).
type Taker interface {
	Take(ctx context.Context, reqs ...Request) (Decision, error)
}

// Check says what Store implementations must refuse: ErrOptions unless dst has the length
// of reqs, there is at least one, and no two share counts; ErrLimit for bad limits.
func Check(reqs []Request, dst []Decision) error {
	if len(reqs) == 0 || len(dst) != len(reqs) {
		return fmt.Errorf("%w: %d requests, room for %d decisions", ErrOptions, len(reqs), len(dst))
	}
	for i := range reqs {
		r := &reqs[i]
		if int(r.Algorithm) >= len(algorithmNames) {
			return fmt.Errorf("%w: %v", ErrOptions, r.Algorithm)
		}
		if err := r.Limit.Validate(); err != nil {
			return err
		}
		for j := range i {
			if r.id() == reqs[j].id() {
				return fmt.Errorf("%w: two requests on the counts of %q", ErrOptions, r.Key)
			}
		}
	}
	return nil
}

// id names the counts of a request.
type id struct {
	key, limit string
	alg        Algorithm
}

func (r *Request) id() id { return id{r.Key, r.Limit.Name, r.Algorithm} }

// quota is the most that the request's limit ever holds.
func (r *Request) quota() int64 {
	if r.Algorithm.windowed() {
		return r.Limit.Events
	}
	return r.Limit.Burst
}

// tightest is the decision that decides.
func tightest(ds []Decision) Decision {
	d := ds[0]
	for i := range ds[1:] {
		if x := &ds[i+1]; x.tighter(&d) {
			d = *x
		}
		d.Delay = max(d.Delay, ds[i+1].Delay)
	}
	return d
}

// MemoryOptions are the options of NewMemory.
type MemoryOptions struct {
	// MaxKeys bounds the counts that are kept; new ones are refused while all are in use.
	// 0 means 1,000,000.
	MaxKeys int
	Now     func() time.Time // nil means time.Now
}

// Memory is a Store in this process, under one lock: for tests, for a single process, and
// what Shared falls back on. Keyed is faster, and smaller, where limits are known
// beforehand.
type Memory struct {
	mu     sync.Mutex
	start  time.Time
	clock  func() time.Time
	origin int64
	max    int
	waste  int
	counts map[id]*counts
}

type counts struct {
	rule *rule
	s    state
	log  stamps
}

// NewMemory makes an empty store. ErrOptions says what is wrong with o.
func NewMemory(o MemoryOptions) (*Memory, error) {
	if o.MaxKeys < 0 {
		return nil, fmt.Errorf("%w: MaxKeys %d", ErrOptions, o.MaxKeys)
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = 1_000_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Memory{clock: o.Now, start: o.Now(), max: o.MaxKeys, counts: map[id]*counts{}}
	m.origin = m.start.UnixNano() - epoch
	return m, nil
}

func (m *Memory) now() int64 {
	return min(max(int64(m.clock().Sub(m.start)), 0), maxUnits) + epoch
}

// Take implements Store. ErrFull if there is no room for a new key.
func (m *Memory) Take(ctx context.Context, reqs []Request, dst []Decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := Check(reqs, dst); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.take(reqs, dst, m.now())
}

func (m *Memory) take(reqs []Request, dst []Decision, now int64) error {
	all := true
	next := make([]state, len(reqs))
	cs := make([]*counts, len(reqs))
	for i := range reqs {
		r := &reqs[i]
		c, err := m.get(r, now)
		if err != nil {
			return err
		}
		cs[i] = c
		force := r.Charge && r.N >= 0
		var ok bool
		next[i], ok = c.rule.take(c.s, &c.log, now, max(r.N, 1), force)
		dst[i].OK = (ok || force) && r.N >= 0
		all = all && dst[i].OK
	}
	for i := range reqs {
		r, c := &reqs[i], cs[i]
		delay := time.Duration(0)
		if all && r.N > 0 {
			delay = c.rule.delay(c.s, now)
			if c.rule.alg == SlidingLog {
				c.log.push(next[i].at-c.rule.per, r.N, c.rule.quota)
			}
			c.s = next[i]
		}
		c.rule.tell(&dst[i], c.s, &c.log, now, r.N, dst[i].OK)
		dst[i].Delay = delay
	}
	return nil
}

// get returns the counts for a request, under its limit as it is now.
func (m *Memory) get(r *Request, now int64) (*counts, error) {
	c := m.counts[r.id()]
	if c != nil && c.rule.limit == r.Limit {
		return c, nil
	}
	rule, err := newRule(r.Limit, r.Algorithm, m.origin)
	if err != nil {
		return nil, err
	}
	if c != nil {
		c.s = rule.carry(c.rule, c.s, now)
		c.rule = rule
		return c, nil
	}
	if len(m.counts) >= m.max {
		if m.waste++; m.waste > m.max/16 {
			m.waste = 0
			for k, c := range m.counts {
				if c.s.at < now {
					delete(m.counts, k)
				}
			}
		}
		if len(m.counts) >= m.max {
			return nil, fmt.Errorf("%w: %d keys", ErrFull, m.max)
		}
	}
	c = &counts{rule: rule}
	m.counts[r.id()] = c
	return c, nil
}

// Reset implements Store. It looks at all counts.
func (m *Memory) Reset(_ context.Context, keys ...string) error {
	gone := make(map[string]bool, len(keys))
	for _, k := range keys {
		gone[k] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.counts {
		if gone[k.key] {
			delete(m.counts, k)
		}
	}
	return nil
}

// Local makes a Taker of a Keyed: it takes of the keys of requests, under the limits that
// the Keyed has for them. Requests' own limits and algorithms are not looked at. Of several
// requests each is decided by itself, until one refuses.
func Local(k *Keyed[string]) Taker { return local{k} }

type local struct{ k *Keyed[string] }

func (l local) Take(_ context.Context, reqs ...Request) (Decision, error) {
	if len(reqs) == 0 {
		return Decision{}, fmt.Errorf("%w: no requests", ErrOptions)
	}
	var d Decision
	for i := range reqs {
		x := l.k.Take(reqs[i].Key, reqs[i].N)
		if i == 0 || x.tighter(&d) {
			d = x
		}
		if !x.OK {
			break
		}
	}
	return d, nil
}

// limits are what Middleware announces.
func (l local) limits(key string) ([]Limit, Algorithm) { return l.k.Limits(key), l.k.alg }
