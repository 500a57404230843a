// Package neardup finds texts that differ in little: a page with another date, the print
// version, a mirror, the thousandth page of a trap.
//
//	var h neardup.Hasher
//	io.Copy(&h, text)
//	if m, found := index.AddNew(h.Sum64(), pageID); found {
//		// says nothing new: page m.ID has the same text but for a few words
//	}
//
// A [Hasher] makes a SimHash of a text: 64 bits of which few change when little of the
// text does. [Distance] counts those that differ. An [Index] finds, among millions, all
// hashes at a distance of at most three.
//
// # When to use it, and when not
//
// Three bits are what a page of a thousand words loses to one changed word, nine times in
// ten, and pages so close share four fifths of their pairs of words and more (see
// TestQuality). Texts of a few dozen words change more with every word, and are better
// compared exactly. Two texts of the same words in another order are far apart, for what
// is hashed are pairs of neighbouring words.
//
// # Guarantees
//
// The hash of a text depends on its words only, not on case (of ASCII letters), spaces,
// punctuation, or the pieces in which it was written; it is the same on every platform and
// will not change, so it may be stored. Near finds every hash within its distance, no more
// and no less. It is not keyed: who knows the function can write a text with a given hash.
//
// # Cost
//
// Hashing is linear, without allocation; a Hasher has 9 KiB. An index takes 32 bytes a page,
// its id included, an eighth of that in slack, and 6 MiB for its tables, which it makes when
// it has more than two thousand pages. Near looks at one page in 16,384 (4 buckets of
// 65,536), so at 600 of ten million.
//
// # Concurrency
//
// A Hasher belongs to one goroutine. Look-ups in an Index may run beside look-ups; a write
// needs it for itself.
//
// Sources: Charikar, "Similarity Estimation Techniques from Rounding Algorithms" (2002);
// Manku, Jain, Das Sarma, "Detecting Near-Duplicates for Web Crawling" (2007).
package neardup
