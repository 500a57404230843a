package build

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ashlar-go/ashlar/trie"
)

const (
	// shrunk is how much of what should be there a generation may have lost: a log that was
	// read in part, or a corpus that was cut short, loses more.
	shrunk = 0.5
	// sampled is how many prefixes are asked both ways.
	sampled = 500
)

// verify reads a generation back from disk, as nodes will, and holds it against what it
// was made from. It says no rather than perhaps: the generation that serves can go on.
func verify(ctx context.Context, o Options, m *Manifest) error {
	whole, err := trie.Open(filepath.Join(o.Dir, Whole))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrVerify, err)
	}
	ranges := make([]trie.Source, m.Shards().Len())
	terms := 0
	for i := range ranges {
		s, err := trie.Open(filepath.Join(o.Dir, Range(i)))
		if err != nil {
			return fmt.Errorf("%w: range %d: %w", ErrVerify, i, err)
		}
		ranges[i] = s
		terms += s.Len()
	}
	if _, err := trie.Open(filepath.Join(o.Dir, Popular)); err != nil {
		return fmt.Errorf("%w: %w", ErrVerify, err)
	}
	if terms != m.Terms || whole.Len() != m.Terms {
		return fmt.Errorf("%w: %d terms in the ranges, %d in the whole, %d expected", ErrVerify, terms, whole.Len(), m.Terms)
	}
	if m.Terms == 0 {
		return fmt.Errorf("%w: it is empty", ErrVerify)
	}
	if p := o.Parent; p != nil && m.Mass < p.Mass*o.Keep*shrunk {
		return fmt.Errorf("%w: it weighs %.0f, less than half of the %.0f that are left of generation %d", ErrVerify, m.Mass, p.Mass*o.Keep, p.Generation)
	}
	step, i := max(1, m.Terms/sampled), 0
	for term := range whole.All() {
		if o.Blocked.Blocks(term) {
			return fmt.Errorf("%w: it has %q, which is blocked", ErrVerify, term)
		}
		if i++; i%step != 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := compare(term, whole, ranges, m.Shards()); err != nil {
			return err
		}
	}
	return compare("", whole, ranges, m.Shards())
}

// compare asks the whole and the ranges for the completions of some beginnings of a term.
func compare(term string, whole *trie.Snapshot, ranges []trie.Source, shards trie.Shards) error {
	const k = 10
	for n := range 4 {
		prefix := beginning(term, n)
		lo, hi := shards.Range(prefix)
		var got []trie.Completion
		for c := range trie.Union(prefix, ranges[lo:hi]...) {
			if got = append(got, c); len(got) == k {
				break
			}
		}
		if want := whole.TopK(prefix, k); !slices.Equal(want, got) {
			return fmt.Errorf("%w: %q is completed by %v in the whole and by %v in the ranges", ErrVerify, prefix, want, got)
		}
	}
	return nil
}

// beginning is the first n runes of s.
func beginning(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
