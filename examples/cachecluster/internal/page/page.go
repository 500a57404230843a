// Package page is the dashboard of the cache cluster: one page of static files, and the
// state that it draws. examples/internal/dash serves it.
//
// The page has no build step, loads nothing from elsewhere and runs under the content
// security policy that dash sets. It keeps the last sixty rates of each node by itself; all
// else that it shows is in the newest State.
package page

import (
	"embed"
	"io/fs"
	"time"
)

//go:embed static
var static embed.FS

// FS holds index.html and all that it loads, for dash.Options.Page.
func FS() fs.FS {
	root, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // only a malformed path fails, and this one is a constant
	}
	return root
}

// The actions that the page posts. An error that one returns is shown beside the button.
const (
	ActionKill  = "kill"  // end ArgNode as kill -9 does
	ActionStart = "start" // start ArgNode
	ActionMove  = "move"  // move a hundred slots from ArgNode's shard to the next one
	ActionRun   = "run"   // carry out ArgCommand; the reply becomes an Event
)

// Names of the actions' arguments.
const (
	ArgNode    = "node"
	ArgCommand = "command"
)

// State is all that the page shows at one moment. Nil slices are empty ones.
type State struct {
	Name   string    `json:"name"`
	Now    time.Time `json:"now"`
	Acts   bool      `json:"acts"`   // nodes can be killed and started from here
	Nodes  []Node    `json:"nodes"`  // in a fixed order
	Runs   []Run     `json:"runs"`   // of slots, in their order
	Events []Event   `json:"events"` // newest last, at most dash.MaxEvents
	Bars   []Bar     `json:"bars"`   // hit ratios of policies, once they are measured
	Totals Totals    `json:"totals"`
}

// What Node.State may be.
const (
	NodeServing = "serving"
	NodeWaiting = "waiting" // leads, and may not serve
	NodeReplica = "replica"
	NodeSyncing = "syncing"
	NodeDown    = "down"
)

// Node is one node.
type Node struct {
	ID       string  `json:"id"`
	Addr     string  `json:"addr"`
	State    string  `json:"state"`
	Shard    int     `json:"shard"`   // from 0; its colour
	Primary  string  `json:"primary"` // whom it follows
	Epoch    uint64  `json:"epoch"`
	Slots    int     `json:"slots"`
	Keys     int     `json:"keys"`
	Used     int64   `json:"used"` // bytes
	Max      int64   `json:"max"`  // 0: no bound
	Policy   string  `json:"policy"`
	Lag      int64   `json:"lag"` // bytes
	Clients  int     `json:"clients"`
	Rate     float64 `json:"rate"` // commands per second
	HitRatio float64 `json:"hitRatio"`
	Reads    int64   `json:"reads"` // that HitRatio is of
	Evicted  int64   `json:"evicted"`
	Expired  int64   `json:"expired"`
}

// Run is a run of slots with one owner.
type Run struct {
	First int `json:"first"`
	Last  int `json:"last"`
	Shard int `json:"shard"`
}

// Bar is a policy's hit ratio.
type Bar struct {
	Name  string  `json:"name"`
	Ratio float64 `json:"ratio"`
	Best  bool    `json:"best"` // the optimum, which knows the future
}

// Event is something that happened: a line of the log.
type Event struct {
	At   time.Time `json:"at"`
	Node string    `json:"node"` // Node.ID; empty: the cluster
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

// Totals are sums over the nodes.
type Totals struct {
	Keys     int     `json:"keys"` // of primaries
	Used     int64   `json:"used"` // bytes, of primaries
	Rate     float64 `json:"rate"`
	HitRatio float64 `json:"hitRatio"`
	Serving  int     `json:"serving"` // shards
	Shards   int     `json:"shards"`
}
