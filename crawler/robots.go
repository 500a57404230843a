package crawler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/crawler/robots"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// How often, and after which pauses, a robots.txt is asked for that cannot be had. Then its host is
// closed: what is queued of it becomes dead letters, without a visit, until RobotsAge is over.
var robotsPauses = []time.Duration{time.Minute, 5 * time.Minute, 25 * time.Minute}

// robotsElsewhere is how long a host waits for a robots.txt that another host has, before it
// asks again. It is woken when it is there.
const robotsElsewhere = 15 * time.Minute

// robotsTable remembers what robots.txt files say, by origin.
type robotsTable struct {
	max int
	mu  sync.RWMutex
	m   map[string]*robotsEntry
}

// robotsEntry is the rules of an origin, or the number of times that they could not be had.
type robotsEntry struct {
	rules    *robots.Rules // nil: not had
	until    time.Time     // of the rules, or of the host's being closed
	failures int
	why      error // the host is closed
}

func (t *robotsTable) init(size int) { t.max, t.m = size, map[string]*robotsEntry{} }

func (t *robotsTable) get(origin string) (e robotsEntry, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if p := t.m[origin]; p != nil {
		return *p, true
	}
	return robotsEntry{}, false
}

// peek returns the rules if they are known and fresh, else nil.
func (t *robotsTable) peek(origin string) *robots.Rules {
	if e, ok := t.get(origin); ok && e.rules != nil && time.Now().Before(e.until) {
		return e.rules
	}
	return nil
}

// put notes an entry. When there are too many, another one goes; that costs a request later.
func (t *robotsTable) put(origin string, e robotsEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.m) >= t.max && t.m[origin] == nil {
		for k := range t.m {
			delete(t.m, k)
			break
		}
	}
	t.m[origin] = &e
}

// rules returns what applies to a page. If that has to be fetched first, or cannot be, it ends
// the lease.
func (c *Crawler) rules(ctx context.Context, l *frontier.Lease, p *Page) (r *robots.Rules, ended bool, err error) {
	origin := p.URL.Origin()
	e, _ := c.robots.get(origin)
	fresh := time.Now().Before(e.until)
	switch {
	case fresh && e.rules != nil:
		return e.rules, false, nil
	case fresh:
		return nil, true, c.retry(l, p, e.why, frontier.Failure{Final: true})
	}
	u, err := p.URL.Resolve("/robots.txt")
	if err != nil {
		return nil, true, c.retry(l, p, err, frontier.Failure{Final: true})
	}
	a := c.fetchRobots(ctx, l, u, 0)
	if interrupted(ctx) {
		return nil, true, c.giveBack(l)
	}
	c.heard(origin, a.status, a.err)
	switch {
	case a.elsewhere != nil:
		// Another host has it. That one is owed a lease of its own.
		if e.failures++; e.failures > len(robotsPauses) {
			a.err = errors.New("it is elsewhere, and cannot be had there")
			return nil, true, c.noRobots(l, p, origin, e, a)
		}
		e.rules, e.until = nil, time.Time{}
		c.robots.put(origin, e)
		err := c.askElsewhere(ctx, a.elsewhere, meta{redirects: 1, robotsFor: origin})
		if err == nil {
			err = c.front.Block(l.Host, time.Now().Add(robotsElsewhere))
		}
		return nil, true, errors.Join(err, c.giveBack(l))
	case a.file == nil:
		e.failures++
		return nil, true, c.noRobots(l, p, origin, e, a)
	}
	// This was a visit: the page has to wait for the host's delay, as it is by now.
	return nil, true, errors.Join(c.learn(l.Host, origin, a.file), c.giveBack(l))
}

// noRobots ends the lease of a page whose host's robots.txt cannot be had. The host is left
// alone for a while, and after some such times closed.
func (c *Crawler) noRobots(l *frontier.Lease, p *Page, origin string, e robotsEntry, a robotsAnswer) error {
	e.rules = nil
	var fe *fetch.Error
	hopeless := a.status == 0 && errors.As(a.err, &fe) && !fe.Temporary() // no such host, or none to be visited
	if hopeless || e.failures > len(robotsPauses) {
		e.until, e.failures, e.why = time.Now().Add(c.o.RobotsAge), 0, a.cause()
		c.robots.put(origin, e)
		return c.retry(l, p, e.why, frontier.Failure{Final: true})
	}
	e.until = time.Time{}
	c.robots.put(origin, e)
	pause := min(max(robotsPauses[e.failures-1], a.after), maxCrawlDelay)
	return errors.Join(c.front.Block(l.Host, time.Now().Add(pause)), c.giveBack(l))
}

// learn notes the rules of an origin, and the delay that its host asks for.
func (c *Crawler) learn(host, origin string, file *robots.File) error {
	rules := file.Agent(c.o.Product)
	delay, _ := rules.CrawlDelay()
	c.robots.put(origin, robotsEntry{rules: rules, until: time.Now().Add(c.o.RobotsAge)})
	return c.front.SetDelay(host, min(delay, maxCrawlDelay))
}

// maxCrawlDelay is the longest that is obeyed: beyond it lies what was meant as "never", and a
// day between two pages comes close to it.
const maxCrawlDelay = 24 * time.Hour

func (c *Crawler) heard(origin string, status int, err error) {
	c.stats.robots.Add(1)
	if c.o.Hooks.Robots != nil {
		c.o.Hooks.Robots(origin, status, err)
	}
}

// robotsAnswer is what came of asking for a robots.txt.
type robotsAnswer struct {
	file      *robots.File  // nil: none can be had
	elsewhere *urlx.URL     // where another host has it
	status    int           // 0: no answer
	after     time.Duration // that the host wants to be left alone for
	err       error
}

// String says why there is no file.
func (a robotsAnswer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return "status " + strconv.Itoa(a.status)
}

// cause is the error of a page that has to do without a file.
func (a robotsAnswer) cause() error {
	if a.err != nil {
		return fmt.Errorf("%w: %w", ErrRobots, a.err)
	}
	return fmt.Errorf("%w: %s", ErrRobots, a)
}

// fetchRobots gets a robots.txt under a lease of its host, after so many redirects. It follows
// those within the host, with its delay between.
func (c *Crawler) fetchRobots(ctx context.Context, l *frontier.Lease, u *urlx.URL, redirects int) robotsAnswer {
	before := redirects
	resp, err := c.fetch.Fetch(ctx, fetch.Request{
		URL: u, MaxBody: robots.DefaultMaxBytes,
		Follow: func(ctx context.Context, h fetch.Hop) error {
			if h.To.HostKey() != l.Host || before+h.N >= robots.MaxRedirects {
				return fetch.ErrUseLast
			}
			redirects = before + h.N + 1
			return c.pause(ctx, l.Host)
		},
	})
	if resp == nil {
		return robotsAnswer{err: err}
	}
	a := robotsAnswer{status: resp.Status}
	a.after, _ = resp.RetryAfter(time.Now())
	switch {
	case resp.Location != nil && err == nil && redirects < robots.MaxRedirects:
		a.elsewhere = resp.Location
		return a
	case errors.Is(err, fetch.ErrLoop), errors.Is(err, fetch.ErrTooManyRedirects):
		redirects = robots.MaxRedirects + 1
	case errors.Is(err, fetch.ErrTooLarge): // the rest does not count
	case err != nil && resp.Status < 300:
		a.err = err // half a file is no permission
		return a
	}
	file, policy := robots.FromStatus(resp.Status, redirects, bytes.NewReader(resp.Body), robots.Options{})
	if policy == robots.Obey || policy == robots.AllowAll {
		a.file = file
	}
	return a
}

// pause waits for a host's delay.
func (c *Crawler) pause(ctx context.Context, host string) error {
	d := time.Second
	if i, ok := c.front.Host(host); ok {
		d = i.Delay
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// askElsewhere queues a robots.txt of another host. The fragment, which is not sent, makes it
// an address of its own each time, as it may be wanted for many hosts, again and again.
func (c *Crawler) askElsewhere(ctx context.Context, u *urlx.URL, m meta) error {
	at, err := u.Resolve("#" + m.robotsFor + "-" + strconv.FormatInt(time.Now().UnixNano(), 36))
	if err != nil {
		return nil // it fails like one that cannot be had
	}
	it := item(at)
	it.Meta = m.encode()
	if c.o.Owns != nil && !c.o.Owns(it.Host) {
		return nil // another node's host: see the package's documentation
	}
	_, err = c.queue(ctx, []frontier.Item{it})
	return err
}

// robotsForAnother fetches what a robots.txt of another host redirected to, and wakes that host.
func (c *Crawler) robotsForAnother(ctx context.Context, l *frontier.Lease, u *urlx.URL, m meta) error {
	a := c.fetchRobots(ctx, l, u, m.redirects)
	if interrupted(ctx) {
		return c.giveBack(l)
	}
	c.heard(m.robotsFor, a.status, a.err)
	var err error
	switch {
	case a.elsewhere != nil:
		m.redirects++
		err = c.askElsewhere(ctx, a.elsewhere, m)
	case a.file == nil:
		return l.Retry(frontier.Failure{Cause: fmt.Sprintf("robots.txt of %s: %s", m.robotsFor, a), After: a.after})
	default:
		origin, perr := urlx.Parse(m.robotsFor)
		if perr != nil {
			return l.Retry(frontier.Failure{Final: true, Cause: perr.Error()})
		}
		if err = c.learn(origin.HostKey(), m.robotsFor, a.file); err == nil {
			err = c.front.Block(origin.HostKey(), time.Time{})
		}
	}
	if err != nil {
		return errors.Join(err, c.giveBack(l))
	}
	return l.Done(frontier.Result{})
}
