package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
)

// load asks and searches, with several clients, while f runs.
type load struct {
	asked, failed, degraded atomic.Int64
}

const clients = 4

func (t *teller) under(ctx context.Context, f func() error) (*load, error) {
	l := &load{}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := c; ctx.Err() == nil; i += clients {
				res, err := t.suggest(ctx, t.sampled[i%len(t.sampled)], 10, "")
				switch {
				case ctx.Err() != nil:
					return
				case err != nil:
					l.failed.Add(1)
				case res.Degraded:
					l.degraded.Add(1)
				}
				l.asked.Add(1)
			}
		})
	}
	err := f()
	cancel()
	wg.Wait()
	return l, err
}

// nights rebuilds under load, damages a build, and goes back.
func (t *teller) nights(ctx context.Context) error {
	t.Chapter("A night: the next generation, under load")
	r := t.cluster.Router
	l, err := t.under(ctx, func() error {
		begun := time.Now()
		m, err := r.Rebuild(ctx)
		if err != nil {
			return err
		}
		t.Say("generation %d: %d terms, with the searches of the day counted, took over after %v", m.Generation, m.Terms, since(begun))
		return nil
	})
	if err != nil {
		return err
	}
	t.Check(l.failed.Load()+l.degraded.Load() == 0, "%d people asked meanwhile: %d failed, %d got less than all", l.asked.Load(), l.failed.Load(), l.degraded.Load())
	t.damage.Store(true)
	_, err = r.Rebuild(ctx)
	t.damage.Store(false)
	t.Check(err != nil && r.Status().Generation == 2, "a build that the disk damages is refused, and generation 2 goes on")
	if err != nil {
		t.Say("it said: %v", err)
	}
	if err := r.Rollback(); err != nil {
		return err
	}
	res, err := t.suggest(ctx, "zyz", 1, "&fuzzy=0")
	t.Check(err == nil && res.Generation == 1, "one call goes back to generation 1, at once")
	if err != nil {
		return err
	}
	m, err := r.Rebuild(ctx)
	if err != nil {
		return err
	}
	t.Check(m.Parent == 1 && r.Status().Generation == m.Generation, "the next build, generation %d, counts again what the one that was taken back had", m.Generation)
	return nil
}

// ask asks for many prefixes, and tells how many answers are as they were.
func (t *teller) ask(ctx context.Context, n int, was [][]string) (got [][]string, differ, degraded int, err error) {
	for i, p := range t.sampled[:min(n, len(t.sampled))] {
		res, err := t.suggest(ctx, p, 10, "&fuzzy=0")
		if err != nil {
			return nil, 0, 0, err
		}
		var terms []string
		for _, s := range res.Suggestions {
			terms = append(terms, s.Query)
		}
		got = append(got, terms)
		if res.Degraded {
			degraded++
		}
		if was != nil && !slices.Equal(was[i], terms) {
			differ++
		}
	}
	return got, differ, degraded, nil
}

// deaths kills nodes and brings them back.
func (t *teller) deaths(ctx context.Context) error {
	t.Chapter("Nodes die and return")
	const asked = 300
	if !t.await(ctx, "all nodes hold the generation", t.cluster.Settled) {
		return nil
	}
	was, _, _, err := t.ask(ctx, asked, nil)
	if err != nil {
		return err
	}
	l, err := t.under(ctx, func() error {
		if err := t.cluster.Kill("n2"); err != nil {
			return err
		}
		_, differ, degraded, err := t.ask(ctx, asked, was)
		t.Check(err == nil && differ+degraded == 0, "n2 is killed: of %d answers %d differ from before", len(was), differ)
		return err
	})
	if err != nil {
		return err
	}
	t.Check(l.failed.Load() == 0, "%d others asked at the same time, and %d failed", l.asked.Load(), l.failed.Load())
	if err := t.cluster.Kill("n3"); err != nil {
		return err
	}
	res, err := t.suggest(ctx, "", 17, "") // that many, nobody has asked for
	if err != nil {
		return err
	}
	t.Check(res.Degraded && len(res.Suggestions) == 17, "n3 is killed too: where nobody has the terms any more there is what is popular, marked as degraded")
	if err := t.search(ctx, "while two were away", ""); err != nil {
		return err
	}
	if err := t.cluster.Wipe("n3"); err != nil {
		return err
	}
	begun := time.Now()
	for _, id := range []string{"n2", "n3"} {
		if err := t.cluster.Start(id); err != nil {
			return err
		}
	}
	if !t.await(ctx, "both return", t.cluster.Settled) {
		return nil
	}
	if err := t.cluster.Kill("n1"); err != nil { // so that those that returned must answer
		return err
	}
	_, differ, degraded, err := t.ask(ctx, asked, was)
	if err != nil {
		return err
	}
	t.Check(differ+degraded == 0, "both return, n3 with an empty disk, and have caught up after %v: without n1, %d of %d answers differ", since(begun), differ, len(was))
	res, err = t.suggest(ctx, "while two w", 1, "&fuzzy=0")
	t.Check(err == nil && len(res.Suggestions) == 1, "they know what was searched while they were away")
	if err != nil {
		return err
	}
	if err := t.cluster.Start("n1"); err != nil {
		return err
	}
	t.await(ctx, "n1 returns", t.cluster.Settled)
	return nil
}

// flood is one client that asks without end.
func (t *teller) flood(ctx context.Context) error {
	t.Chapter("A flood")
	refused, served := 0, 0
	for range 1000 {
		status, err := t.call(ctx, "flood", http.MethodGet, "/api/v1/suggestions?prefix=a", nil, &router.Response{})
		switch {
		case err != nil:
			return err
		case status == http.StatusTooManyRequests:
			refused++
		case status == http.StatusOK:
			served++
		default:
			return fmt.Errorf("flood: status %d", status)
		}
	}
	_, err := t.suggest(ctx, "a", 5, "")
	t.Check(refused > 0 && err == nil, "one client asks 1000 times at once: %d are served, %d told to come back later; everybody else is served", served, refused)
	s := t.cluster.Router.Status()
	t.Say("%d requests in all, %d from the cache; p50 %.2f ms, p99 %.2f ms; the last search was known to all nodes after %.0f ms",
		s.Requests, s.Hits, s.P50, s.P99, s.Lag)
	return nil
}
