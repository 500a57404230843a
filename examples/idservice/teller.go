package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/client"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/ledger"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/local"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/page"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/snowflake"
)

// teller tells the story, and has all ids in a ledger.
type teller struct {
	*told.Story
	o       storyFlags
	layout  snowflake.Layout
	service *local.Service
	view    *view.View
	site    *dash.Site

	book  *ledger.Ledger
	crowd *crowd
}

var errNobody = fmt.Errorf("%w: no node runs", api.ErrNoLease)

// patience is how long the story waits for anything.
const patience = 30 * time.Second

// show has the dashboard show what the story says.
func (t *teller) show(kind, text string) {
	t.view.Add(page.Event{Kind: kind, Text: text})
}

func (t *teller) tell(ctx context.Context) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	if err := t.load(ctx); err != nil {
		return err
	}
	// From here on clients come and go at all nodes, whatever happens to these.
	background, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.crowd.stroll(background, t.service.Hosts(), 500, 5*time.Millisecond)
	}()
	var err error
	for _, chapter := range []func(context.Context) error{t.clocks, t.frozen, t.restarts, t.planted} {
		if err = chapter(ctx); err != nil {
			break
		}
	}
	stop()
	<-ended
	if err != nil {
		return err
	}
	return t.prove()
}

// await waits with the story's patience; what did not come is a failed check.
func (t *teller) await(ctx context.Context, what string, f func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := told.Await(ctx, f); err != nil {
		t.Check(false, "%s: %v", what, err)
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ask asks a host for n ids over HTTP, once, and enters them.
func (t *teller) ask(ctx context.Context, h *local.Host, n int) ([]snowflake.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := client.NewHTTP(h.HTTP)
	defer c.Close()
	ids, err := c.Take(ctx, n)
	return ids, errors.Join(err, t.crowd.note(ids))
}

// take is ask until the host does not refuse: a disk that is slow for a moment keeps marks
// waiting, and that is no failure.
func (t *teller) take(ctx context.Context, h *local.Host, n int) ([]snowflake.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := client.NewHTTP(h.HTTP)
	defer c.Close()
	return t.crowd.insist(ctx, c, n)
}

func (t *teller) begin(ctx context.Context) error {
	t.Chapter("Four nodes, four worker ids")
	begun := time.Now()
	seen := map[int64]bool{}
	for _, h := range t.service.Hosts()[:workers] {
		if err := h.Start(); err != nil {
			return err
		}
	}
	for _, h := range t.service.Hosts()[:workers] {
		if err := t.await(ctx, h.ID+" gets a worker id", func() bool { return h.Look().Worker >= 0 }); err != nil {
			return err
		}
		seen[h.Look().Worker] = true
	}
	t.Say("n1 … n4 have leased worker ids from a store in a folder, for %v at a time; dashboard on http://%s/", t.o.ttl, t.site.Addr)
	t.Check(len(seen) == workers, "after %v, four nodes have %d different worker ids", since(begun), len(seen))
	return nil
}

func (t *teller) load(ctx context.Context) error {
	t.Chapter("%s ids, as fast as they come", comma(t.o.ids))
	begun := time.Now()
	err := t.crowd.rush(ctx, t.service.Hosts()[:workers], t.o.ids, api.MaxFill, func(done int64) {
		t.Progress(int(done), int(t.o.ids), "%s ids over HTTP and the Redis protocol", comma(done))
	})
	took := time.Since(begun)
	if !t.CheckErr(err, "every answer has as many ids as were asked for, each greater than the one before") {
		return err
	}
	t.Say("%s ids in %v: %s a second, made, sent as text, read and noted", comma(t.book.Count()), took.Round(time.Millisecond), comma(int64(float64(t.book.Count())/took.Seconds())))
	lo, hi := t.layout.Between(begun.Add(-time.Millisecond), begun.Add(took+20*time.Millisecond))
	first, last := snowflake.ID(t.crowd.first.Load()), snowflake.ID(t.crowd.last.Load())
	t.Check(t.book.Count() == t.o.ids && first >= lo && last <= hi, "all of them say that they were made in these %v", took.Round(time.Millisecond))
	n1 := t.service.Host("n1").Look()
	t.Check(n1.P50 > 0 && n1.P50 <= n1.P99 && n1.P99 <= n1.Most, "n1 had the ids of a request ready in %.2f ms half of the time, in %.1f ms 99 times of 100, in %.1f ms always", n1.P50, n1.P99, n1.Most)
	waits := int64(0)
	for _, h := range t.service.Hosts()[:workers] {
		waits += h.Look().Waits
	}
	t.Say("a node makes at most 4,096 ids a millisecond: %s calls had to wait for the next one", comma(waits))
	return nil
}

func (t *teller) clocks(ctx context.Context) error {
	t.Chapter("A clock that is set back")
	n2, n3 := t.service.Host("n2"), t.service.Host("n3")
	before, err := t.take(ctx, n2, 1000)
	if err != nil {
		return err
	}
	n2.Clock.Step(-2 * time.Second)
	after, err := t.take(ctx, n2, 1000)
	if err == nil && after[0] <= before[999] {
		err = fmt.Errorf("%d after %d", after[0], before[999])
	}
	t.CheckErr(err, "n2's clock goes back by 2 s: its ids still increase")
	s := n2.Look()
	t.Check(s.Absorbed >= 1 && s.Refused == 0, "no request was refused for it: its generator runs %.2f s ahead, at seven eighths of the speed", s.SkewMS/1000)

	n2.Clock.Step(-time.Hour)
	_, err = t.ask(ctx, n2, 1)
	refused, ok := errors.AsType[*client.Refused](err)
	t.Check(ok && refused.Code == "503" && refused.Retry > 50*time.Minute, "by an hour more: it refuses, and says to come back later: %s", says(err))
	other, err := t.take(ctx, n3, 1)
	t.Check(err == nil && other[0] > after[999], "the others go on")
	n2.Clock.SetRight()
	again, err := t.take(ctx, n2, 1)
	if err == nil && again[0] <= after[999] {
		err = fmt.Errorf("%d after %d", again[0], after[999])
	}
	t.CheckErr(err, "the clock is set right: n2 serves at once, above all that it made before")
	return nil
}

func (t *teller) frozen(ctx context.Context) error {
	t.Chapter("A node that sleeps past its lease")
	n3, n5 := t.service.Host("n3"), t.service.Host(spare)
	worker := n3.Look().Worker
	if err := n5.Start(); err != nil {
		return err
	}
	if err := t.await(ctx, "n3 has announced ids", func() bool { return time.Until(n3.Look().MarkedTo) > time.Second/2 }); err != nil {
		return err
	}
	if err := n3.Freeze(); err != nil {
		return err
	}
	frozen := time.Now()
	t.Say("n3, with worker id %d, is suspended, and its clock with it; n5 waits for a worker id", worker)
	if err := t.await(ctx, "n5 gets a worker id", func() bool { return n5.Look().Worker >= 0 }); err != nil {
		return err
	}
	t.Check(n5.Look().Worker == worker, "after %v n5 has n3's worker id", since(frozen))
	successors, err := t.take(ctx, n5, 1000)
	if err != nil {
		return err
	}
	if err := n3.Thaw(); err != nil {
		return err
	}
	t.Say("n3 wakes up: its clock is %.1f s late, it has not heard that it lost the lease, and cannot reach the store", -n3.Look().Drift/1000)
	var late []snowflake.ID
	for range 20 {
		ids, err := t.ask(ctx, n3, 1000)
		if err != nil {
			break
		}
		late = append(late, ids...)
	}
	t.Check(len(late) > 0 && t.layout.Node(late[0]) == t.layout.Node(successors[0]), "both issue ids with worker id %d: n3 %s of them", worker, comma(int64(len(late))))
	t.Check(len(late) > 0 && slices.Max(late) < successors[0], "all of n3's are below all of n5's: n3 had announced them, and n5 began beyond")
	if err := n3.Connect(); err != nil {
		return err
	}
	if err := t.await(ctx, "n3 hears of it", func() bool { return n3.Look().Lost > 0 }); err != nil {
		return err
	}
	_, err = t.ask(ctx, n3, 1)
	refused, ok := errors.AsType[*client.Refused](err)
	t.Check(ok && refused.Code == "503", "n3 reaches the store, and stops: %s", says(err))
	n3.Clock.SetRight()
	if err := n5.Stop(); err != nil {
		return err
	}
	if err := t.await(ctx, "n3 gets a worker id", func() bool { return n3.Look().Worker >= 0 }); err != nil {
		return err
	}
	again, err := t.take(ctx, n3, 1)
	t.Check(err == nil && again[0] > successors[999], "n5 stops and gives the worker id back: n3 serves again, above all that n5 made")
	return nil
}

func (t *teller) restarts(ctx context.Context) error {
	t.Chapter("Restarts with the clock set back")
	n4 := t.service.Host("n4")
	last, err := t.take(ctx, n4, 1000)
	if err != nil {
		return err
	}
	if err := n4.Kill(); err != nil {
		return err
	}
	n4.Clock.Step(-10 * time.Minute)
	if err := n4.Start(); err != nil {
		return err
	}
	t.Say("n4 is killed, and starts again with its clock ten minutes back")
	issued := n4.Look().Issued
	if err := t.await(ctx, "n4 notices", func() bool {
		_, err := t.ask(ctx, n4, 1)
		return err != nil && refusedFor(n4, snowflake.ErrClock)
	}); err != nil {
		return err
	}
	t.Check(n4.Look().Issued == issued, "it refuses to serve: %s", n4.Look().Error)
	n4.Clock.SetRight()
	if err := t.await(ctx, "n4 serves again", func() bool { return n4.Look().Worker >= 0 }); err != nil {
		return err
	}
	next, err := t.take(ctx, n4, 1000)
	if err == nil && next[0] <= last[999] {
		err = fmt.Errorf("%d after %d", next[0], last[999])
	}
	t.CheckErr(err, "the clock is set right: it serves, above all that it made before it was killed")

	if err := n4.Stop(); err != nil {
		return err
	}
	n4.Clock.Step(-2 * time.Second)
	if err := n4.Start(); err != nil {
		return err
	}
	begun := time.Now()
	if err := t.await(ctx, "n4 serves again", func() bool { return n4.Look().Worker >= 0 }); err != nil {
		return err
	}
	last, err = t.take(ctx, n4, 1000)
	if err == nil && last[0] <= next[999] {
		err = fmt.Errorf("%d after %d", last[0], next[999])
	}
	t.CheckErr(err, "stopped, and started with the clock 2 s back: it serves after %v, above all that it made", since(begun))
	n4.Clock.SetRight()
	return nil
}

// refusedFor tells whether a host has no worker id because of an error.
func refusedFor(h *local.Host, why error) bool {
	return errors.Is(h.Fill(make([]snowflake.ID, 1)), why)
}

// planted holds the ledger against what it is there to find.
func (t *teller) planted(context.Context) error {
	t.Chapter("What happens without leases")
	book := ledger.New(t.o.dir, 1<<16)
	for range 2 {
		g, err := snowflake.New(snowflake.Options{Layout: t.layout, Node: 7, Now: func() time.Time { return t.layout.Epoch.Add(time.Hour) }})
		if err != nil {
			return err
		}
		ids := make([]snowflake.ID, 10_000)
		if err := errors.Join(g.Fill(ids), book.Add(ids...), g.Close()); err != nil {
			return err
		}
	}
	r, err := book.Verify(func(int64, int64) {})
	t.Check(err == nil && r.Count-r.Distinct == 10_000, "two generators that share a worker id at the same time: the ledger finds all %s duplicates", comma(r.Count-r.Distinct))
	return nil
}

func (t *teller) prove() error {
	t.Chapter("No id came twice")
	t.CheckErr(t.crowd.err(), "%s refusals and lost connections later, no client had a wrong answer", comma(t.crowd.refused.Load()))
	r, err := t.book.Verify(func(seen, all int64) {
		t.Progress(int(seen), int(all), "%s of %s ids in order", comma(seen), comma(all))
		t.view.Prove("%d %% counted", 100*seen/max(all, 1))
	})
	if err != nil {
		return err
	}
	if r.Count == r.Distinct {
		t.view.Prove("none in %s", comma(r.Count))
	} else {
		t.view.Prove("%s", comma(r.Count-r.Distinct))
	}
	t.Check(r.Count == r.Distinct && r.Count >= t.o.ids, "%s ids in %d sorted runs: %s different ones, no duplicate %v", comma(r.Count), r.Runs, comma(r.Distinct), r.Duplicates)
	var made int64
	for _, h := range t.service.Hosts() {
		made += h.Look().Issued
	}
	t.Check(made >= r.Count, "the nodes made %s; what did not reach a client was lost with a connection", comma(made))
	return nil
}

// Act implements view.Service.
func (t *teller) Act(action, id string, by time.Duration) error {
	h := t.service.Host(id)
	if h == nil {
		return fmt.Errorf("there is no node %q", id)
	}
	switch action {
	case page.ActionKill:
		return h.Kill()
	case page.ActionStart:
		return h.Start()
	case page.ActionFreeze:
		return h.Freeze()
	case page.ActionThaw:
		return errors.Join(h.Thaw(), h.Connect())
	case page.ActionStep:
		h.Clock.Step(by)
		return nil
	case page.ActionRight:
		h.Clock.SetRight()
		return nil
	}
	return dash.ErrUnknownAction
}

// says is an error's text, or that there was none.
func says(err error) string {
	if err == nil {
		return "it did not"
	}
	return err.Error()
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// comma writes a number with commas.
func comma(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
