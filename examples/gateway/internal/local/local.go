// Package local is a small world in one process: backends that serve files, gateways in
// front of them, and a Redis where one is installed. The story and its dashboard live in it.
package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/gate"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/redis"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/site"
)

// Secrets of the keys that Rules know, by what they are for.
const (
	FreeKey     = "free-key-of-ada"
	PremiumKey  = "premium-key-of-bob"
	SearchKey   = "free-key-of-cyd"
	SharedKey   = "free-key-of-dee"
	StandbyKey  = "free-key-of-eve"
	OperatorKey = "operator-key"
)

// Pools that Rules know.
const (
	Sources = "sources"
	Search  = "search"
)

// StoreTimeout is how long the gateways wait for Redis.
const StoreTimeout = time.Second

// AddressLimit is how many requests a second one address may make.
const AddressLimit = 50

// Options are the options of New.
type Options struct {
	Dir      string           // whose files are served; required
	Names    []string         // of its files, below it, with slashes
	Gateways int              // 0: 2
	Port     int              // of the first gateway; the others have the next. 0: any
	Event    func(gate.Event) // nil: nobody is told
}

// Local is such a world. Close it.
type Local struct {
	Backends []*site.Server // four of files, two of the search
	Gateways []*gate.Gateway
	Addrs    []string      // of the gateways
	Redis    *redis.Server // nil: none is installed
	NoRedis  error         // why

	login   *login
	mu      sync.Mutex
	servers []*http.Server // guarded by mu
	wg      sync.WaitGroup
}

// New starts everything.
func New(ctx context.Context, o Options) (l *Local, err error) {
	l = &Local{}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if o.Gateways == 0 {
		o.Gateways = 2
	}
	if l.login, err = newLogin(); err != nil {
		return l, err
	}
	files := os.DirFS(o.Dir)
	for _, id := range []string{"s1", "s2", "s3", "s4", "q1", "q2"} {
		b, err := site.New(id, files, o.Names)
		if err != nil {
			return l, err
		}
		l.Backends = append(l.Backends, b)
	}
	limits := gate.Limits{Gateways: o.Gateways, Timeout: rules.Duration(StoreTimeout)}
	switch l.Redis, err = redis.Start(ctx); {
	case errors.Is(err, redis.ErrNotInstalled):
		l.NoRedis = err
	case err != nil:
		return l, err
	default:
		limits.Redis = l.Redis.Addr
	}
	for i := range o.Gateways {
		g, err := gate.New(gate.Options{Name: fmt.Sprint("g", i+1), Rules: l.Rules(), Limits: limits, Event: o.Event})
		if err != nil {
			return l, err
		}
		l.Gateways = append(l.Gateways, g)
		port := 0
		if o.Port > 0 {
			port = o.Port + i
		}
		if err := l.serve(g, port); err != nil {
			return l, err
		}
	}
	return l, nil
}

// serve answers on a port of loopback.
func (l *Local) serve(h http.Handler, port int) error {
	listener, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, DisableGeneralOptionsHandler: true}
	l.Addrs = append(l.Addrs, listener.Addr().String())
	l.mu.Lock()
	l.servers = append(l.servers, server)
	l.mu.Unlock()
	l.wg.Go(func() { _ = server.Serve(listener) }) // ends by Close
	return nil
}

// Backend is the server of that name, or nil.
func (l *Local) Backend(id string) *site.Server {
	for _, b := range l.Backends {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// Rules are those that the gateways begin with.
func (l *Local) Rules() *rules.Rules {
	ms := func(n int) rules.Duration { return rules.Duration(n) * rules.Duration(time.Millisecond) }
	hour := rules.Duration(time.Hour)
	one := func(name string, n int64, per rules.Duration) []rules.Limit {
		return []rules.Limit{{Name: name, Events: n, Per: per}}
	}
	key := func(id, secret, user, tier string) rules.Key {
		sum := sha256.Sum256([]byte(secret))
		return rules.Key{ID: id, SHA256: hex.EncodeToString(sum[:]), User: user, Tier: tier}
	}
	cost := int64(10)
	pool := func(name string, backends ...*site.Server) rules.Pool {
		p := rules.Pool{
			Name: name, Policy: "two-choices",
			Health:  rules.Health{Path: "/healthz", Every: ms(100), Timeout: ms(500)},
			Eject:   rules.Eject{Failures: 3, For: ms(200)},
			Retry:   rules.Retry{Attempts: 4, Timeout: ms(2000), Percent: 50},
			Breaker: rules.Breaker{Rest: ms(300), Window: ms(2000)},
		}
		for _, b := range backends {
			p.Backends = append(p.Backends, rules.Backend{ID: b.ID, URL: b.URL()})
		}
		return p
	}
	sources := pool(Sources, l.Backends[:4]...)
	sources.InFlight = rules.InFlight{Adapt: "gradient", Limit: 100, Min: 16, Max: 1000, Queue: 200, Wait: rules.Duration(2 * time.Second)}
	return &rules.Rules{
		Trusted: []string{"127.0.0.0/8", "::1/128"},
		IP:      one("address", AddressLimit, rules.Duration(time.Second)),
		User:    []rules.Limit{{Name: "user", Events: 5000, Per: rules.Duration(time.Second), Burst: 20000}},
		Tiers: map[string][]rules.Limit{
			"free": one("free", 100, hour), "premium": one("premium", 1000, hour),
			"operator": one("operator", 1_000_000, hour),
		},
		Keys: []rules.Key{
			key("ada-1", FreeKey, "ada", "free"), key("bob-1", PremiumKey, "bob", "premium"), key("cyd-1", SearchKey, "cyd", "free"),
			key("dee-1", SharedKey, "dee", "free"), key("eve-1", StandbyKey, "eve", "free"), key("op-1", OperatorKey, "op", "operator"),
		},
		Tokens: []rules.Token{l.login.rule()},
		Block:  []rules.Block{{Name: "probe", In: "path", Match: `(?i)/\.env$|\.php$`}},
		Routes: []rules.Route{
			{Name: "src", Path: "/src/", Pool: Sources, Strip: true, Public: true, Methods: []string{"GET", "HEAD"}, Timeout: ms(10_000)},
			{Name: "kept", Path: "/kept/", Pool: Sources, Strip: true, Public: true, Timeout: ms(10_000), Cache: hour},
			{Name: "search", Path: "/search", Pool: Search, Cost: &cost, Timeout: ms(3000)},
			{
				Name: "find", Path: "/find/", Pool: Search, Timeout: ms(3000), Scopes: []string{"search"},
				RPC: &rules.RPC{
					Path: "/rpc", Method: "Files.Find", Version: "1.0", Params: map[string]string{"word": "string", "limit": "integer"},
					Segments: []string{"word"}, Errors: map[string]int{"no such file": http.StatusNotFound},
				},
			},
			{Name: "all", Path: "/all/", Timeout: ms(3000), Gather: map[string]string{"found": "/find/", "seen": "/src/"}},
			{Name: "echo", Path: "/echo", Pool: Search, Timeout: ms(3000), MaxBody: 64 << 10},
		},
		Pools: []rules.Pool{sources, pool(Search, l.Backends[4:]...)},
	}
}

// Load puts rules in force at all gateways; the first that refuses them ends it.
func (l *Local) Load(r *rules.Rules, by string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return l.LoadFile(b, by)
}

// LoadFile is Load of a file's content.
func (l *Local) LoadFile(b []byte, by string) error {
	for _, g := range l.Gateways {
		if err := g.Load(b, by); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything.
func (l *Local) Close() error {
	var errs []error
	l.mu.Lock()
	for _, s := range l.servers {
		errs = append(errs, s.Close())
	}
	l.mu.Unlock()
	l.wg.Wait()
	for _, g := range l.Gateways {
		errs = append(errs, g.Close())
	}
	for _, b := range l.Backends {
		errs = append(errs, b.Close())
	}
	if l.Redis != nil {
		errs = append(errs, l.Redis.Close())
	}
	return errors.Join(errs...)
}

// List finds the files below dir that are at most largest bytes long, the first most of
// them, in the order of their names.
func List(ctx context.Context, dir string, most int, largest int64) (names []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != dir):
			return fs.SkipDir
		case !d.Type().IsRegular() || d.Name() == "index.html": // which file servers redirect from
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > largest {
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if names = append(names, filepath.ToSlash(name)); len(names) >= most {
			return fs.SkipAll
		}
		return nil
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no file below %s", dir)
	}
	return names, err
}
