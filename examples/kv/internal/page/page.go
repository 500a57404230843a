// Package page is the dashboard of the store: one page of static files, and the state
// that it draws.
//
// examples/internal/dash serves it:
//
//	d, err := dash.New(dash.Options{
//		Page:   page.FS(),
//		State:  func() any { return cluster.state() }, // a page.State
//		Action: cluster.act,                            // the Action… names below
//	})
//
// The page has no build step, loads nothing from elsewhere and runs under the content
// security policy that dash sets. It keeps the last sixty request rates of each node by
// itself; all else that it shows is in the newest State.
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

// The actions that the page posts, and the arguments of each. An error that one returns
// is shown beside the button or the form. ActionPut, ActionGet and ActionResolve succeed
// by appending an Event that carries the request's ArgRequest.
const (
	ActionKill    = "kill"    // ArgNode: stop it as a crash would
	ActionStart   = "start"   // ArgNode: start it on what its disk holds
	ActionCut     = "cut"     // ArgNode: cut it off from every other node
	ActionHeal    = "heal"    // no argument: mend every cut
	ActionPut     = "put"     // ArgNode (who coordinates), ArgKey, ArgValue, ArgRequest
	ActionGet     = "get"     // ArgNode, ArgKey, ArgRequest
	ActionResolve = "resolve" // as put: write ArgValue in place of all siblings of ArgKey
)

// Names of the actions' arguments.
const (
	ArgNode    = "node"    // a Node.ID
	ArgKey     = "key"     // never empty
	ArgValue   = "value"   // may be empty
	ArgRequest = "request" // chosen by the page, to find the Event that answers
)

// State is all that the page shows at one moment. Nil slices and maps are empty ones.
type State struct {
	Cluster    string      `json:"cluster"`    // its name, for the heading
	Now        time.Time   `json:"now"`        // when the state was taken
	Partitions []Partition `json:"partitions"` // in ring order
	Nodes      []Node      `json:"nodes"`      // in a fixed order: a node keeps its colour by its place
	Events     []Event     `json:"events"`     // newest last, at most dash.MaxEvents
	Totals     Totals      `json:"totals"`
}

// Partition is one slice of the ring.
type Partition struct {
	ID     int      `json:"id"`
	Owners []string `json:"owners"` // Node.IDs, the first owner first
}

// The health of a node: what Node.State may be.
const (
	NodeUp         = "up"
	NodeDown       = "down"       // killed, or not started
	NodeCut        = "cut"        // runs, but the others cannot be reached
	NodeRebuilding = "rebuilding" // runs, and fetches what it should hold
)

// Node is one node. What counts events counts since the node's start.
type Node struct {
	ID    string `json:"id"`
	Addr  string `json:"addr"`  // host:port where its peers reach it
	HTTP  string `json:"http"`  // host:port
	Redis string `json:"redis"` // host:port
	State string `json:"state"` // NodeUp, NodeDown, …

	Keys       int64            `json:"keys"`       // live keys held, as owner of whatever rank
	Bytes      int64            `json:"bytes"`      // of their keys and values
	Tombstones int64            `json:"tombstones"` // deleted keys not yet forgotten
	Disk       int64            `json:"disk"`       // bytes of its files
	Hints      int64            `json:"hints"`      // writes kept for others
	HintsFor   map[string]int64 `json:"hintsFor"`   // the same by Node.ID of whom they wait for

	RepairSent     int64 `json:"repairSent"`     // bytes of replica synchronisation
	RepairReceived int64 `json:"repairReceived"` // bytes of replica synchronisation
	Repaired       int64 `json:"repaired"`       // keys that synchronisation brought up to date here
	ReadRepairs    int64 `json:"readRepairs"`    // stale replicas that its reads brought up to date

	Requests int64   `json:"requests"` // coordinated here
	Failed   int64   `json:"failed"`   // of Requests
	Rate     float64 `json:"rate"`     // requests per second, lately
	P50      float64 `json:"p50"`      // milliseconds, lately
	P99      float64 `json:"p99"`      // milliseconds, lately

	Peers map[string]bool `json:"peers"` // Node.ID of every other node: does this one see it up?
	Error string          `json:"error"` // what ails it; empty: nothing
}

// Event is something that happened: a line of the log, or the answer to a request of
// the page's form.
type Event struct {
	At   time.Time `json:"at"`
	Node string    `json:"node"` // Node.ID; empty: the cluster
	Kind string    `json:"kind"` // a word: "kill", "heal", "get" …
	Text string    `json:"text"` // a short sentence

	// Request is the ArgRequest that the event answers; empty: none. Key and Values
	// come with an answer: the key asked for or written, and what a get found. More
	// than one value are siblings, each with a button that resolves the key to it, so
	// they must not be shortened.
	Request string   `json:"request"`
	Key     string   `json:"key"`
	Values  []string `json:"values"`
}

// Totals are sums over the nodes. Replicas count each time, as they take space each time.
type Totals struct {
	Keys        int64   `json:"keys"`
	Bytes       int64   `json:"bytes"`       // of keys and values
	Rate        float64 `json:"rate"`        // requests per second
	Hints       int64   `json:"hints"`       // writes that wait for their owner
	RepairBytes int64   `json:"repairBytes"` // sent by replica synchronisation
}
