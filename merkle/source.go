package merkle

import (
	"fmt"
	"iter"
	"slices"
)

// Item is one key of a set at its version. Version 0 means absent.
type Item struct {
	Key     []byte
	Version uint64
}

// Source is the store behind a tree.
type Source interface {
	// Items yields every item of the given leaves, which come in rising order and must not be
	// changed, in any order
	// of its own, each key once; an item of another leaf is ignored, so a store may filter by
	// [Sync.Leaf] or simply yield all that it has. An error ends the scan and the exchange.
	// The key is copied before the iterator is resumed. A session scans at most once.
	Items(leaves []uint32) iter.Seq2[Item, error]
}

// SourceFunc makes a [Source] of a function.
type SourceFunc func(leaves []uint32) iter.Seq2[Item, error]

// Items calls f.
func (f SourceFunc) Items(leaves []uint32) iter.Seq2[Item, error] { return f(leaves) }

// Drift is a leaf whose sum in the tree is not that of the stored items.
type Drift struct {
	Leaf         uint32
	Tree, Stored Sum
}

// SelfCheck recomputes the sums of the given leaves (of all, if none is given) from src, which
// it scans once, and returns those that differ, in rising order. It is exact if src shows the
// store as it was when the view was taken: take both in the critical section that writers
// hold. It allocates 24 bytes a leaf.
func (v *View) SelfCheck(src Source, leaves ...uint32) ([]Drift, error) {
	if src == nil {
		return nil, fmt.Errorf("%w: no source", ErrSession)
	}
	if len(leaves) == 0 {
		leaves = make([]uint32, v.geo.leaves())
		for i := range leaves {
			leaves[i] = uint32(i)
		}
	}
	leaves = slices.Compact(slices.Sorted(slices.Values(leaves)))
	if int64(leaves[len(leaves)-1]) >= int64(v.geo.leaves()) {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrRange, leaves[len(leaves)-1], v.geo.leaves())
	}
	sums := make([]Sum, len(leaves))
	for it, err := range src.Items(slices.Clone(leaves)) {
		if err != nil {
			return nil, fmt.Errorf("merkle: scan for the self-check: %w", err)
		}
		h := v.geo.hash(it.Key)
		if i, ok := slices.BinarySearch(leaves, v.geo.leafOf(h)); ok {
			sums[i] = sums[i].Plus(v.geo.item(h, it.Version))
		}
	}
	var out []Drift
	for i, leaf := range leaves {
		if have := v.LeafSum(leaf); have != sums[i] {
			out = append(out, Drift{Leaf: leaf, Tree: have, Stored: sums[i]})
		}
	}
	return out, nil
}

// SelfCheck is [View.SelfCheck] on a tree in use: leaves that changed during the scan are left
// out, for they prove nothing. If a writer changes store and tree one after the other, a leaf
// between the two looks like a drift; check such a leaf again before believing it.
func (t *Sync) SelfCheck(src Source, leaves ...uint32) ([]Drift, error) {
	before := t.View()
	drifts, err := before.SelfCheck(src, leaves...)
	if len(drifts) == 0 {
		return nil, err
	}
	after := t.View()
	return slices.DeleteFunc(drifts, func(d Drift) bool { return after.LeafSum(d.Leaf) != d.Tree }), nil
}

// Correct adds to the tree what a self-check found missing. Updates made since the check are
// kept, since addition does not care for order. Drifts of leaves beyond the tree are ignored.
func (t *Sync) Correct(drifts ...Drift) {
	for _, d := range drifts {
		if int64(d.Leaf) < int64(t.geo.leaves()) {
			t.add(d.Leaf, d.Stored.Minus(d.Tree))
		}
	}
}
