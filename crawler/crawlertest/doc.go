// Package crawlertest is a web to try crawlers on, and a judge of their manners.
//
//	web, err := crawlertest.New(crawlertest.Options{Seed: 1, Hosts: 200})
//	net := web.Listen() // pipes; ListenLoopback for real sockets
//	defer net.Close()
//	… crawl web.Seeds() through net.Dial and net.Lookup …
//	report := web.Audit(crawlertest.AuditOptions{})
//	fmt.Println(report) // 4,711 visits to 200 hosts: no violation
//
// # The web
//
// A [Web] is an http.Handler for any number of hosts, all of it a function of its seed: pages of
// real words that link to each other, robots.txt in all the ways in which servers answer for it, crawl
// delays, redirects, errors that pass and errors that stay, copies, wrong encodings, bodies
// that do not end, and four kinds of trap: a calendar, session numbers, a path that grows, and a product of filters.
// Options.Calm leaves all but the pages and the robots.txt out.
//
// # The judge
//
// Politeness is measured where it is felt, at the server. Each visit is logged with its
// begin and end; [Audit] goes through the log and names what a crawler must not do: two
// visits to a host at a time, a pause shorter than the host is owed, a page that is
// forbidden, a page before robots.txt was read or when it is old, a visit that a
// Retry-After has ruled out. What is allowed on a host is known from how it was made, not
// by parsing its robots.txt, so that a parser's mistake is seen. Audit judges logs of
// other servers as well.
//
// # Time
//
// All time is that of package time. Over pipes a crawl may run in a bubble of testing/synctest, where
// a day takes seconds and every pause is exact; over loopback it is real, and Slack makes
// up for the moment that a request takes from client to handler.
//
// # Concurrency
//
// A Web, and what Listen returns, may be used by any number of goroutines.
package crawlertest
