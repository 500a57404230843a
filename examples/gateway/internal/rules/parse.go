package rules

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// MaxSize bounds a file of rules.
const MaxSize = 1 << 20

// Bounds of what a file may ask for. They are far beyond what makes sense, and far from
// what overflows.
const (
	maxCost    = 1_000_000_000
	maxWeight  = 1_000
	maxTime    = Duration(24 * time.Hour)
	maxLeeway  = Duration(10 * time.Minute)
	maxEntries = 10_000 // of any list
	maxNumber  = 1_000_000
	maxBody    = 1 << 30
	// What each request may be tried against.
	maxPatterns = 100
	maxPattern  = 1000 // bytes; and names in other lists
	maxGather   = 20
)

// Read parses a file.
func Read(path string) (*Rules, []byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	r, err := Parse(b)
	return r, b, err
}

// Parse reads rules and checks that they can be kept. Errors match ErrRules.
func Parse(b []byte) (*Rules, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrRules, MaxSize)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var r Rules
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%w: near byte %d: %w", ErrRules, d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: more than one value, near byte %d", ErrRules, d.InputOffset())
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRules, err)
	}
	return &r, nil
}

func (r *Rules) check() error {
	if len(r.Routes) == 0 || len(r.Pools) == 0 {
		return fmt.Errorf("at least one route and one pool are needed")
	}
	if len(r.Routes) > maxEntries || len(r.Pools) > maxEntries || len(r.Keys) > maxEntries || len(r.Tiers) > maxEntries || len(r.Trusted) > maxEntries ||
		len(r.Tokens) > maxPatterns || len(r.Block) > maxPatterns {
		return fmt.Errorf("more than %d entries", maxEntries)
	}
	if _, err := r.Proxies(); err != nil {
		return err
	}
	if err := checkLimits("ip", r.IP); err != nil {
		return err
	}
	if err := checkLimits("user", r.User); err != nil {
		return err
	}
	for name, limits := range r.Tiers {
		if err := checkLimits("tier "+name, limits); err != nil {
			return err
		}
	}
	if err := r.checkKeys(); err != nil {
		return err
	}
	if err := r.checkTokens(); err != nil {
		return err
	}
	for _, b := range r.Block {
		if err := b.check(); err != nil {
			return fmt.Errorf("block %q: %w", b.Name, err)
		}
	}
	if err := r.CORS.check(); err != nil {
		return fmt.Errorf("cors: %w", err)
	}
	pools := map[string]bool{}
	for i := range r.Pools {
		p := &r.Pools[i]
		if err := p.check(); err != nil {
			return fmt.Errorf("pool %q: %w", p.Name, err)
		}
		if pools[p.Name] {
			return fmt.Errorf("pool %q: twice", p.Name)
		}
		pools[p.Name] = true
	}
	names := map[string]bool{}
	for i := range r.Routes {
		route := &r.Routes[i]
		if err := route.check(pools); err != nil {
			return fmt.Errorf("route %q: %w", route.Name, err)
		}
		if names[route.Name] {
			return fmt.Errorf("route %q: twice", route.Name)
		}
		names[route.Name] = true
	}
	return nil
}

func (r *Rules) checkKeys() error {
	ids, hashes := map[string]bool{}, map[string]bool{}
	for _, k := range r.Keys {
		sum, err := hex.DecodeString(k.SHA256)
		switch _, known := r.Tiers[k.Tier]; {
		case !isName(k.ID) || !isName(k.User):
			return fmt.Errorf("key %q: id and user must be names", k.ID)
		case err != nil || len(sum) != 32:
			return fmt.Errorf("key %q: sha256 is not 64 hexadecimal digits", k.ID)
		case !known:
			return fmt.Errorf("key %q: there is no tier %q", k.ID, k.Tier)
		case ids[k.ID] || hashes[string(sum)]:
			return fmt.Errorf("key %q: twice", k.ID)
		}
		if err := checkScopes(k.Scopes); err != nil {
			return fmt.Errorf("key %q: %w", k.ID, err)
		}
		ids[k.ID], hashes[string(sum)] = true, true
	}
	return nil
}

func (r *Rules) checkTokens() error {
	ids := map[string]bool{}
	for _, t := range r.Tokens {
		_, known := r.Tiers[t.Tier]
		switch _, err := t.Verifier(); {
		case !isName(t.ID) || ids[t.ID]:
			return fmt.Errorf("tokens need names, each once; %q is none or twice", t.ID)
		case err != nil:
			return fmt.Errorf("token %q: %w", t.ID, err)
		case !known:
			return fmt.Errorf("token %q: there is no tier %q", t.ID, t.Tier)
		case t.Prefix != "" && !isName(t.Prefix):
			return fmt.Errorf("token %q: prefix %q cannot be", t.ID, t.Prefix)
		case t.Leeway < 0 || t.Leeway > maxLeeway:
			return fmt.Errorf("token %q: leeway %v is not within 0 and %v", t.ID, t.Leeway, maxLeeway)
		}
		ids[t.ID] = true
	}
	return nil
}

// checkScopes admits what can stand in a token's list (RFC 6749, appendix A.4).
func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return fmt.Errorf("scope %q is none", s)
		}
	}
	return nil
}

func (b *Block) check() error {
	name, ok := strings.CutPrefix(b.In, "header:")
	switch _, err := regexp.Compile(b.Match); {
	case !isName(b.Name):
		return fmt.Errorf("has no proper name")
	case b.In != "path" && b.In != "query" && !(ok && isToken(name)):
		return fmt.Errorf("in %q: there are path, query and header:NAME", b.In)
	case b.Match == "" || len(b.Match) > maxPattern:
		return fmt.Errorf("match is empty or longer than %d bytes", maxPattern)
	case err != nil:
		return err
	}
	return nil
}

// Proxies is whose word is taken for a client's address.
func (r *Rules) Proxies() (ratelimit.Proxies, error) {
	var p ratelimit.Proxies
	for _, s := range r.Trusted {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return p, fmt.Errorf("trusted: %q is no prefix such as 10.0.0.0/8", s)
		}
		p.Trusted = append(p.Trusted, prefix)
	}
	return p, nil
}

// Counted is the limit as package ratelimit has it.
func (l Limit) Counted() (ratelimit.Limit, ratelimit.Algorithm, error) {
	burst := l.Burst
	if burst == 0 {
		burst = l.Events
	}
	out := ratelimit.Limit{Name: l.Name, Events: l.Events, Per: time.Duration(l.Per), Burst: burst}
	if err := out.Validate(); err != nil {
		return out, 0, err
	}
	for a := ratelimit.GCRA; a <= ratelimit.SlidingCounter; a++ {
		if l.Algorithm == a.String() || l.Algorithm == "" && a == ratelimit.GCRA {
			return out, a, nil
		}
	}
	return out, 0, fmt.Errorf("there is no algorithm %q", l.Algorithm)
}

func checkLimits(of string, limits []Limit) error {
	names := map[string]bool{}
	for _, l := range limits {
		if _, _, err := l.Counted(); err != nil {
			return fmt.Errorf("%s: limit %q: %w", of, l.Name, err)
		}
		if !isName(l.Name) || names[l.Name] {
			return fmt.Errorf("%s: limits need names, each once; %q is none or twice", of, l.Name)
		}
		names[l.Name] = true
	}
	if len(limits) > 8 {
		return fmt.Errorf("%s: more than 8 limits", of)
	}
	return nil
}

func (c *CORS) check() error {
	if c == nil {
		return nil
	}
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || o != u.Scheme+"://"+u.Host) {
			return fmt.Errorf("origin %q is not https://host", o)
		}
	}
	for _, h := range c.Headers {
		if !isToken(h) {
			return fmt.Errorf("header %q cannot be", h)
		}
	}
	if len(c.Origins) == 0 {
		return fmt.Errorf("no origins")
	}
	return times(c.MaxAge)
}

func (r *Route) check(pools map[string]bool) error {
	switch {
	case !isName(r.Name):
		return fmt.Errorf("has no proper name")
	case !isPath(r.Path):
		return fmt.Errorf("path %q is none", r.Path)
	case !isHost(r.Host):
		return fmt.Errorf("host %q is none", r.Host)
	case r.Gather == nil && !pools[r.Pool]:
		return fmt.Errorf("there is no pool %q", r.Pool)
	case r.Gather != nil && (r.Pool != "" || r.RPC != nil || r.Strip || len(r.Gather) == 0 || len(r.Gather) > maxGather):
		return fmt.Errorf("gather has 1 to %d members, and goes without pool, rpc and strip", maxGather)
	case r.Public && len(r.Scopes) > 0:
		return fmt.Errorf("is public, so nobody is asked for scopes")
	case r.Cost != nil && (*r.Cost < 0 || *r.Cost > maxCost):
		return fmt.Errorf("cost %d is not within 0 and %d", *r.Cost, maxCost)
	case r.MaxBody < 0 || r.MaxBody > maxBody:
		return fmt.Errorf("maxBody %d is not within 0 and %d", r.MaxBody, maxBody)
	}
	for _, m := range r.Methods {
		if m == "" || m != strings.ToUpper(m) || strings.ContainsAny(m, " \t\r\n,") {
			return fmt.Errorf("method %q is none", m)
		}
	}
	for name, path := range r.Gather {
		if name == "" || !isPath(path) {
			return fmt.Errorf("gather: %q: path %q is none", name, path)
		}
	}
	if err := r.RPC.check(r.Path); err != nil {
		return fmt.Errorf("rpc: %w", err)
	}
	if err := r.Shape.check(); err != nil {
		return fmt.Errorf("shape: %w", err)
	}
	if err := checkScopes(r.Scopes); err != nil {
		return err
	}
	for _, set := range []map[string]string{r.Headers, r.Set, r.Send} {
		for name, value := range set {
			if !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
				return fmt.Errorf("header %q cannot be", name)
			}
		}
	}
	if err := times(r.Timeout, r.Cache); err != nil {
		return err
	}
	return checkLimits("limits", r.Limits)
}

func (c *RPC) check(path string) error {
	if c == nil {
		return nil
	}
	switch {
	case !isPath(c.Path):
		return fmt.Errorf("path %q is none", c.Path)
	case c.Method == "" || len(c.Method) > maxPattern || len(c.Params) > maxPattern:
		return fmt.Errorf("method %q, or too many parameters", c.Method)
	case c.Version != "" && c.Version != "1.0" && c.Version != "2.0":
		return fmt.Errorf("there is no version %q; there are 1.0 and 2.0", c.Version)
	case len(c.Segments) > 0 && !strings.HasSuffix(path, "/"):
		return fmt.Errorf("segments need a route that ends in a slash")
	}
	for name, kind := range c.Params {
		if name == "" || !slices.Contains(Types, kind) {
			return fmt.Errorf("parameter %q: there is no type %q; there are %s", name, kind, strings.Join(Types, ", "))
		}
	}
	seen := map[string]bool{}
	for _, name := range c.Segments {
		if kind := c.Params[name]; kind == "" || kind == "any" || seen[name] {
			return fmt.Errorf("segment %q is no parameter, or twice", name)
		}
		seen[name] = true
	}
	for code, status := range c.Errors {
		if status < 400 || status > 599 {
			return fmt.Errorf("error %q: status %d is none of an error", code, status)
		}
	}
	return nil
}

func (s *Shape) check() error {
	if s == nil {
		return nil
	}
	if len(s.Only) > maxPattern || len(s.Without) > maxPattern || len(s.Rename) > maxPattern {
		return fmt.Errorf("more than %d members", maxPattern)
	}
	news := map[string]bool{}
	for _, to := range s.Rename {
		if to == "" || news[to] {
			return fmt.Errorf("rename: %q is no name, or twice", to)
		}
		news[to] = true
	}
	return nil
}

func (p *Pool) check() error {
	if !isName(p.Name) {
		return fmt.Errorf("has no proper name")
	}
	if p.Policy != "" && !slices.Contains(Policies, p.Policy) {
		return fmt.Errorf("there is no policy %q; there are %s", p.Policy, strings.Join(Policies, ", "))
	}
	if len(p.Backends) == 0 || len(p.Backends) > maxEntries {
		return fmt.Errorf("%d backends", len(p.Backends))
	}
	ids := map[string]bool{}
	for _, b := range p.Backends {
		u, err := url.Parse(b.URL)
		switch {
		case !isName(b.ID) || ids[b.ID]:
			return fmt.Errorf("backends need names, each once; %q is none or twice", b.ID)
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "":
			return fmt.Errorf("backend %q: url %q is not http://host:port", b.ID, b.URL)
		case b.Weight < 0 || b.Weight > maxWeight:
			return fmt.Errorf("backend %q: weight %d is not within 0 and %d", b.ID, b.Weight, maxWeight)
		}
		ids[b.ID] = true
	}
	if p.Health.Path != "" && !strings.HasPrefix(p.Health.Path, "/") {
		return fmt.Errorf("health: path %q is none", p.Health.Path)
	}
	switch p.InFlight.Adapt {
	case "", "fixed", "aimd", "gradient", "vegas":
	default:
		return fmt.Errorf("inFlight: there is no %q; there are fixed, aimd, gradient, vegas", p.InFlight.Adapt)
	}
	for _, n := range []int{
		p.Health.Rise, p.Health.Fall, p.Eject.Failures, p.Retry.Attempts, p.Breaker.Requests,
		p.InFlight.Limit, p.InFlight.Min, p.InFlight.Max, p.InFlight.Queue,
	} {
		if n < 0 || n > maxNumber {
			return fmt.Errorf("%d is not within 0 and %d", n, maxNumber)
		}
	}
	if p.Retry.Attempts > 10 {
		return fmt.Errorf("retry: more than 10 attempts")
	}
	for _, n := range []int{p.Retry.Percent, p.Breaker.Percent} {
		if n < 0 || n > 100 {
			return fmt.Errorf("%d is no percentage", n)
		}
	}
	if f := p.InFlight; orInt(f.Min, 1) > orInt(f.Max, 1000) || f.Adapt != "fixed" && f.Limit > 0 && (f.Limit < f.Min || f.Limit > orInt(f.Max, 1000)) {
		return fmt.Errorf("inFlight: min %d, limit %d, max %d are not in order", f.Min, f.Limit, f.Max)
	}
	return times(p.Health.Every, p.Health.Timeout, p.Eject.For, p.Eject.Most, p.Retry.Backoff, p.Retry.Timeout,
		p.Breaker.Window, p.Breaker.Rest, p.InFlight.Wait, p.InFlight.Slow)
}

func orInt(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

func times(all ...Duration) error {
	for _, d := range all {
		if d < 0 || d > maxTime {
			return fmt.Errorf("a time of %v is not within 0 and %v", d, maxTime)
		}
	}
	return nil
}

// isPath says that a path is whole, and leads nowhere else.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.Contains(s, "/../") && !strings.ContainsAny(s, "?#")
}

// isName admits what can stand in a log, a metric's label and a key of Redis as it is.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c == '-' || c == '_' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	})
}

func isHost(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	return !strings.ContainsAny(s, "/:* \t\r\n") && s == strings.ToLower(s)
}

func isToken(s string) bool {
	return isName(s) && http.CanonicalHeaderKey(s) != "" && s != "Host"
}
