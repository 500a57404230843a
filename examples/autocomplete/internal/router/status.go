package router

import (
	"time"
)

// Status is what the router knows of itself and its nodes.
type Status struct {
	Ready      bool         `json:"ready"`
	Generation uint64       `json:"generation"`
	Previous   uint64       `json:"previous"` // 0: none to return to
	Built      time.Time    `json:"built"`
	Terms      int          `json:"terms"`
	Bounds     []string     `json:"bounds"`
	Owners     [][]string   `json:"owners"` // of each range
	Logged     uint64       `json:"logged"` // number of the last search
	Lag        float64      `json:"lag"`    // milliseconds until the last search was known to the slowest node that is up
	P50        float64      `json:"p50"`    // milliseconds
	P95        float64      `json:"p95"`    // milliseconds
	P99        float64      `json:"p99"`    // milliseconds
	Rate       float64      `json:"rate"`   // suggestions asked for, a second
	Requests   uint64       `json:"requests"`
	Errors     uint64       `json:"errors"`
	Limited    uint64       `json:"limited"`
	Degraded   uint64       `json:"degraded"`
	Hits       uint64       `json:"hits"`
	Misses     uint64       `json:"misses"`
	Searches   uint64       `json:"searches"`
	Picked     uint64       `json:"picked"`
	Rebuilds   uint64       `json:"rebuilds"`
	Refused    uint64       `json:"refused"` // rebuilds that failed
	Nodes      []NodeStatus `json:"nodes"`
}

// NodeStatus is one node as the router sees it.
type NodeStatus struct {
	ID      string  `json:"id"`
	Addr    string  `json:"addr"`
	Up      bool    `json:"up"`
	Ranges  []int   `json:"ranges"` // that it owns
	Terms   int     `json:"terms"`
	Bytes   int64   `json:"bytes"`
	Hot     int     `json:"hot"`
	Applied uint64  `json:"applied"`
	Queries uint64  `json:"queries"`
	Lag     float64 `json:"lag"` // milliseconds
	Error   string  `json:"error"`
}

// Status describes the router.
func (r *Router) Status() Status {
	c := &r.Counters
	l := r.latency.look(time.Now())
	s := Status{
		Ready: r.Ready(), P50: ms(l.P50), P95: ms(l.P95), P99: ms(l.P99), Rate: l.Rate,
		Requests: c.Requests.Load(), Errors: c.Errors.Load(), Limited: c.Limited.Load(), Degraded: c.Degraded.Load(),
		Hits: c.Hits.Load(), Misses: c.Misses.Load(), Searches: c.Searches.Load(), Picked: c.Picked.Load(),
		Rebuilds: c.Rebuilds.Load(), Refused: c.RebuildsRefused.Load(), Bounds: []string{}, Owners: [][]string{},
	}
	s.Logged, _ = r.log.Last()
	owned := map[string][]int{}
	if p := r.plan.Load(); p != nil {
		s.Generation, s.Built, s.Terms, s.Bounds = p.Generation, p.At, p.Terms, append(s.Bounds, p.Bounds...)
		if p.parent != nil {
			s.Previous = p.parent.Generation
		}
		for i := range p.shards.Len() {
			var ids []string
			for _, n := range r.owners(i) {
				ids = append(ids, n.ID)
				owned[n.ID] = append(owned[n.ID], i)
			}
			s.Owners = append(s.Owners, ids)
		}
	}
	for _, n := range r.nodes {
		n.mu.Lock()
		ns := NodeStatus{
			ID: n.ID, Addr: n.Addr, Up: n.up.Load(), Ranges: append([]int{}, owned[n.ID]...), Terms: n.status.Terms, Bytes: n.status.Bytes,
			Hot: n.status.Hot, Applied: n.status.Applied, Queries: n.status.Queries, Lag: ms(n.lag), Error: n.fail,
		}
		n.mu.Unlock()
		if ns.Up {
			s.Lag = max(s.Lag, ns.Lag)
		}
		s.Nodes = append(s.Nodes, ns)
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
