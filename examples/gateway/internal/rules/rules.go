// Package rules is what a gateway does, as its operators write it down: a JSON file of
// routes, pools of backends, limits and keys. Parse refuses what a gateway could not keep,
// and says where; a gateway goes on with the rules that it has.
package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/token"
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
	Tokens []Token            `json:"tokens,omitempty"` // whose tokens are as good as a key
	Block  []Block            `json:"block,omitempty"`  // requests that look like an attack
	CORS   *CORS              `json:"cors,omitempty"`   // nil: backends speak for themselves
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
	ID     string   `json:"id"`     // for logs and counts; not secret
	SHA256 string   `json:"sha256"` // of the secret, in hex
	User   string   `json:"user"`
	Tier   string   `json:"tier"`
	Scopes []string `json:"scopes,omitempty"` // what it may do, for routes that ask
}

// Token is a key that JSON Web Tokens are signed with. Each user that one is made out to has
// a tier's limits for himself. Two entries of an issuer are his old key and his new one.
type Token struct {
	ID       string `json:"id"`
	Issuer   string `json:"issuer"`
	Audience string `json:"audience"` // that names this gateway
	Alg      string `json:"alg"`      // "HS256", "RS256", "ES256" or "EdDSA": this one alone
	Key      string `json:"key"`      // a PUBLIC KEY in PEM; of HS256 the secret in base64
	KeyID    string `json:"kid,omitempty"`
	Tier     string `json:"tier"` // of users whose tokens name none that is known
	// TierClaim names the claim that says a user's tier; empty: none does.
	TierClaim string   `json:"tierClaim,omitempty"`
	Prefix    string   `json:"prefix,omitempty"` // of users' names, so that they are not those of keys
	Leeway    Duration `json:"leeway,omitempty"` // by how much clocks may differ
}

// Verifier checks the tokens.
func (t *Token) Verifier() (*token.Verifier, error) {
	return token.New(token.Options{
		Issuer: t.Issuer, Audience: t.Audience, Alg: t.Alg, Key: t.Key, KeyID: t.KeyID,
		TierClaim: t.TierClaim, Leeway: time.Duration(t.Leeway),
	})
}

// Block refuses requests of which a part looks like an attack.
type Block struct {
	Name  string `json:"name"`
	In    string `json:"in"`    // "path", "query" (both decoded), or "header:User-Agent"
	Match string `json:"match"` // a regular expression, of package regexp
}

// Route says which requests go where. The most telling route wins: a host before none, the
// longer path before the shorter one, more headers before fewer.
type Route struct {
	Name    string            `json:"name"`
	Host    string            `json:"host,omitempty"`    // "api.example.org", "*.example.org", or any
	Path    string            `json:"path"`              // "/src/": all below; "/src": itself alone
	Headers map[string]string `json:"headers,omitempty"` // all of these, with these values
	Methods []string          `json:"methods,omitempty"` // all if empty
	Pool    string            `json:"pool,omitempty"`
	Strip   bool              `json:"strip,omitempty"`  // the path up to its last slash is taken away
	Public  bool              `json:"public,omitempty"` // needs no key
	Scopes  []string          `json:"scopes,omitempty"` // all of which a key or a token must have
	// RPC turns a request into a call of a procedure, and its result into the answer.
	RPC *RPC `json:"rpc,omitempty"`
	// Gather makes one JSON object of the answers of other routes: its members, and the
	// paths of GETs that yield them. Instead of a pool. What is behind the route's path, and
	// the query, are put behind each.
	Gather map[string]string `json:"gather,omitempty"`
	Send   map[string]string `json:"send,omitempty"`  // headers that the backend gets
	Shape  *Shape            `json:"shape,omitempty"` // what becomes of answers in JSON
	// Cost is what a request takes of every limit. Absent: 1. 0: nothing.
	Cost    *int64            `json:"cost,omitempty"`
	Limits  []Limit           `json:"limits,omitempty"`  // of all clients together
	Timeout Duration          `json:"timeout,omitempty"` // of a request, with retries and bodies; 0: 30 s
	MaxBody int64             `json:"maxBody,omitempty"` // of a request, in bytes; 0: 1 MiB
	Cache   Duration          `json:"cache,omitempty"`   // how long answers to GET may be kept; 0: not
	Set     map[string]string `json:"set,omitempty"`     // headers that the answer gets
}

// RPC is a procedure that a route stands for, called by JSON-RPC over POST.
type RPC struct {
	Path    string `json:"path"` // of the backend
	Method  string `json:"method"`
	Version string `json:"version,omitempty"` // "2.0" (or empty): parameters by name; "1.0": one object of them
	// Params are the parameters and their types: "string", "integer", "number", "boolean",
	// or "any" in a body. They come from the path, the query, or a body that is an object.
	Params   map[string]string `json:"params,omitempty"`
	Segments []string          `json:"segments,omitempty"` // parameters that the path's segments behind the route's are, in order
	Errors   map[string]int    `json:"errors,omitempty"`   // the status for an error's code, or for its text if it has none
}

// Types of parameters.
var Types = []string{"string", "integer", "number", "boolean", "any"}

// Shape changes the members of an object.
type Shape struct {
	Only    []string          `json:"only,omitempty"`    // drop all others; empty: none
	Without []string          `json:"without,omitempty"` // drop these
	Rename  map[string]string `json:"rename,omitempty"`  // old to new, of what is left
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
