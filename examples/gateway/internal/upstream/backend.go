// Package upstream sends requests to pools of backends: it chooses one, watches how it
// fares, tries another when it fails and the request may be made again, and gives a pool
// that only fails a rest. A Pool is an http.RoundTripper, for httputil.ReverseProxy.
//
//	request ─▶ breaker ─▶ choose: policy over who is available ─▶ attempt ─▶ answer
//	             │ open            │ nobody is: over all             │ failed, may be made again,
//	             ▼                 │                                 │ and the budget has room
//	            ErrRest            └──────── back off, with jitter ◀─┘
//
// Who is available: not drained by an operator, alive by its health checks, and not
// ejected for failures in a row.
package upstream

import (
	"math"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// Backend is one server and what is known of it. It is safe for concurrent use.
type Backend struct {
	ID     string
	Weight int
	url    *url.URL

	inFlight atomic.Int64
	requests atomic.Uint64
	failures atomic.Uint64
	drained  atomic.Bool
	down     atomic.Bool // by health checks

	mu        sync.Mutex
	streak    int       // guarded by mu: failures in a row
	ejections int       // guarded by mu: in a row, each twice as long
	until     time.Time // guarded by mu: ejected until then
	latency   float64   // guarded by mu: nanoseconds, decaying
	sampled   time.Time // guarded by mu: when latency was last moved
}

func newBackend(r rules.Backend) (*Backend, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	return &Backend{ID: r.ID, Weight: max(r.Weight, 1), url: u}, nil
}

// The health of a backend: what Status.State may be.
const (
	Up      = "up"
	Down    = "down"    // its health checks fail
	Ejected = "ejected" // its requests failed
	Drained = "drained" // an operator took it out
)

// Status is a backend at one moment. Counts are attempts, since the start.
type Status struct {
	ID       string
	URL      string
	State    string
	Weight   int
	InFlight int64
	Requests uint64
	Failures uint64
	Latency  time.Duration // lately, up to the answer's header
}

// Status looks at the backend.
func (b *Backend) Status() Status {
	now := time.Now()
	s := Status{
		ID: b.ID, URL: b.url.String(), State: Up, Weight: b.Weight, InFlight: b.inFlight.Load(),
		Requests: b.requests.Load(), Failures: b.failures.Load(), Latency: time.Duration(b.expected(now)),
	}
	switch {
	case b.drained.Load():
		s.State = Drained
	case b.down.Load():
		s.State = Down
	case b.ejected(now):
		s.State = Ejected
	}
	return s
}

func (b *Backend) available(now time.Time) bool {
	return !b.drained.Load() && !b.down.Load() && !b.ejected(now)
}

func (b *Backend) ejected(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.until)
}

// memory is for how long a latency counts: after it, to a third.
const memory = time.Second

// expected is the latency to expect now. It falls while nothing is heard of the backend,
// so that one that was slow is tried again.
func (b *Backend) expected(now time.Time) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.latency * math.Exp(-float64(now.Sub(b.sampled))/float64(memory))
}

// observe takes in how long an answer took. A peak counts at once, a better time slowly.
func (b *Backend) observe(now time.Time, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := float64(took); old > b.latency {
		b.latency = old
	} else {
		keep := math.Exp(-float64(now.Sub(b.sampled)) / float64(memory))
		b.latency = b.latency*keep + float64(took)*(1-keep)
	}
	b.sampled = now
}

// succeeded ends a series of failures.
func (b *Backend) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streak = 0
	if b.ejections > 0 && !time.Now().Before(b.until) {
		b.ejections = 0
	}
}

// failed counts a failure and says whether it is one too many; for how long the backend
// is then to be ejected is up to eject.
func (b *Backend) failed(most int) (tooMany bool) {
	b.failures.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streak++
	return b.streak >= most
}

// eject takes the backend out for base, twice as long each further time, at most for most.
func (b *Backend) eject(now time.Time, base, most time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := min(base<<min(b.ejections, 20), most)
	b.ejections++
	b.streak = 0
	b.until = now.Add(d)
	return d
}

// readmit ends an ejection: a health check has found the backend well again.
func (b *Backend) readmit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until, b.streak = time.Time{}, 0
}
