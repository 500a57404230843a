package crawler

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/crawler/neardup"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// Crawler crawls. See the package's documentation.
type Crawler struct {
	o      Options
	front  *frontier.Frontier
	fetch  *fetch.Client
	robots robotsTable

	running atomic.Bool

	seenMu sync.Mutex
	seen   neardup.Index // of texts

	stats struct {
		visits, pages, failed, redirects, disallowed, duplicates, rendered, robots, links, added, foreign, inFlight atomic.Int64
	}
}

// New opens the frontier in Options.Dir, or makes it, and a crawler on it. ErrContact and
// ErrOptions, all that there are, or an error of packages frontier and fetch.
func New(o Options) (*Crawler, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Crawler{o: o}
	c.robots.init(o.MaxRobots)
	if c.fetch, err = fetch.New(o.Fetch); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if c.front, err = frontier.Open(o.Dir, o.Frontier); err != nil {
		c.fetch.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the frontier and all connections; a Run ends with frontier.ErrClosed. Later
// calls do nothing.
func (c *Crawler) Close() error {
	return errors.Join(c.fetch.Close(), c.front.Close())
}

// Frontier returns what is below, for its dead letters, its hosts and their moves.
func (c *Crawler) Frontier() *frontier.Frontier { return c.front }

// Add queues addresses as seeds and returns how many were not known. Those that cannot be are
// reported by ErrURL, joined, and the others queued all the same. Those of other nodes' hosts go to Foreign.
func (c *Crawler) Add(ctx context.Context, urls ...string) (added int, err error) {
	var bad []error
	var items []frontier.Item
	for _, s := range urls {
		b, err := urlx.Canonical(nil, nil, []byte(s), c.o.Profile)
		if err == nil {
			var u *urlx.URL
			if u, err = urlx.Parse(string(b)); err == nil {
				if !c.inScope(u) {
					err = errors.New("not in scope")
				} else {
					items = append(items, item(u))
					continue
				}
			}
		}
		bad = append(bad, fmt.Errorf("%w: %.200q: %w", ErrURL, s, err))
	}
	n, err := c.queue(ctx, items)
	return n, errors.Join(append(bad, err)...)
}

// Import queues items that another node's Foreign got. Their addresses are taken as they stand.
func (c *Crawler) Import(ctx context.Context, items []frontier.Item) (added int, err error) {
	return c.queue(ctx, items)
}

// item is a URL in its host's queue.
func item(u *urlx.URL) frontier.Item { return frontier.Item{URL: u.String(), Host: u.HostKey()} }

// queue adds items where they belong. Those that the frontier refuses are left out.
func (c *Crawler) queue(ctx context.Context, items []frontier.Item) (added int, err error) {
	own, foreign := items, []frontier.Item(nil)
	if c.o.Owns != nil {
		own = nil
		for _, it := range items {
			if c.o.Owns(it.Host) {
				own = append(own, it)
			} else {
				foreign = append(foreign, it)
			}
		}
	}
	if len(own) > 0 {
		var ie *frontier.ItemError
		if added, err = c.front.Add(ctx, own...); err != nil && !errors.As(err, &ie) {
			return added, err
		}
		c.stats.added.Add(int64(added))
	}
	if len(foreign) > 0 {
		c.stats.foreign.Add(int64(len(foreign)))
		if c.o.Foreign != nil {
			return added, c.o.Foreign(ctx, foreign)
		}
	}
	return added, nil
}

// Run crawls until nothing is left to visit, and then returns nil; or until ctx ends, and then
// returns its cause, after the pages in hand: what of them is not done within Options.Grace is
// visited another time. Any other error is of the frontier or of Foreign. It may be called again.
func (c *Crawler) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	// Leasing ends with ctx, or with the first error; work in hand may go on a little.
	leasing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	over := make(chan struct{})
	var grace sync.WaitGroup
	grace.Go(func() {
		select {
		case <-leasing.Done():
		case <-over:
			return
		}
		t := time.NewTimer(max(c.o.Grace, 0))
		defer t.Stop()
		select {
		case <-t.C:
			end(context.Cause(leasing))
		case <-over:
		}
	})
	var workers sync.WaitGroup
	for range c.o.Workers {
		workers.Go(func() {
			if err := c.worker(leasing, work); err != nil {
				stop(err)
			}
		})
	}
	workers.Wait()
	close(over)
	grace.Wait()
	return context.Cause(leasing)
}

// worker visits until nothing is left, leasing ends, or an error that concerns more than a page.
func (c *Crawler) worker(leasing, work context.Context) error {
	for {
		l, err := c.front.Lease(leasing)
		var damaged *frontier.RecordError
		switch {
		case errors.Is(err, frontier.ErrDrained), leasing.Err() != nil && l == nil:
			return nil
		case errors.As(err, &damaged):
			c.o.Logger.Error("host set aside", "host", damaged.Host, "err", err)
			continue
		case err != nil:
			return err
		}
		c.stats.inFlight.Add(1)
		// Nothing is asked of the host once the right to do so is over.
		ctx, cancel := context.WithTimeoutCause(work, time.Until(l.Expires)-time.Second, errLease)
		err = c.visit(ctx, l)
		cancel()
		c.stats.inFlight.Add(-1)
		switch {
		case errors.Is(err, frontier.ErrLease): // it took too long; the frontier has noted it
		case work.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}
