// Package trie finds the best completions of a prefix: the k terms with the highest
// scores among all that begin with it, exactly, in about a microsecond.
package trie
