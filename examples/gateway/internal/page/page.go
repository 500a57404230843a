// Package page is the dashboard of the gateways: one page of static files, and the state
// that it draws.
//
// examples/internal/dash serves it, with State from and actions to package view. The page
// has no build step, loads nothing from elsewhere and runs under the content security
// policy that dash sets. It keeps the last sixty request rates of each gateway by itself;
// all else that it shows is in the newest State.
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
// is shown beside the button or the form.
const (
	ActionKill   = "kill"   // ArgBackend: end it as a crash would
	ActionStart  = "start"  // ArgBackend: start it again
	ActionSlow   = "slow"   // ArgBackend: every answer takes 200 ms longer
	ActionFast   = "fast"   // ArgBackend: no longer
	ActionDrain  = "drain"  // ArgPool, ArgBackend: out of service, at every gateway
	ActionAdmit  = "admit"  // ArgPool, ArgBackend: back in service
	ActionPolicy = "policy" // ArgPool, ArgPolicy: choose backends in another way
	ActionRedis  = "redis"  // ArgTo "down" or "up": kill the shared store, or start it
	ActionSend   = "send"   // ArgPath, ArgKey, ArgFrom, ArgCount, ArgRequest: make requests
)

// Names of the actions' arguments.
const (
	ArgBackend = "backend"
	ArgPool    = "pool"
	ArgPolicy  = "policy"
	ArgTo      = "to"
	ArgPath    = "path"
	ArgKey     = "key"
	ArgFrom    = "from"  // the address to be forwarded for; may be empty
	ArgCount   = "count" // 1 to MaxCount
	ArgRequest = "request"
)

// MaxCount is the most requests that one ActionSend makes.
const MaxCount = 500

// State is all that the page shows at one moment. Nil slices are empty ones.
type State struct {
	Name     string    `json:"name"`
	Now      time.Time `json:"now"`
	Real     bool      `json:"real"` // backends and store are not ours: they can be drained, not killed
	Gateways []Gateway `json:"gateways"`
	Pools    []Pool    `json:"pools"`
	Routes   []Route   `json:"routes"`
	Clients  []Client  `json:"clients"` // who was refused most first, at most MaxClients
	Audits   []Audit   `json:"audits"`  // newest last
	Events   []Event   `json:"events"`  // newest last, at most dash.MaxEvents
	Policies []string  `json:"policies"`
	Keys     []Choice  `json:"keys"` // that ActionSend may use
	Totals   Totals    `json:"totals"`
}

// MaxClients is the most clients that a State should carry.
const MaxClients = 12

// Choice is a value and how to call it.
type Choice struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// Gateway is one gateway. Rates and times are of the last seconds.
type Gateway struct {
	ID       string  `json:"id"`
	Addr     string  `json:"addr"`
	Rate     float64 `json:"rate"`    // requests per second
	Refused  float64 `json:"refused"` // of these by limits
	P50      float64 `json:"p50"`     // milliseconds
	P99      float64 `json:"p99"`
	UnderWay int64   `json:"underWay"`
	Requests uint64  `json:"requests"` // since the start
	Failed   uint64  `json:"failed"`   // of these with 5xx
	Limited  uint64  `json:"limited"`  // of these with 429
	Counting string  `json:"counting"` // where limits are counted: "memory", "redis", "edge"
	Down     bool    `json:"down"`     // the shared store does not answer
	Degraded uint64  `json:"degraded"` // decided without it
}

// Pool is a pool of backends, with what all gateways know of it together.
type Pool struct {
	Name     string    `json:"name"`
	Policy   string    `json:"policy"`
	Breaker  string    `json:"breaker"` // the worst of all gateways: "closed", "half-open", "open"
	Retries  uint64    `json:"retries"`
	Bound    int       `json:"bound"` // of what is under way, of all together; 0: none
	UnderWay int       `json:"underWay"`
	Backends []Backend `json:"backends"`
}

// The health of a backend: what Backend.State may be.
const (
	BackendUp      = "up"
	BackendDown    = "down"
	BackendEjected = "ejected"
	BackendDrained = "drained"
)

// Backend is one server.
type Backend struct {
	ID       string  `json:"id"`
	URL      string  `json:"url"`
	State    string  `json:"state"`   // the worst of all gateways
	Runs     bool    `json:"runs"`    // whether ActionKill makes sense; only if not State.Real
	Slow     bool    `json:"slow"`    // ActionSlow is in force
	Weight   int     `json:"weight"`  //
	Rate     float64 `json:"rate"`    // attempts per second
	Latency  float64 `json:"latency"` // milliseconds to expect
	UnderWay int64   `json:"underWay"`
	Requests uint64  `json:"requests"` // attempts
	Failures uint64  `json:"failures"` // of these
}

// Route is one route, of all gateways together.
type Route struct {
	Name    string  `json:"name"`
	Pattern string  `json:"pattern"`
	Pool    string  `json:"pool"`
	Cost    int64   `json:"cost"`
	Rate    float64 `json:"rate"`
	P99     float64 `json:"p99"` // milliseconds, lately
	Limited uint64  `json:"limited"`
	Failed  uint64  `json:"failed"`
	Cached  uint64  `json:"cached"`
}

// Client is a key, or an address that has none.
type Client struct {
	Name     string `json:"name"`
	Tier     string `json:"tier"`
	Admitted uint64 `json:"admitted"`
	Refused  uint64 `json:"refused"`
	Limit    string `json:"limit"` // that decided last
	Left     int64  `json:"left"`  // of it
}

// Audit is a change of the rules, or an attempt.
type Audit struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Changes []string  `json:"changes"`
	Error   string    `json:"error"` // why the old rules stayed
}

// Event is something that happened: a line of the log, or the answer to a request of the
// page's form.
type Event struct {
	At   time.Time `json:"at"`
	Who  string    `json:"who"`  // a gateway, a backend; empty: all
	Kind string    `json:"kind"` // a word
	Text string    `json:"text"`

	// Request is the ArgRequest that the event answers, and Statuses how many answers came
	// with which status.
	Request  string         `json:"request"`
	Statuses map[string]int `json:"statuses"`
	Limit    string         `json:"limit"` // the last RateLimit header
}

// Totals are sums over the gateways.
type Totals struct {
	Rate    float64 `json:"rate"`
	P99     float64 `json:"p99"` // the worst of all
	Limited float64 `json:"limited"`
	Failed  float64 `json:"failed"` // 5xx, per second
	Retries uint64  `json:"retries"`
}
