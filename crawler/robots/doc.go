// Package robots reads robots.txt and answers, in a fraction of a microsecond and without
// allocating, whether a crawler may fetch a path.
//
//	file, policy := robots.FromStatus(resp.StatusCode, redirects, resp.Body, robots.Options{})
//	rules := file.Agent("examplebot") // once a host; keep it
//	if rules.Allowed("/private/report.html?page=2") {
//		// …
//	}
//
// # Two readings
//
// [RFC9309], the default, is the standard: the rule with the most octets wins, allow wins
// a tie, percent-encodings are compared in one canonical form, /robots.txt itself is
// always allowed. [Google] decides as Google's published parser does, which differs from
// the standard where that parser came first: encodings are compared as they stand, a rule
// for index.html also speaks for its folder, and any key that starts like a known one
// counts as it. Use it to know what that crawler would do.
//
// Both forgive what site owners commonly get wrong (a missing colon, "useragent",
// "dissallow", byte order marks), because the meaning is plain and a crawler that plays
// the innocent is not polite.
//
// # What a status means
//
// [FromStatus] turns the answer to a request for robots.txt into a File that can be used
// as it is: 2xx is parsed; any other 4xx, and more than five redirects, mean that there
// are no rules; all else, 5xx, 429, and no answer among it, means that nothing may be fetched
// until the next try. Which of these it was is in the [Policy], for it decides how soon to ask again.
//
// # Guarantees
//
// Parsing never fails, reads at most [Options].MaxBytes (500 KiB, what the RFC demands),
// and drops a last line that this bound cuts in two, for half a pattern forbids more or
// permits more than was meant. Matching does no backtracking: one rule costs time linear
// in the path for each stretch between its wildcards.
//
// # Cost
//
// Parse is linear in the file. Agent sorts the rules that apply. Allowed looks rules
// without wildcard up by binary search, and tries those with one in order of length until
// none can win any more; a path that is not in canonical form is copied to the stack first.
//
// # Concurrency
//
// File and Rules never change once made; any number of goroutines may use them.
//
// Source: RFC 9309, "Robots Exclusion Protocol" (2022). Crawl-delay and Sitemap are not in
// it, but in wide use.
package robots
