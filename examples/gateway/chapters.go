package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/gate"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/local"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/site"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/upstream"
)

// tokens: who shows one, what he may do with it, and what his request becomes.
func (t *teller) tokens(ctx context.Context) error {
	t.Chapter("Tokens, procedures and probes")
	good, err := t.local.Token("ada", "search", time.Minute)
	bare, bareErr := t.local.Token("ada", "read", time.Minute)
	over, overErr := t.local.Token("ada", "search", -time.Minute)
	if err := errors.Join(err, bareErr, overErr); err != nil {
		return err
	}
	ask := func(path, token string) (local.Answer, error) {
		return t.client.Do(ctx, local.Ask{Path: path, Token: token, From: local.Address(6000)})
	}
	a, err := ask("/find/print?limit=3", good)
	if err != nil {
		return err
	}
	var found site.Found
	err = json.Unmarshal(a.Body, &found)
	t.Check(err == nil && a.Status == http.StatusOK && len(found.Files) > 0 && len(found.Files) <= 3,
		"GET /find/print?limit=3 becomes a call of Files.Find at a net/rpc server: %d files, the first %d told", found.Total, len(found.Files))
	part := strings.Split(good, ".")
	for _, c := range []struct {
		what, path, token string
		status            int
	}{
		{"nothing to be found is no failure", "/find/no-file-has-this-name", good, http.StatusNotFound},
		{"a limit that is no number does not get there", "/find/print?limit=all", good, http.StatusBadRequest},
		{"a token without the scope", "/find/print", bare, http.StatusForbidden},
		{"one that is over", "/find/print", over, http.StatusUnauthorized},
		{"one that says it needs no signature", "/find/print", "eyJhbGciOiJub25lIn0." + part[1] + ".", http.StatusUnauthorized},
		{"one with another's claims", "/find/print", part[0] + "." + strings.Split(bare, ".")[1] + "." + part[2], http.StatusUnauthorized},
		{"a probe for secrets", "/src/.env", "", http.StatusForbidden},
	} {
		a, err := ask(c.path, c.token)
		if err != nil {
			return err
		}
		t.Check(a.Status == c.status, "%s: HTTP %d", c.what, a.Status)
	}
	if a, err = ask(local.Escape("/all/", t.names[0]), good); err != nil {
		return err
	}
	var both map[string]json.RawMessage
	err = json.Unmarshal(a.Body, &both)
	t.Check(err == nil && a.Status == http.StatusOK && len(both) == 2, "and one request for a file and for those of its name is two, answered as one: %d bytes", len(a.Body))
	return nil
}

// restarts kills every backend of files, one after the other, under load.
func (t *teller) restarts(ctx context.Context) error {
	t.Chapter("Backends die and come back, one by one")
	load := t.client.Start(ctx, 8, 2*time.Millisecond, t.browse)
	for _, b := range t.local.Backends[:4] {
		if err := b.Kill(); err != nil {
			load.Stop()
			return err
		}
		err := t.await(ctx, b.ID+" is not missed", func() bool { return !t.is(b.ID, upstream.Up)() })
		if err == nil {
			err = b.Start()
		}
		if err == nil {
			err = t.await(ctx, b.ID+" is not found again", t.is(b.ID, upstream.Up))
		}
		if err != nil {
			load.Stop()
			return err
		}
		t.Say("%s was killed with connections open, found missing, started, and found again", b.ID)
	}
	tally := load.Stop()
	retries := uint64(0)
	for _, g := range t.local.Gateways {
		for _, p := range g.Look().Pools {
			retries += p.Retries
		}
	}
	t.Check(tally.Failed() == 0, "none of %d requests failed meanwhile (%v; %d attempts were made again)", tally.Total(), tally, retries)
	return nil
}

// keeps: what many ask for is asked for once, and outlives its backends.
func (t *teller) keeps(ctx context.Context) error {
	t.Chapter("What many ask for is kept")
	served := func() (n int64) {
		for _, b := range t.local.Backends[:4] {
			n += b.Served()
		}
		return n
	}
	files := min(10, len(t.names))
	ask := func(i int) local.Ask {
		return local.Ask{Path: local.Escape("/kept/", t.names[i%files]), From: local.Address(2000 + i%1000), Gateway: i / files}
	}
	before := served()
	tally := t.client.Each(ctx, 16, 1000, ask, nil)
	asked := served() - before
	t.Check(tally.Count(200) == 1000 && asked == int64(files*len(t.local.Gateways)),
		"1000 requests for %d files: backends are asked %d times, once by each gateway for each", files, asked)
	for _, b := range t.local.Backends[:4] {
		if err := b.Kill(); err != nil {
			return err
		}
	}
	tally = t.client.Each(ctx, 4, 100, ask, nil)
	t.Check(tally.Count(200) == 100, "and all four are killed: of 100 requests %v", tally)
	for _, b := range t.local.Backends[:4] {
		if err := b.Start(); err != nil {
			return err
		}
	}
	for _, b := range t.local.Backends[:4] {
		if err := t.await(ctx, b.ID+" is not found again", t.is(b.ID, upstream.Up)); err != nil {
			return err
		}
	}
	return nil
}

// isolation: one service is gone altogether; the other does not notice.
func (t *teller) isolation(ctx context.Context) error {
	t.Chapter("A whole service is gone")
	for _, b := range t.local.Backends[4:] {
		if err := b.Kill(); err != nil {
			return err
		}
	}
	asked := 0
	search := func(i int) local.Ask {
		return local.Ask{Path: "/search?q=print", Key: local.OperatorKey, From: local.Address(5000 + i), Gateway: 0}
	}
	t.client.Each(ctx, 4, 60, search, nil)
	var quick local.Answer
	err := t.await(ctx, "the breaker does not open", func() bool {
		asked++
		a, err := t.client.Do(ctx, search(100+asked))
		quick = a
		return err == nil && a.Status == http.StatusServiceUnavailable
	})
	if err != nil {
		return err
	}
	t.Check(quick.Header.Get("Retry-After") != "", "searches are refused at once, in %v, with HTTP %d and Retry-After, instead of tried in vain", round(quick.Took), quick.Status)
	files := t.client.Each(ctx, 4, 200, t.browse, nil)
	t.Check(files.Count(200) == 200, "files are served as ever: %v", files)
	for _, b := range t.local.Backends[4:] {
		if err := b.Start(); err != nil {
			return err
		}
	}
	begun := time.Now()
	err = t.await(ctx, "the search does not come back", func() bool {
		asked++
		a, err := t.client.Do(ctx, search(100+asked))
		return err == nil && a.Status == 200
	})
	t.client.Each(ctx, 1, 5, search, nil) // the breaker believes it after three
	t.CheckErr(err, "and searches are answered again %v after their servers are back", round(time.Since(begun)))
	return err
}

// shared: the gateways count together, and without Redis each for his part.
func (t *teller) shared(ctx context.Context) error {
	if t.local.Redis == nil {
		return nil
	}
	t.Chapter("One limit, two gateways, and the death of Redis")
	rush := func(key string) *local.Tally {
		return t.client.Each(ctx, 50, 1000, func(i int) local.Ask {
			return local.Ask{Path: t.src(0), Key: key, From: local.Address(i % 200), Gateway: i}
		}, nil)
	}
	tally := rush(local.SharedKey)
	t.Check(tally.Count(200) == 100 && tally.Failed() == 0, "1000 requests at once at both gateways under a limit of 100: %v", tally)
	t.local.Redis.Kill()
	first, err := t.client.Do(ctx, t.browse(0))
	if err != nil {
		return err
	}
	second, err := t.client.Do(ctx, t.browse(2))
	if err != nil {
		return err
	}
	t.Check(first.Status == 200 && first.Took < local.StoreTimeout+time.Second, "Redis is killed: the first request is answered after %v, the next after %v", round(first.Took), round(second.Took))
	tally = rush(local.StandbyKey)
	t.Check(tally.Count(200) == 100 && tally.Failed() == 0, "each gateway keeps its half of the limit by itself: %v", tally)
	if err := t.local.Redis.Restart(ctx); err != nil {
		return err
	}
	begun := time.Now()
	err = t.await(ctx, "Redis is not found again", func() bool {
		for i, g := range t.local.Gateways {
			if _, err := t.client.Do(ctx, local.Ask{Path: t.src(0), From: local.Address(5001), Gateway: i}); err != nil || g.Look().Counting.Down {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	t.Check(time.Since(begun) < 5*time.Second, "Redis is started again: both gateways count on it after %v", round(time.Since(begun)))
	return nil
}

func (t *teller) newRules(ctx context.Context) error {
	t.Chapter("Rules change; mistakes do not")
	g := t.local.Gateways[0]
	old := g.Rules()
	for _, bad := range []string{
		`{"routes": [`, `{"routes": [], "pools": []}`,
		`{"routes": [{"name": "a", "path": "/", "pool": "p"}], "pools": [{"name": "p", "backends": [{"id": "b", "url": "http://127.0.0.1:1"}]}], "ip": [{"name": "x", "events": 0, "per": "1s"}]}`,
	} {
		err := g.Load([]byte(bad), "story")
		if !t.Check(err != nil && g.Rules() == old, "refused, and the old rules stay: %v", err) {
			return nil
		}
	}
	r := *old
	r.Tiers = map[string][]rules.Limit{}
	for name, limits := range old.Tiers {
		r.Tiers[name] = slices.Clone(limits)
	}
	r.Tiers["premium"][0].Events = 300
	if err := t.local.Load(&r, "story"); err != nil {
		return err
	}
	tally := t.client.Each(ctx, 4, 100, func(i int) local.Ask {
		return local.Ask{Path: t.src(i), Key: local.PremiumKey, From: local.Address(i % 50)}
	}, nil)
	audits := g.Audits()
	last := audits[len(audits)-1]
	t.Check(last.Err == "" && len(last.Changes) == 1 && strings.HasPrefix(last.Changes[0], "tier premium: "), "audited: %s", strings.Join(last.Changes, "; "))
	t.Check(tally.Failed() == 0, "in force with the next request, what was used stays used: of 100 more premium requests %v", tally)
	return t.local.Load(old, "story")
}

// overhead measures what a gateway adds to httputil.ReverseProxy, in turns.
func (t *teller) overhead(ctx context.Context) error {
	t.Chapter("What it costs")
	to, err := url.Parse(t.local.Backend("s1").URL())
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	bare := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: &httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(to); pr.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = bare.Serve(l) }) // ends by Close
	defer func() { bare.Close(); wg.Wait() }()
	direct, through := local.NewClient(l.Addr().String()), local.NewClient(t.local.Addrs[0])
	defer direct.Close()
	defer through.Close()
	small := t.smallest()
	var a, b gate.Histogram
	const n = 800
	for i := range n {
		one, err := direct.Do(ctx, local.Ask{Path: local.Escape("/", small)})
		if err != nil {
			return err
		}
		two, err := through.Do(ctx, local.Ask{Path: local.Escape("/src/", small), Key: local.OperatorKey, From: local.Address(i)})
		if err != nil {
			return err
		}
		if two.Status != 200 {
			return fmt.Errorf("HTTP %d", two.Status)
		}
		a.Add(one.Took)
		b.Add(two.Took)
	}
	was, is := a.Times(), b.Times()
	t.Say("httputil.ReverseProxy alone: 50 %% within %v, 99 %% within %v", round(was.Quantile(0.5)), round(was.Quantile(0.99)))
	t.Say("a gateway, with keys, limits and all: %v, %v", round(is.Quantile(0.5)), round(is.Quantile(0.99)))
	t.Check(is.Quantile(0.5)-was.Quantile(0.5) < 10*time.Millisecond, "it adds %v to the median, %v to the 99th percentile of %d requests",
		round(is.Quantile(0.5)-was.Quantile(0.5)), round(is.Quantile(0.99)-was.Quantile(0.99)), n)
	return nil
}

// smallest is the file whose transfer hides the least.
func (t *teller) smallest() string {
	for _, name := range t.names {
		if strings.HasSuffix(name, "doc.go") {
			return name
		}
	}
	return t.names[0]
}
