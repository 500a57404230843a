// Package rules is what a gateway does, as its operators write it down: a JSON file of
// routes, pools of backends, limits and keys. Parse refuses what a gateway could not keep,
// and says where; a gateway goes on with the rules that it has.
package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrRules is matched by whatever is wrong with a file of rules.
var ErrRules = errors.New("rules")

// Rules are immutable once they are parsed.
type Rules struct {
	// Trusted are the addresses of proxies in front of the gateway, whose X-Forwarded-For
	// is believed: "10.0.0.0/8". Empty: nobody's.
	Trusted []string `json:"trusted,omitempty"`
	// IP are the limits of each client address, User those of each user over all his keys.
	IP   []Limit `json:"ip,omitempty"`
	User []Limit `json:"user,omitempty"`
	// Tiers are the limits of each key, by the name of its tier.
	Tiers  map[string][]Limit `json:"tiers,omitempty"`
	Keys   []Key              `json:"keys,omitempty"`
	CORS   *CORS              `json:"cors,omitempty"` // nil: backends speak for themselves
	Routes []Route            `json:"routes"`
	Pools  []Pool             `json:"pools"`
}

// CORS says which other sites' pages may use the gateway from a browser.
type CORS struct {
	Origins []string `json:"origins"`           // "https://app.example.org"; "*": all
	Headers []string `json:"headers,omitempty"` // that they may send
	MaxAge  Duration `json:"maxAge,omitempty"`  // how long a browser may remember that; 0: 10 minutes
}

// Limit is a ratelimit.Limit and how it is counted.
type Limit struct {
	Name      string   `json:"name"`
	Events    int64    `json:"events"`
	Per       Duration `json:"per"`
	Burst     int64    `json:"burst,omitempty"`     // 0: as many as Events
	Algorithm string   `json:"algorithm,omitempty"` // "gcra" if empty
}

// Key admits who sends it.
type Key struct {
	ID     string `json:"id"`     // for logs and counts; not secret
	SHA256 string `json:"sha256"` // of the secret, in hex
	User   string `json:"user"`
	Tier   string `json:"tier"`
}

// Route says which requests go where. The most telling route wins: a host before none, the
// longer path before the shorter one, more headers before fewer.
type Route struct {
	Name    string            `json:"name"`
	Host    string            `json:"host,omitempty"`    // "api.example.org", "*.example.org", or any
	Path    string            `json:"path"`              // "/src/": all below; "/src": itself alone
	Headers map[string]string `json:"headers,omitempty"` // all of these, with these values
	Methods []string          `json:"methods,omitempty"` // all if empty
	Pool    string            `json:"pool"`
	Strip   bool              `json:"strip,omitempty"`  // the path up to its last slash is taken away
	Public  bool              `json:"public,omitempty"` // needs no key
	// Cost is what a request takes of every limit. Absent: 1. 0: nothing.
	Cost    *int64            `json:"cost,omitempty"`
	Limits  []Limit           `json:"limits,omitempty"`  // of all clients together
	Timeout Duration          `json:"timeout,omitempty"` // of a request, with retries and bodies; 0: 30 s
	MaxBody int64             `json:"maxBody,omitempty"` // of a request, in bytes; 0: 1 MiB
	Cache   Duration          `json:"cache,omitempty"`   // how long answers to GET may be kept; 0: not
	Set     map[string]string `json:"set,omitempty"`     // headers that the answer gets
}

// RequestCost is Cost with its default.
func (r *Route) RequestCost() int64 {
	if r.Cost == nil {
		return 1
	}
	return *r.Cost
}

// Pool is backends that can stand in for each other.
type Pool struct {
	Name     string    `json:"name"`
	Policy   string    `json:"policy,omitempty"` // one of Policies; "two-choices" if empty
	Backends []Backend `json:"backends"`
	Health   Health    `json:"health,omitzero"`
	Eject    Eject     `json:"eject,omitzero"`
	Retry    Retry     `json:"retry,omitzero"`
	Breaker  Breaker   `json:"breaker,omitzero"`
	InFlight InFlight  `json:"inFlight,omitzero"`
}

// Policies are the names of the ways to choose a backend.
var Policies = []string{
	"round-robin", "weighted", "least-connections", "least-response-time", "two-choices", "ip-hash", "url-hash", "sticky",
}

// Backend is one server.
type Backend struct {
	ID     string `json:"id"`
	URL    string `json:"url"`              // "http://host:port"
	Weight int    `json:"weight,omitempty"` // 0 means 1
}

// Health is how backends are asked whether they live.
type Health struct {
	Path    string   `json:"path,omitempty"`    // empty: they are not asked
	Every   Duration `json:"every,omitempty"`   // 0: 1 s
	Timeout Duration `json:"timeout,omitempty"` // 0: 1 s
	Rise    int      `json:"rise,omitempty"`    // good answers in a row that bring it back; 0: 2
	Fall    int      `json:"fall,omitempty"`    // bad ones that take it out; 0: 2
}

// Eject is how backends are taken out by what their requests tell.
type Eject struct {
	Failures int      `json:"failures,omitempty"` // in a row; 0: 5
	For      Duration `json:"for,omitempty"`      // the first time, twice as long each further time; 0: 1 s
	Most     Duration `json:"most,omitempty"`     // 0: 30 s
}

// Retry is how often a request is made again. It is only made again if it cannot have been
// carried out, or if it may be carried out twice.
type Retry struct {
	Attempts int      `json:"attempts,omitempty"` // with the first; 0: 3; 1: none is made again
	Percent  int      `json:"percent,omitempty"`  // of requests that may be made again, in the long run; 0: 20
	Backoff  Duration `json:"backoff,omitempty"`  // the first wait is at random up to this; 0: 5 ms
	Timeout  Duration `json:"timeout,omitempty"`  // of an attempt, up to its answer's header; 0: none of its own
}

// Breaker is when a pool is given a rest.
type Breaker struct {
	Requests int      `json:"requests,omitempty"` // the fewest, within Window, that say anything; 0: 20
	Percent  int      `json:"percent,omitempty"`  // of them that failed; 0: 50
	Window   Duration `json:"window,omitempty"`   // 0: 10 s
	Rest     Duration `json:"rest,omitempty"`     // 0: 1 s
}

// InFlight bounds the requests under way to a pool.
type InFlight struct {
	Adapt string   `json:"adapt,omitempty"` // "fixed", "aimd", "gradient", "vegas"; empty: no bound
	Limit int      `json:"limit,omitempty"` // the first bound; 0: 20
	Min   int      `json:"min,omitempty"`   // 0: 1
	Max   int      `json:"max,omitempty"`   // 0: 1,000
	Queue int      `json:"queue,omitempty"` // who may wait
	Wait  Duration `json:"wait,omitempty"`  // and how long; 0: 100 ms
	// Slow makes what took longer count as a sign of overload, which "aimd" needs; 0: nothing does.
	Slow Duration `json:"slow,omitempty"`
}

// Duration is a time.Duration that JSON writes as "250ms".
type Duration time.Duration

// Or is d, or def if d is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// String is as time.Duration's.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is a string such as \"250ms\", not %.20s", b)
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}
