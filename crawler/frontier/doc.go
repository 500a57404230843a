// Package frontier is the part of a crawler that decides what is visited next: a durable
// queue of URLs for millions of hosts that is polite by its zero value.
//
//	f, err := frontier.Open("frontier", frontier.Options{})
//	if err != nil {
//		return err
//	}
//	defer f.Close()
//	_, err = f.Add(ctx, frontier.Item{URL: "https://go.dev/doc/", Priority: 1})
//	for {
//		l, err := f.Lease(ctx) // waits until some host may be visited
//		if errors.Is(err, frontier.ErrDrained) {
//			break
//		}
//		…                      // visit l.URL, Add the links that it has
//		err = l.Done(frontier.Result{Latency: took})
//	}
//
// Items wait in one queue a host, by priority. A [Lease] is the right to visit one URL and
// with it its host; it ends by Done, Retry or Release, or expires. Between leases of a host
// its delay passes: what is decent, what [Frontier.SetDelay] says, and what the host's
// latency and its 429s and 503s call for. Failures are retried by a schedule and end as
// dead letters; hosts that fail again and again rest; pages that change are visited again at
// the rate at which they change; links without end are passed over when they yield nothing.
//
// # Use it, or something else
//
// Use it for a crawl that is larger than memory, that has to survive restarts, or whose
// hosts move between nodes. A crawl of one site that is done in an hour needs a slice and
// a ticker. It does not fetch, parse, canonicalise or obey robots.txt: package crawler
// does, with this below. For jobs without hosts, use a job queue.
//
// # Guarantees
//
// At most one lease of a host is alive at a time, and the next begins no earlier than the
// host's delay after the end of the one before, whatever the number of workers. That holds
// across crashes, even if the last writes are lost: after Open no host is leased before its
// delay has passed. A holder that works on beyond the expiry of its lease is out of reach:
// Extend it.
//
// A URL is queued once, whoever adds it and however often, and none is taken for known
// that is not: a Bloom filter only spares look-ups. (A URL is known by its host and 96 bits
// of hash.) What Add returned for survives what Options.Durability names, as does the end
// of a lease; until it has ended, a URL is still queued. So a crash repeats the visits that
// were leased, and no others.
//
// Damaged records are typed errors. A host with one is set aside, and the others go on.
// After a failed write nothing is accepted or leased any more until Open: what is in memory
// may differ from what is stored then.
//
// # Costs
//
// A new URL is two entries in the store, or one and a share of one if it came with others
// for its queue; a known one is a look-up; a lease writes nothing, and reads if its URLs
// are not at hand; its end is one entry. In memory a host takes some 210 bytes, a URL that
// was ever added 10 bits, and URLs at hand Options.Prefetch in all. Open reads the hosts
// and the queues. docs/BENCHMARKS.md has figures, docs/adr the reasons for the design.
//
// # Time
//
// The clock never goes back inside: a step back of Options.Now stands still for one
// reading, one forward is believed up to a year. Between runs, too, time goes on from the latest that was
// seen. Waits are rounded up to milliseconds.
//
// # Concurrency
//
// All methods of Frontier are safe for concurrent use, those of a Lease too, though only
// one end of it counts. One process may have a directory open at a time. Close waits for
// what runs behind.
//
// Sources: Heydon, Najork, "Mercator: A scalable, extensible web crawler" (1999), for front
// and back queues; Lee et al., "IRLbot" (2008), for budgets; Varghese, Lauck (1987), for the
// wheel; Cho, Garcia-Molina (2003), for rates of change.
package frontier
