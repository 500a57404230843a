// Package page is the dashboard of the id service: one page of static files, and the state
// that it draws. examples/internal/dash serves it, and httpapi the paths "id" and
// "decode/…" beside it, which the page asks for ids and for what is in them.
//
// The page has no build step, loads nothing from elsewhere and runs under the content
// security policy that dash sets. It keeps the last sixty rates of each node by itself; all
// else that it shows is in the newest State.
package page

import (
	"embed"
	"io/fs"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

//go:embed static
var static embed.FS

// FS holds index.html and all that it loads, for dash.Options.Page.
func FS() fs.FS { return dash.Folder(static, "static") }

// The actions that the page posts. An error that one returns is shown beside the button.
// All have an ArgNode; ActionStep has ArgBy too.
const (
	ActionKill   = "kill"   // end it as kill -9 does
	ActionStart  = "start"  // start it
	ActionFreeze = "freeze" // suspend it, with its clock
	ActionThaw   = "thaw"   // let it go on, with the clock of before
	ActionStep   = "step"   // set its clock ahead or back by ArgBy
	ActionRight  = "right"  // set its clock right
)

// Names of the actions' arguments.
const (
	ArgNode = "node" // a Node.ID
	ArgBy   = "by"   // a Go duration
)

// State is all that the page shows at one moment. Nil slices are empty ones.
type State struct {
	Service string    `json:"service"` // its name, for the heading
	Now     time.Time `json:"now"`     // when the state was taken
	Acts    bool      `json:"acts"`    // there are actions; else their buttons are not shown
	Nodes   []Node    `json:"nodes"`   // in a fixed order: a node keeps its colour by its place
	Events  []Event   `json:"events"`  // newest last, at most dash.MaxEvents
	Totals  Totals    `json:"totals"`
}

// What Node.State may be.
const (
	NodeServing = "serving"
	NodeLate    = "late"    // serves, but was not able to renew its lease in time
	NodeLeasing = "leasing" // runs, and has no worker id
	NodeFrozen  = "frozen"
	NodeDown    = "down" // does not run, or does not answer
)

// Node is one node. Times are in milliseconds, those named "at" from the dashboard's clock.
type Node struct {
	ID    string `json:"id"`
	HTTP  string `json:"http"`  // host:port
	Redis string `json:"redis"` // host:port
	State string `json:"state"` // NodeServing, …
	Error string `json:"error"` // why it does not serve; empty: it does

	Worker  int64   `json:"worker"`  // -1: none
	Owner   string  `json:"owner"`   // as the store has it
	TTL     float64 `json:"ttl"`     // of the lease
	Renewed float64 `json:"renewed"` // how long ago
	Leases  int64   `json:"leases"`  // had so far
	Lost    int64   `json:"lost"`    // of Leases

	Issued   int64   `json:"issued"`   // ids
	Rate     float64 `json:"rate"`     // ids per second, lately
	Requests int64   `json:"requests"` // for any number of ids
	Failed   int64   `json:"failed"`   // of Requests
	P50      float64 `json:"p50"`      // how long the ids of a request took to make: half of all …
	P99      float64 `json:"p99"`      // … 99 of 100 …
	Most     float64 `json:"most"`     // … all of them

	ClockAt  float64 `json:"clockAt"` // what the node's clock says
	LastAt   float64 `json:"lastAt"`  // the time in its last id; HasLast: there is one
	MarkAt   float64 `json:"markAt"`  // its mark: no id reaches it; HasMark: there is one
	HasLast  bool    `json:"hasLast"`
	HasMark  bool    `json:"hasMark"`
	Drift    float64 `json:"drift"`    // of its clock since the start
	Skew     float64 `json:"skew"`     // how far the generator's clock is ahead of the node's
	Waits    int64   `json:"waits"`    // calls that waited for the next unit
	Absorbed int64   `json:"absorbed"` // steps of the clock smoothed over
	Refused  int64   `json:"refused"`  // calls refused because of one
}

// Event is something that happened: a line of the log.
type Event struct {
	At   time.Time `json:"at"`
	Node string    `json:"node"` // Node.ID; empty: the service
	Kind string    `json:"kind"` // a word: "lease", "lost", "checks" …
	Text string    `json:"text"` // a short sentence
}

// Totals are sums over the nodes.
type Totals struct {
	Issued  int64   `json:"issued"`
	Rate    float64 `json:"rate"`
	Serving int     `json:"serving"` // nodes
	Lost    int64   `json:"lost"`    // leases
	Proof   string  `json:"proof"`   // what is known of duplicates: "counting", "none in 8,000,000"
}
