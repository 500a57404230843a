package node

import (
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// What a node's state may be.
const (
	Serving = "serving" // has a worker id, and the store hears of it
	Late    = "late"    // has one, but was not able to renew it in time
	Leasing = "leasing" // has none, and asks for one
)

// Status is a node at one moment.
type Status struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // Serving, Late, Leasing
	Error   string    `json:"error"` // why there is no worker id; empty: there is one
	Worker  int64     `json:"worker"`
	Owner   string    `json:"owner"` // as the store has it
	Workers int       `json:"workers"`
	Now     time.Time `json:"now"`     // by the node's clock
	Drift   float64   `json:"driftMs"` // of the node's clock since the start, against the monotonic one

	Requests int64   `json:"requests"`
	Failed   int64   `json:"failed"` // of Requests
	Issued   int64   `json:"issued"` // ids
	Rate     float64 `json:"rate"`   // ids per second, lately

	// How long the generator took for a request, in quantiles over all since the start.
	P50  float64 `json:"p50Ms"`
	P99  float64 `json:"p99Ms"`
	P999 float64 `json:"p999Ms"`
	Most float64 `json:"mostMs"`

	Last     snowflake.ID `json:"last"` // 0: none since the worker id was leased
	LastTime time.Time    `json:"lastTime"`
	AheadMS  float64      `json:"aheadMs"` // how far Last is ahead of the node's clock
	SkewMS   float64      `json:"skewMs"`  // how far the generator's clock is
	MarkedTo time.Time    `json:"markedTo"`
	Marks    int64        `json:"marks"`
	MarkErrs int64        `json:"markErrors"`
	Waits    int64        `json:"waits"`
	Absorbed int64        `json:"absorbed"` // steps of the clock smoothed over
	Refused  int64        `json:"refused"`  // calls refused because of one

	TTL     float64 `json:"ttlMs"`     // of a lease
	Renewed float64 `json:"renewedMs"` // how long ago its record was written
	Leases  int64   `json:"leases"`    // had, with the present one
	Lost    int64   `json:"lost"`      // of Leases
}

// Status implements api.Service; it is a Status.
func (n *Node) Status() any { return n.Look() }

// Look is the node's present status.
func (n *Node) Look() Status {
	s := Status{
		ID: n.o.ID, State: Leasing, Worker: -1, Workers: n.o.Workers,
		Requests: n.count.requests.Load(), Failed: n.count.failed.Load(), Issued: n.count.issued.Load(),
		Rate: n.meter.rate(), TTL: ms(n.o.TTL), Renewed: ms(n.store.age()),
		Leases: n.count.leases.Load(), Lost: n.count.lost.Load(),
	}
	q := n.took.quantiles(0.5, 0.99, 0.999, 1)
	s.P50, s.P99, s.P999, s.Most = ms(q[0]), ms(q[1]), ms(q[2]), ms(q[3])
	var drift time.Duration
	s.Now, drift = n.drift.look()
	s.Drift = ms(drift)
	session := n.session.Load()
	if session == nil {
		s.Error = n.reason().Error()
		return s
	}
	g := session.gen.Stats()
	s.State, s.Worker, s.Owner = Serving, int64(g.Node), session.lease.Owner()
	if n.store.age() > n.o.TTL {
		s.State = Late
	}
	s.Last, s.AheadMS, s.SkewMS = g.Last, ms(g.Ahead), ms(g.Skew)
	if g.Last != 0 {
		s.LastTime = n.o.Layout.Time(g.Last)
	}
	s.MarkedTo, s.Marks, s.MarkErrs = g.MarkedTo, g.Marks, g.MarkErrors
	s.Waits, s.Absorbed, s.Refused = g.Waits, g.Absorbed, g.Refused
	return s
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// drift compares a wall clock with the machine's monotonic one.
type drift struct {
	now   func() time.Time
	wall  time.Time
	began time.Time // with a monotonic reading
}

func (d *drift) start(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	d.now, d.began = now, time.Now()
	d.wall = now().Round(0) // without a monotonic reading, which would be subtracted from the next
}

// look is the wall clock's time, and by how much it has gone wrong since the start.
func (d *drift) look() (time.Time, time.Duration) {
	t := d.now().Round(0)
	return t.UTC(), t.Sub(d.wall) - time.Since(d.began)
}

// meter counts ids in slices of a quarter second, for a rate over the last two.
type meter struct {
	mu    sync.Mutex
	began time.Time
	at    [slices]int64
	n     [slices]int64
}

const (
	slice  = 250 * time.Millisecond
	slices = 9 // one more than the rate is over: the one that is being filled
)

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.slice()
	i := now % slices
	if m.at[i] != now {
		m.at[i], m.n[i] = now, 0
	}
	m.n[i] += n
}

// slice is the number of the present slice. m.mu is held.
func (m *meter) slice() int64 {
	if m.began.IsZero() {
		m.began = time.Now()
	}
	return int64(time.Since(m.began)/slice) + slices // so that a zero in at is long ago
}

// rate is ids per second.
func (m *meter) rate() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.slice()
	var sum int64
	for i, at := range m.at {
		if at < now && at >= now-(slices-1) {
			sum += m.n[i]
		}
	}
	return float64(sum) / (slice * (slices - 1)).Seconds()
}
