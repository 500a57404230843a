package crawler

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/crawler/extract"
	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/crawler/neardup"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// Page is what came of a visit.
type Page struct {
	URL      *urlx.URL
	Host     string // the queue it was in
	Depth    int    // links from a seed
	Attempt  int    // visits before that failed
	Visits   int    // visits before, where it is visited again and again
	Began    time.Time
	Response *fetch.Response // nil if there was none

	Type      string        // media type, without parameters, in lower case
	Hash      [32]byte      // SHA-256 of the body
	Content   *extract.Page // nil if it is no HTML
	SimHash   uint64        // of the text; 0 without one
	Duplicate bool          // another page has the same text, or nearly
	Rendered  bool          // by Options.Renderer: Body is what that made of it
	Unchanged bool          // since the visit before

	Redirect *urlx.URL // where it has moved
	New      int       // links that were not known

	// Err is nil for a page that was had. Else it matches an error of this package or of package fetch.
	Err error
}

// Body returns the content, decompressed.
func (p *Page) Body() []byte {
	if p.Response == nil {
		return nil
	}
	return p.Response.Body
}

// handler returns who gets pages of a type, nil if nobody does.
func (c *Crawler) handler(mediaType string) Handler {
	if h := c.o.Handlers[mediaType]; h != nil {
		return h
	}
	major, _, _ := strings.Cut(mediaType, "/")
	if h := c.o.Handlers[major+"/*"]; h != nil {
		return h
	}
	return c.o.Handlers["*/*"]
}

func isHTML(mediaType string) bool {
	return mediaType == "text/html" || mediaType == "application/xhtml+xml" || mediaType == ""
}

// errUnwanted ends a fetch whose content nobody asked for.
var errUnwanted = errors.New("unwanted")

// visit does what a lease is for, and ends it. Its errors concern more than the page.
func (c *Crawler) visit(ctx context.Context, l *frontier.Lease) error {
	u, err := urlx.Parse(l.URL)
	if err != nil { // Add has parsed it; what Import got may be anything
		return l.Retry(frontier.Failure{Final: true, Cause: err.Error()})
	}
	if c.o.Owns != nil && !c.o.Owns(l.Host) {
		return c.handOver(ctx, l)
	}
	m := decodeMeta(l.Meta)
	if m.robotsFor != "" {
		return c.robotsForAnother(ctx, l, u, m)
	}
	p := &Page{URL: u, Host: l.Host, Depth: l.Depth, Attempt: l.Attempt, Visits: l.Visits, Began: time.Now()}
	rules, ended, err := c.rules(ctx, l, p)
	if ended || err != nil {
		return err
	}
	if !rules.Allowed(u.PathQuery()) {
		p.Err = ErrDisallowed
		c.stats.disallowed.Add(1)
		c.tell(p)
		return l.Done(frontier.Result{})
	}
	req := fetch.Request{URL: u, Accept: func(r *fetch.Response) error {
		p.Type = mediaType(r.ContentType)
		if r.Status < 300 && !isHTML(p.Type) && c.handler(p.Type) == nil {
			return errUnwanted
		}
		return nil
	}}
	var known Known
	if c.o.Known != nil && l.Visits > 0 {
		known, _ = c.o.Known(l.URL)
		req.ETag, req.LastModified = known.ETag, known.LastModified
	}
	c.stats.visits.Add(1)
	p.Response, err = c.fetch.Fetch(ctx, req)
	if interrupted(ctx) {
		return c.giveBack(l)
	}
	return c.conclude(ctx, l, p, m, known, err)
}

// errLease is why work on a page ends when its lease is about to.
var errLease = errors.New("crawler: took as long as a lease")

// interrupted reports whether work ends for a reason that is not the page's.
func interrupted(ctx context.Context) bool {
	return ctx.Err() != nil && context.Cause(ctx) != errLease
}

// giveBack ends the lease of a page that was interrupted.
func (c *Crawler) giveBack(l *frontier.Lease) error {
	err := l.Release()
	if errors.Is(err, frontier.ErrClosed) {
		return nil
	}
	return err
}

// handOver gives a page to the node that owns its host by now.
func (c *Crawler) handOver(ctx context.Context, l *frontier.Lease) error {
	if c.o.Foreign == nil {
		return l.Retry(frontier.Failure{Final: true, Cause: "another node's host"})
	}
	c.stats.foreign.Add(1)
	it := frontier.Item{URL: l.URL, Host: l.Host, Priority: l.Priority, Depth: l.Depth, Meta: l.Meta}
	if err := c.o.Foreign(ctx, []frontier.Item{it}); err != nil {
		return errors.Join(err, c.giveBack(l))
	}
	return l.Done(frontier.Result{})
}

// conclude decides what became of a fetch.
func (c *Crawler) conclude(ctx context.Context, l *frontier.Lease, p *Page, m meta, known Known, err error) error {
	r := p.Response
	var fe *fetch.Error
	errors.As(err, &fe)
	switch {
	case err == nil, errors.Is(err, errUnwanted):
	case errors.Is(err, fetch.ErrStale):
		return l.Release() // the server had closed the connection: nothing is known of the page
	case fe != nil && (fe.Temporary() || errors.Is(err, errLease)):
		return c.retry(l, p, err, frontier.Failure{})
	case r == nil: // the host has no address, a bad certificate, or the like
		return c.retry(l, p, err, frontier.Failure{Final: true})
	default: // the server is well, and the page of no use
		p.Err = err
		c.stats.failed.Add(1)
		c.tell(p)
		return l.Done(frontier.Result{Latency: r.Trace.FirstByte})
	}
	switch s := r.Status; {
	case s == 304:
		p.Unchanged, p.Hash = true, known.Hash
		c.tell(p)
		return l.Done(c.result(p))
	case r.Location != nil:
		return c.moved(ctx, l, p, m)
	case s == 429 || s == 503:
		after, _ := r.RetryAfter(time.Now())
		return c.retry(l, p, statusError(s), frontier.Failure{Throttled: true, After: after, Latency: r.Trace.FirstByte})
	case s >= 500 || s == 408:
		return c.retry(l, p, statusError(s), frontier.Failure{Latency: r.Trace.FirstByte})
	case s >= 300:
		p.Err = statusError(s)
		c.stats.failed.Add(1)
		c.tell(p)
		return l.Done(frontier.Result{Latency: r.Trace.FirstByte})
	}
	return c.page(ctx, l, p, known)
}

func statusError(s int) error { return fmt.Errorf("%w: status %d", ErrStatus, s) }

// retry ends the lease of a page that may be had another time.
func (c *Crawler) retry(l *frontier.Lease, p *Page, err error, f frontier.Failure) error {
	p.Err = err
	f.Cause = err.Error()
	c.stats.failed.Add(1)
	c.tell(p)
	return l.Retry(f)
}

func (c *Crawler) tell(p *Page) {
	if c.o.Hooks.Page != nil {
		c.o.Hooks.Page(p)
	}
}

// moved queues where a redirect leads to. Loops end by themselves, as what is known is not
// queued again; chains that never repeat are counted.
func (c *Crawler) moved(ctx context.Context, l *frontier.Lease, p *Page, m meta) error {
	p.Redirect = p.Response.Location
	c.stats.redirects.Add(1)
	if m.redirects++; m.redirects > maxRedirects {
		p.Err = ErrRedirects
	} else if b, err := urlx.Canonical(nil, nil, []byte(p.Redirect.String()), c.o.Profile); err == nil {
		if u, err := urlx.Parse(string(b)); err == nil && c.inScope(u) {
			it := item(u)
			it.Depth, it.Priority, it.Meta = l.Depth, l.Priority, m.encode()
			if p.New, err = c.queue(ctx, []frontier.Item{it}); err != nil {
				return errors.Join(err, c.giveBack(l))
			}
		}
	}
	c.tell(p)
	return l.Done(frontier.Result{Latency: p.Response.Trace.FirstByte})
}

const maxRedirects = 10

// page reads a page that was had, hands it on, and queues its links.
func (c *Crawler) page(ctx context.Context, l *frontier.Lease, p *Page, known Known) error {
	p.Hash = sha256.Sum256(p.Response.Body)
	p.Unchanged = l.Visits > 0 && p.Hash == known.Hash
	if isHTML(p.Type) {
		c.read(p)
		if c.o.Renderer != nil && c.escalate(p) {
			if html, err := c.o.Renderer.Render(ctx, p.URL); err == nil {
				c.stats.rendered.Add(1)
				p.Rendered, p.Response.Body = true, html
				c.read(p)
			} else {
				c.o.Logger.Warn("not rendered", "url", p.URL, "err", err)
			}
		}
	}
	if p.Err == nil && l.Visits == 0 && p.Content != nil {
		p.Duplicate = c.isKnown(p)
	}
	if h := c.handler(p.Type); h != nil && p.Err == nil {
		if err := h(ctx, p); err != nil {
			if interrupted(ctx) {
				return c.giveBack(l)
			}
			return c.retry(l, p, fmt.Errorf("handler: %w", err), frontier.Failure{Latency: p.Response.Trace.FirstByte})
		}
	}
	if p.Content != nil && !p.Content.Robots.NoFollow {
		if err := c.follow(ctx, p); err != nil {
			return errors.Join(err, c.giveBack(l))
		}
	}
	switch {
	case p.Err != nil:
		c.stats.failed.Add(1)
	default:
		c.stats.pages.Add(1)
	}
	c.tell(p)
	return l.Done(c.result(p))
}

// read extracts what is in a page of HTML.
func (c *Crawler) read(p *Page) {
	var sum neardup.Hasher
	content, err := extract.Parse(bytes.NewReader(p.Response.Body), p.Response.URL, extract.Options{
		ContentType: p.Response.ContentType, Product: c.o.Product, Profile: c.o.Profile, Text: io.Writer(&sum),
	})
	for _, v := range p.Response.Header.Values("X-Robots-Tag") {
		content.Robots.AddHeader(v, c.o.Product)
	}
	p.Content, p.Err, p.SimHash = content, err, sum.Sum64()
}

// escalate reports whether a browser should have a look.
func (c *Crawler) escalate(p *Page) bool {
	if c.o.Escalate != nil {
		return c.o.Escalate(p)
	}
	return p.Content.Words < fewWords && len(p.Content.Links) < 3 && bytes.Contains(p.Response.Body, []byte("<script"))
}

// fewWords is below which a text says too little to be compared by likeness, or to be a page.
const fewWords = 20

// isKnown reports whether the text of a page is that of another, or nearly, and notes it. A
// short text is compared as a whole.
func (c *Crawler) isKnown(p *Page) bool {
	hash, found := p.SimHash, false
	c.seenMu.Lock()
	defer c.seenMu.Unlock()
	if p.Content.Words < fewWords {
		found = !c.seen.Add(p.Content.TextHash, 0)
	} else {
		_, found = c.seen.AddNew(hash, 0)
	}
	if found {
		c.stats.duplicates.Add(1)
	}
	return found
}

// result is what the frontier learns from a visit that went well.
func (c *Crawler) result(p *Page) frontier.Result {
	r := frontier.Result{Latency: p.Response.Trace.FirstByte, Barren: p.Duplicate, Changed: !p.Unchanged}
	if c.o.Every != nil {
		r.Every = c.o.Every(p)
	}
	return r
}

// mediaType is what a Content-Type says without its parameters.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
