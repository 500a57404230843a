// Package urlx parses URLs as browsers do, and writes the form of them that a crawler
// stores and compares.
//
//	u, err := urlx.Parse("HTTP://Bücher.example:80/a/./b/../c d?q=1#top")
//	u.String() // http://xn--bcher-kva.example/a/c%20d?q=1#top
//
//	link, err := u.Resolve(`\\cdn.example\x.js`) // what a browser makes of it
//
//	key, err = urlx.Canonical(key[:0], u, href, nil) // one URL, one spelling; appends
//
// [Parse] and [URL.Resolve] follow the URL standard of the WHATWG in full: every scheme,
// backslashes, missing slashes, tabs inside, percent-encoded and internationalized hosts,
// IPv4 in octal, file URLs with drive letters. net/url follows RFC 3986 instead, rejects
// much that pages contain, and takes some of it for another host than a browser would:
// use it for URLs that programs exchange, and this package for those that people write.
//
// # Canonical form
//
// [Canonical] is for http and https only. It resolves a reference against a base and
// applies a [Profile]; the zero Profile, or nil, drops fragment and userinfo, which do not
// reach the server or should not. It is idempotent, and does not allocate where the
// reference is canonical already or dst has room.
//
// # For a crawler
//
// [URL.HostKey] names the host that politeness is owed to; [URL.Site] the registrable
// domain, by the public suffix list; [URL.PathQuery] is what robots.txt is asked about;
// [URL.Shape] and [URL.AppendTemplate] tell what links of a trap have in common.
//
// # Guarantees and limits
//
// Parse(u.String()) gives u again. No input panics; time is linear in the input, except
// that internationalized hosts are bounded at 1 KiB (ErrHost), as their encoding is
// quadratic. Input of more than 256 MiB is refused.
//
// # Cost
//
// A URL is one string with offsets into it. Canonical input is recognized in one scan and
// kept as it is; Parse then allocates the URL itself and no more.
//
// # Concurrency
//
// A URL never changes. Any number of goroutines may use one.
//
// Sources: https://url.spec.whatwg.org; UTS #46 by golang.org/x/net/idna; publicsuffix.org
// by golang.org/x/net/publicsuffix.
package urlx
