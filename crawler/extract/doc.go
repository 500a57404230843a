// Package extract reads from a page of HTML what a crawler wants of it, in one pass: links,
// title, canonical address, orders to robots, translations, and the text.
//
//	base, _ := urlx.Parse(finalURL) // after redirects
//	var sum neardup.Hasher
//	page, err := extract.Parse(body, base, extract.Options{ContentType: ctype, Text: &sum})
//	for _, l := range page.Links {
//		if !page.Robots.NoFollow && !l.NoFollow {
//			queue(l.URL) // absolute, in canonical form, each once
//		}
//	}
//
// # No tree
//
// A page is read token by token and never made a tree. Building one repairs what is broken
// and moves what is misplaced, at a cost that has been quadratic, cubic and endless for
// pages made for the purpose; and links need no repair. What a tree would tell and this
// package does not: which of two elements contains the other, beyond the few cases that
// count (a title, a script, a template).
//
// Comments, scripts and styles are not searched for links; neither is a template, for what
// is in it is not there. What stands in noscript is.
//
// # Guarantees
//
// Time is linear in the page, memory bounded by [Options]: the longest token, the number
// of links, the bytes read. Parse returns what it has found even if it returns an error.
// The encoding is found as browsers do (byte order mark, header, meta), with one difference:
// what nobody has declared and is valid UTF-8 is UTF-8.
//
// # Concurrency
//
// Parse keeps no state. Any number may run at the same time, with a Text of their own.
//
// Sources: https://html.spec.whatwg.org, sections 4.2, 4.8.4 and 13.2.3; tokens by
// golang.org/x/net/html, encodings by golang.org/x/net/html/charset.
package extract
