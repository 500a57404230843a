package crawler

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/ashlar-go/ashlar/crawler/extract"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/crawler/urlx"
	"github.com/cespare/xxhash/v2"
)

// What no address of a page looks like. Traps that look better than that are found by their yield.
const (
	maxRepeats = 6  // of one segment in a path
	maxCycle   = 3  // of the end of a path
	maxSegment = 40 // segments
	maxParams  = 30
)

// inScope reports whether an address may be queued.
func (c *Crawler) inScope(u *urlx.URL) bool {
	if u.Scheme() != "http" && u.Scheme() != "https" {
		return false
	}
	if s := u.Shape(); s.Repeats > maxRepeats || s.Cycle > maxCycle || s.Depth > maxSegment || s.Params > maxParams {
		return false
	}
	return c.o.Scope == nil || c.o.Scope(u)
}

// wanted reports whether a kind of link leads to pages.
func wanted(l extract.Link) bool {
	switch l.Kind {
	case extract.Anchor, extract.Frame, extract.Refresh, extract.Related, extract.Feed:
		return true
	}
	return false
}

// follow queues the links of a page.
func (c *Crawler) follow(ctx context.Context, p *Page) error {
	if p.Depth >= c.o.MaxDepth {
		return nil
	}
	var items []frontier.Item
	for _, l := range p.Content.Links {
		if l.NoFollow || l.Hidden {
			continue
		}
		if c.o.Follow != nil && !c.o.Follow(p, l) || c.o.Follow == nil && !wanted(l) {
			continue
		}
		u, err := urlx.Parse(l.URL)
		if err != nil || !c.inScope(u) {
			continue
		}
		// What is known to be forbidden need not wait in the queue to be found so.
		if r := c.robots.peek(u.Origin()); r != nil && !r.Allowed(u.PathQuery()) {
			c.stats.disallowed.Add(1)
			continue
		}
		it := item(u)
		it.Depth = p.Depth + 1
		it.Priority = min(float64(it.Depth), 5)
		if c.o.Priority != nil {
			it.Priority = min(max(c.o.Priority(p, l), 0), 5)
		}
		items = append(items, it)
	}
	c.stats.links.Add(int64(len(items)))
	n, err := c.queue(ctx, items)
	p.New = n
	if n > 0 && c.o.Hooks.Added != nil {
		c.o.Hooks.Added(p.Host, n)
	}
	return err
}

// template says which addresses one program made: urlx's template, in which segments and
// parameters that were there before, and the order of parameters, count for nothing. A path that
// goes in circles, and a product of filters, so have few templates.
func template(url string) uint64 {
	u, err := urlx.Parse(url)
	if err != nil {
		return xxhash.Sum64String(url)
	}
	path, query, _ := strings.Cut(string(u.AppendTemplate(nil)), "?")
	var parts []string
	for s := range strings.SplitSeq(path, "/") {
		if !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
		if len(parts) > maxSegment {
			break
		}
	}
	params := strings.Split(query, "&")
	slices.Sort(params)
	parts = append(append(parts, "?"), slices.Compact(params)...)
	return xxhash.Sum64String(strings.Join(parts, "/"))
}

// meta is what the crawler notes with an item of the frontier.
//
//	""                                 a page
//	'p' redirects                      a page that redirects led to
//	'r' redirects origin               the robots.txt of another origin
type meta struct {
	redirects int
	robotsFor string // an origin
}

func (m meta) encode() []byte {
	kind := byte('p')
	if m.robotsFor != "" {
		kind = 'r'
	}
	return append(binary.AppendUvarint([]byte{kind}, uint64(m.redirects)), m.robotsFor...)
}

// decodeMeta reads what encode wrote. Anything else is a page that nothing is noted of.
func decodeMeta(b []byte) (m meta) {
	if len(b) == 0 || b[0] != 'p' && b[0] != 'r' {
		return meta{}
	}
	n, size := binary.Uvarint(b[1:])
	if size <= 0 || n > 1<<10 {
		return meta{}
	}
	m.redirects = int(n)
	if b[0] == 'r' {
		m.robotsFor = string(b[1+size:])
	}
	return m
}
