package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/local"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/page"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/view"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

// teller tells the story of two gateways.
type teller struct {
	*told.Story
	data      string   // the folder that is served
	names     []string // of its files
	local     *local.Local
	client    *local.Client
	view      *view.View
	shown     atomic.Pointer[view.View] // view, once it can be told of events
	dashAddr  string
	closeDash func() error
}

// show has the dashboard show what the story says.
func (t *teller) show(kind, text string) {
	t.view.Show(page.Event{Kind: kind, Text: text})
}

func (t *teller) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		t.begin, t.everyFile, t.policies, t.tiers, t.tokens, t.attack, t.restarts, t.keeps, t.isolation, t.shared, t.newRules, t.overhead,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// src is the path of the i-th file, round and round.
func (t *teller) src(i int) string { return local.Escape("/src/", t.names[i%len(t.names)]) }

// browse is a request of an ordinary visitor, one of many.
func (t *teller) browse(i int) local.Ask {
	return local.Ask{Path: t.src(i * 7), From: local.Address(i % 1000), Gateway: i}
}

// await waits, with the story's patience, until something holds.
func (t *teller) await(ctx context.Context, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// is says that all gateways see a backend in a state.
func (t *teller) is(id, state string) func() bool {
	return func() bool {
		for _, g := range t.local.Gateways {
			for _, p := range g.Look().Pools {
				for _, b := range p.Backends {
					if b.ID == id && b.State != state {
						return false
					}
				}
			}
		}
		return true
	}
}

func (t *teller) begin(ctx context.Context) error {
	t.Chapter("Two gateways, six backends")
	for _, g := range t.local.Gateways {
		if err := g.Ready(ctx); err != nil {
			return err
		}
	}
	t.Say("s1 … s4 serve %s, q1 and q2 search its names; g1 and g2 stand before them at %s", t.data, strings.Join(t.local.Addrs, " and "))
	t.Say("dashboard: http://%s/   metrics: http://%[1]s/metrics", t.dashAddr)
	if t.local.Redis != nil {
		t.Say("limits are shared over a Redis at %s", t.local.Redis.Addr)
	} else {
		t.Say("%v: each gateway counts for itself, and what the story says of sharing is left out", t.local.NoRedis)
	}
	return nil
}

func (t *teller) everyFile(ctx context.Context) error {
	t.Chapter("Every file, through the gateways")
	var wrong atomic.Int64
	var size, done atomic.Int64
	begun := time.Now()
	tally := t.client.Each(ctx, 16, len(t.names), func(i int) local.Ask {
		return local.Ask{Path: local.Escape("/src/", t.names[i]), From: local.Address(i % 500), Gateway: i}
	}, func(i int, a local.Answer) {
		want, err := os.ReadFile(filepath.Join(t.data, filepath.FromSlash(t.names[i])))
		if err != nil || !bytes.Equal(a.Body, want) {
			wrong.Add(1)
		}
		size.Add(int64(len(a.Body)))
		t.Progress(int(done.Add(1)), len(t.names), "%d of %d files", done.Load(), len(t.names))
	})
	took := time.Since(begun)
	t.Check(tally.Count(http.StatusOK) == len(t.names) && wrong.Load() == 0, "%d files are byte for byte what the disk has (%v)", len(t.names), tally)
	took99 := tally.Took.Times().Quantile(0.99)
	t.Say("%.1f MB in %v, %.0f requests a second, 99 %% within %v", float64(size.Load())/1e6, round(took), float64(len(t.names))/took.Seconds(), round(took99))
	return nil
}

// policies tries every way to choose a backend, one after the other, while they run.
func (t *teller) policies(ctx context.Context) error {
	t.Chapter("Eight ways to spread the load, changed while it runs")
	const n = 240
	old := t.local.Gateways[0].Rules()
	spread := map[string]map[string]int{}
	for _, policy := range rules.Policies {
		r := *old
		r.Pools = slices.Clone(old.Pools)
		r.Pools[0].Policy = policy
		r.Pools[0].Backends = slices.Clone(r.Pools[0].Backends)
		r.Pools[0].Backends[0].Weight = 3
		if err := t.local.Load(&r, "story"); err != nil {
			return err
		}
		tally := t.client.Each(ctx, 4, n, func(i int) local.Ask {
			return local.Ask{Path: t.src(i % 40), From: local.Address(i), Gateway: 0, Cookie: "ashlar-" + local.Sources + "=s3"}
		}, nil)
		spread[policy] = tally.Backends
		t.Say("%-20s s1 (weight 3) %3d   s2 %3d   s3 %3d   s4 %3d", policy, tally.Backends["s1"], tally.Backends["s2"], tally.Backends["s3"], tally.Backends["s4"])
		if tally.Count(http.StatusOK) != n {
			t.Check(false, "%s: %v", policy, tally)
		}
	}
	even := spread["round-robin"]
	t.Check(even["s1"] == n/4 && even["s2"] == n/4 && even["s3"] == n/4, "round robin: a quarter each")
	t.Check(spread["weighted"]["s1"] == n/2 && spread["weighted"]["s2"] == n/6, "by weight: half for weight 3 of 6, to the request")
	t.Check(spread["sticky"]["s3"] == n, "sticky: who has a cookie for s3 stays there")
	for _, policy := range []string{"least-connections", "two-choices", "ip-hash", "url-hash"} {
		if len(spread[policy]) < 3 {
			t.Check(false, "%s leaves backends idle: %v", policy, spread[policy])
		}
	}
	t.Say("and when s2 takes 40 ms longer than the others …")
	r := *old
	r.Pools = slices.Clone(old.Pools)
	r.Pools[0].Policy = "least-response-time"
	if err := t.local.Load(&r, "story"); err != nil {
		return err
	}
	t.local.Backend("s2").Slow(40 * time.Millisecond)
	tally := t.client.Each(ctx, 4, 400, func(i int) local.Ask { return t.browse(i) }, nil)
	t.local.Backend("s2").Slow(0)
	t.Check(tally.Failed() == 0 && tally.Backends["s2"] < 70, "least-response-time sends it %d of 400", tally.Backends["s2"])
	return t.local.Load(old, "story")
}

func (t *teller) tiers(ctx context.Context) error {
	t.Chapter("Tiers, costs, and what clients are told")
	spend := func(key, path string, n int) *local.Tally {
		return t.client.Each(ctx, 8, n, func(i int) local.Ask {
			return local.Ask{Path: path, Key: key, From: local.Address(i % 50), Gateway: i}
		}, nil)
	}
	together := ""
	gateways := 1
	if t.local.Redis != nil {
		together = ", at both gateways together"
	} else {
		gateways = len(t.local.Gateways)
	}
	free := spend(local.FreeKey, t.src(0), 250)
	t.Check(free.Count(200) == 100*gateways && free.Failed() == 0, "free: 100 an hour%s: of 250 requests %v", together, free)
	premium := spend(local.PremiumKey, t.src(0), 250)
	t.Check(premium.Count(200) == 250, "premium: 1000 an hour: of 250 requests %v", premium)
	search := spend(local.SearchKey, "/search?q=print", 25)
	t.Check(search.Count(200) == 10*gateways, "a search costs 10: of 25 with a free key %v", search)
	a, err := t.client.Do(ctx, local.Ask{Path: "/search?q=print", Key: local.SearchKey})
	if err != nil {
		return err
	}
	t.Say("HTTP %d   RateLimit: %s   RateLimit-Policy: %s   Retry-After: %s", a.Status, a.Header.Get("RateLimit"), a.Header.Get("RateLimit-Policy"), a.Header.Get("Retry-After"))
	t.Check(a.Header.Get("RateLimit") != "" && a.Header.Get("Retry-After") != "", "a refusal says how much is left, and when to come back")
	a, err = t.client.Do(ctx, local.Ask{Path: "/search?q=print", Key: "guessed"})
	if err != nil {
		return err
	}
	t.Check(a.Status == http.StatusUnauthorized, "a guessed key: HTTP %d", a.Status)
	return nil
}

// attack: one address asks as fast as it can, under a thousand false names.
func (t *teller) attack(ctx context.Context) error {
	t.Chapter("One client attacks")
	calm := t.client.Start(ctx, 8, 10*time.Millisecond, t.browse)
	if !sleep(ctx, 700*time.Millisecond) {
		calm.Stop()
		return ctx.Err()
	}
	before := calm.Stop()

	visitors := t.client.Start(ctx, 8, 10*time.Millisecond, t.browse)
	// The proxy in front of the gateways says 203.0.113.7; what stands before that is the
	// attacker's invention.
	begun := time.Now()
	attacker := local.NewClient(t.local.Addrs...)
	defer attacker.Close()
	attack := attacker.Start(ctx, 8, 0, func(i int) local.Ask {
		return local.Ask{Path: t.src(i), From: fmt.Sprintf("%s, 203.0.113.7", local.Address(i)), Gateway: i}
	})
	sleep(ctx, 1500*time.Millisecond)
	attacked := attack.Stop()
	took := time.Since(begun)
	during := visitors.Stop()

	most := int(local.AddressLimit*(1+took.Seconds())) + 1
	if t.local.Redis == nil {
		most *= len(t.local.Gateways)
	}
	t.Say("%d requests in %v from one address, each forwarded for another false one before it: %v", attacked.Total(), round(took), attacked)
	t.Check(attacked.Count(200) <= most && attacked.Count(200) > 0 && attacked.Failed() == 0,
		"%d are answered; one address may have %d in that time", attacked.Count(200), most)
	t.Check(during.Failed() == 0 && during.Count(http.StatusTooManyRequests) == 0, "nobody else is refused, and none of %d other requests fails", during.Total())
	t.Say("others' p99: %v before, %v during the attack", round(before.Took.Times().Quantile(0.99)), round(during.Took.Times().Quantile(0.99)))
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func round(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
