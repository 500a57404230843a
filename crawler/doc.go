// Package crawler visits the web politely, for days, on one machine or several.
//
//	c, err := crawler.New(crawler.Options{
//		Dir:       "crawl",
//		UserAgent: "examplebot/1.0 (+https://example.org/bot)",
//		Handlers:  map[string]crawler.Handler{"text/html": store},
//	})
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	_, err = c.Add(ctx, "https://go.dev/")
//	err = c.Run(ctx) // until nothing is left, or ctx ends
//
// It composes the packages below it, each of use alone: [frontier] says what may be visited
// when, [robots] what may be visited at all, [fetch] gets it, [extract] reads it, [urlx] gives each
// address one spelling, [neardup] finds what is there already. [crawlertest] is a web to try it on.
//
// # When to use it, and when not
//
// It is for crawls that outlive a process and have to be answered for. For one site that one
// owns, a loop over fetch and extract is shorter.
//
// # Politeness
//
// The zero value of everything that concerns it is polite. A user agent without a contact is refused
// ([ErrContact]). One request at a time goes to a host, a second and its crawl delay after the end
// of the one before; robots.txt is read first, counts as a visit, and is read again
// after half a day. Nothing is fetched from a host whose robots.txt cannot be had: it is asked again a
// few times, and then its pages are dead letters. A redirect is never followed at once, for
// it leads to a host to which the same is owed: its target is queued. So is the robots.txt to which
// another host's robots.txt redirects. A 429 or 503 slows the whole host down, for as long as it asks
// to. All of that survives a crash, and [crawlertest.Audit] holds the whole against it.
//
// # What becomes of an address
//
//	Add ─▶ canonical ─▶ Scope, Owns ─▶ frontier ─▶ lease ─▶ robots.txt ─▶ fetch ─▶ extract ─▶ Handler ─▶ links ─▶ Add
//	                                                │ not known            │
//	                                                ▼                      ├─ redirect: target to Add
//	                                        fetch it, release the lease    ├─ 429, 5xx, lost: Retry, at last a dead letter
//	                                                                       └─ 4xx, unusable: done, with Page.Err
//
// # Guarantees
//
// A page is handed to its Handler at least once: again only if the process ends, or the Handler fails,
// before its lease is done. The links of a page are queued before it counts as done. Run starts Options.Workers
// goroutines and no others; memory is bounded by them, Options.MaxRobots and, 32 bytes each, the pages
// whose text is known. What servers send cannot make it panic, hang or grow; see fetch.
//
// Near-duplicates are known since New only: after a restart a page may count as new again.
// With Owns, a robots.txt that redirects to a host of another node cannot be had.
//
// # Traps
//
// An address that repeats itself is not queued. Templates of addresses, with numbers, dates, session
// ids, and what repeats taken out, are judged by their yield: where the text
// of pages is known already, fewer and fewer of them are visited.
//
// # Concurrency
//
// All methods may be called at the same time, Run once at a time. Handlers and hooks are called by
// several goroutines; a Handler holds up its worker, and its host.
package crawler
