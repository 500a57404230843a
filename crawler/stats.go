package crawler

import (
	"fmt"

	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
)

// Stats counts since New, but for what is said to be of the moment.
type Stats struct {
	Visits     int64 // requests for pages
	Pages      int64 // that were had
	Failed     int64 // visits that ended with an error, or with a page of no use
	Redirects  int64
	Disallowed int64 // pages and links that robots.txt forbids
	Duplicates int64 // pages whose text is that of another, or nearly
	Rendered   int64 // pages that a browser loaded
	Robots     int64 // requests for robots.txt, with all their redirects
	Links      int64 // that were taken
	Added      int64 // addresses that were not known
	Foreign    int64 // addresses of other nodes' hosts
	InFlight   int64 // leases at the moment

	Frontier frontier.Stats
	Fetch    fetch.Stats
}

// Stats returns the counts.
func (c *Crawler) Stats() Stats {
	s := &c.stats
	return Stats{
		Visits: s.visits.Load(), Pages: s.pages.Load(), Failed: s.failed.Load(), Redirects: s.redirects.Load(),
		Disallowed: s.disallowed.Load(), Duplicates: s.duplicates.Load(), Rendered: s.rendered.Load(), Robots: s.robots.Load(),
		Links: s.links.Load(), Added: s.added.Load(), Foreign: s.foreign.Load(), InFlight: s.inFlight.Load(),
		Frontier: c.front.Stats(), Fetch: c.fetch.Stats(),
	}
}

// String prints the crawler's own counts in one line.
func (s Stats) String() string {
	return fmt.Sprintf("%d visits: %d pages (%d duplicates, %d rendered), %d failed, %d redirects; %d disallowed, %d robots.txt; %d links, %d new, %d foreign; %d in flight, %d queued",
		s.Visits, s.Pages, s.Duplicates, s.Rendered, s.Failed, s.Redirects, s.Disallowed, s.Robots, s.Links, s.Added, s.Foreign, s.InFlight, s.Frontier.Queued)
}
