// Package fetch gets one page at a time from servers that nobody vouches for: every size,
// every time and every address has a bound, and every way to fail has a name.
//
//	c, err := fetch.New(fetch.Options{UserAgent: "examplebot/1.0 (+https://example.org/bot)"})
//	defer c.Close()
//	resp, err := c.Fetch(ctx, fetch.Request{URL: u, ETag: known.ETag})
//	switch {
//	case errors.Is(err, fetch.ErrTooLarge): // resp.Body has what fits
//	case err != nil: // a *fetch.Error: what failed, when, and whether trying again may help
//	case resp.NotModified():
//	}
//
// # When to use it, and when not
//
// It is for crawlers, previews and webhooks: whatever takes addresses from strangers. It
// speaks HTTP/1.1 and no other, sends GET and no other, keeps no cookies and uses no proxy,
// for a crawler wants to know what goes over the wire and to whom. For an API that one
// trusts, net/http has all that.
//
// # Redirects
//
// One Fetch is one request, unless [Request].Follow says otherwise: a redirect then comes
// back as the response, with its target parsed. Politeness is owed to every host, so whoever
// keeps an account of them has to decide on each hop. Follow is asked before each, may wait,
// and may refuse; loops, chains that are too long, and targets that are no web address are
// errors.
//
// # Addresses
//
// A name is resolved, the addresses that are not public are taken out, and the connection is
// made to what is left, by number: a name that points elsewhere a moment later changes nothing.
// Not public are private, loopback, link-local, shared, multicast, documentation and reserved
// ranges, addresses of IPv4 wrapped in IPv6 (mapped, 6to4, Teredo, NAT64 of such), and what
// clouds use for metadata. See [Public]. [Options].Permit makes exceptions. Ports that belong to other
// protocols are refused, as browsers do.
//
// # Guarantees
//
// Time: a hop takes at most Timeouts.Connect to connect, FirstByte for the header, MinRate bytes
// a second after Grace for the body, and Total for all of it; time in Follow does not count.
// Memory: one Fetch holds at most MaxHeader, MaxBody and a few buffers of fixed size, whatever is sent and however
// it is compressed. A compressed body that grows beyond MaxRatio stops, as does
// anything after it. No input panics; nothing is logged; no request is sent twice.
//
// That last point means that a kept connection which the server has closed in the very
// moment of its use is an error, [ErrStale]: the server may have seen the request, and a second one would
// come too soon. Connections that have rested are tried before use, so that this is rare.
//
// # Cost
//
// A Fetch on a kept connection starts no goroutine and costs what [http.ReadResponse] does and the body. A
// connection has a buffer of 8 KiB. Decoders are pooled.
//
// # Concurrency
//
// A Client may be used by any number of goroutines; how many ask one host at the same time is
// for the caller to bound. Close ends what runs and waits for it.
//
// Sources: RFC 9110 and 9112 (HTTP), 6890 and the registries that it founded (special
// addresses), https://fetch.spec.whatwg.org (ports).
package fetch
