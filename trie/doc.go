// Package trie completes what is being typed: the k terms with the highest scores among
// all that begin with a prefix, exactly, in about a microsecond and eight bytes a term.
//
//	b := trie.NewBuilder(trie.BuilderOptions{})
//	b.Add("New York", 9_000_000) // terms in any order, with how often they are searched
//	b.Add("Newcastle", 300_000)
//	s, err := b.Build(ctx)
//	…
//	for _, c := range s.TopK("new", 10) {
//		fmt.Println(c.Term, c.Score)
//	}
//
// # Which type
//
//	Snapshot   immutable; built by a Builder, written to a file, mapped by Open
//	Searcher   asks a Snapshot again and again without allocating; one goroutine
//	Index      changes: a Snapshot and what was changed since; durable if it is to be
//	Trending   an Index whose scores fade with a half-life
//	Merge      the best by a weighted sum of several of these: 70 % of all, 30 % of one's own
//	Union      one answer of several shards; SplitByWeight makes them
//	Blocklist  words that must not be suggested
//
// A service that answers from a nightly build and yet knows what happened a minute ago
// keeps an Index, feeds it with Add, and gives it each night's build by [Index.Swap].
//
// Do not use the package for a set of a few hundred terms, where a sorted slice is as
// fast; for look-ups of whole keys, for which a map is faster; or for words in the middle
// of text, which is search. (Words inside of terms are found: BuilderOptions.WordStarts.)
//
// # What is guaranteed
//
//   - Exact: the k best by score, descending, and by folded term among equals; with ties,
//     after deletes, across layers, shards and sources. No buckets, no candidates that are
//     cut off, no scores out of date.
//   - A search sees every update that returned before it began. It takes no lock and waits
//     for nothing, whatever is merged or swapped meanwhile.
//   - A damaged, cut or foreign file is a [CorruptError] when it is opened, and never a
//     wrong suggestion. No file, forged ones included, makes a search panic or run on.
//   - An Index with a folder loses no update that returned: with Synced not to a loss of
//     power, with Written not to the end of the process. Nobody else can open the folder
//     meanwhile.
//   - Whatever term or prefix comes in, of any length and any bytes, is an error or has no
//     completions; nothing panics.
//
// # Text
//
// Terms are UTF-8 and are compared as folded: NFKC and case by default, so that case, width
// and composition do not matter, and accents do. They are shown as they were added, in the
// form that had the highest score. Edits of a fuzzy search are counted in runes. A term
// may hold any rune, NUL included; it may not be empty.
//
// # Costs
//
//	TopK       O(length of the prefix + k · depth); a prefix with at least HeadMin terms
//	           costs two or three cache misses, whatever its number of terms
//	Score      O(length)
//	memory     7 to 8 bytes a term for phrases, scores and answers included, more for
//	           short lists of long names; no pointer for the garbage collector to follow
//	Build      about a microsecond and a half a term on one core; memory 16 bytes and the
//	           term, up to MaxMemory, then disk
//	Index.Add  about a microsecond; a merge writes the whole base anew, in the background,
//	           on one core
//	fuzzy      a tenth of a millisecond or two for one edit, up to a few milliseconds for
//	           two; a third of that where the first rune must be right
//
// All that is not an Index or a Builder may be used by any number of goroutines at once, a
// Searcher by one; an Index by any number. The package starts goroutines in an Index only,
// for merges, and Close waits for them.
//
// # How
//
// The essays at the head of node.go (the arena), heads.go (answers for short prefixes),
// symbols.go (labels), edits.go (the automaton), delta.go and compact.go (the live index),
// log.go (its folder), trending.go and merge.go say how it works and where it comes from:
// Hsu and Ottaviano, "Space-Efficient Data Structures for Top-k Completion" (2013); Boncz,
// Neumann, Leis, "FSST" (2020); Schulz and Mihov, "Fast String Correction with
// Levenshtein Automata" (2002); Cormode and others, "Forward Decay" (2009); Fagin, Lotem,
// Naor, "Optimal Aggregation Algorithms for Middleware" (2001).
package trie
