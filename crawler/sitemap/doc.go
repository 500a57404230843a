// Package sitemap reads the lists of pages that sites publish, as a stream and within
// bounds.
//
//	for e, err := range sitemap.Parse(body, sitemap.Options{}) {
//		if err != nil {
//			break // what came before it is good
//		}
//		queue(e.Loc, e.LastMod)
//	}
//
// It reads XML sitemaps and sitemap indexes, RSS and Atom feeds, and plain lists, in UTF-8
// or UTF-16, gzipped or not; which it is it sees by the content, as names and headers lie.
// [Walk] follows indexes.
//
// # Guarantees
//
// The XML is read by a tokenizer of our own that keeps no tree and no stack, knows no
// entities but the five of XML and numbers, and never fetches anything: depth, bombs and
// external entities have nothing to work on. It forgives what sites get wrong, a bare
// ampersand or a missing end tag.
//
// Nothing that a file contains makes it take more memory than two buffers and one entry,
// or read beyond its bounds: [Options] for bytes after decompression, entries, length of
// an address, and the ratio of a gzip stream. Each bound has its error. Addresses are given
// as they stand; whether they are on the right host is for the caller, who knows which.
//
// # Cost
//
// One pass, about the same for all kinds; an entry allocates its address.
//
// # Concurrency
//
// A sequence is read by one goroutine, once.
//
// Sources: sitemaps.org/protocol; RSS 2.0; RFC 4287.
package sitemap
