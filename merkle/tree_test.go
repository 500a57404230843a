package merkle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// The definitions of RFC 6962, section 2.1, word for word and as slow.

func naiveHash(prefix byte, parts ...[]byte) Node {
	h := sha256.New()
	h.Write([]byte{prefix})
	for _, p := range parts {
		h.Write(p)
	}
	return Node(h.Sum(nil))
}

func naiveSplit(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func naiveRoot(leaves []Node) Node {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := naiveSplit(n)
		l, r := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
		return naiveHash(1, l[:], r[:])
	}
}

func naivePath(m int, leaves []Node) []Node {
	n := len(leaves)
	if n == 1 {
		return nil
	}
	k := naiveSplit(n)
	if m < k {
		return append(naivePath(m, leaves[:k]), naiveRoot(leaves[k:]))
	}
	return append(naivePath(m-k, leaves[k:]), naiveRoot(leaves[:k]))
}

func naiveSubproof(m int, leaves []Node, whole bool) []Node {
	n := len(leaves)
	if m == n {
		if whole {
			return nil
		}
		return []Node{naiveRoot(leaves)}
	}
	k := naiveSplit(n)
	if m <= k {
		return append(naiveSubproof(m, leaves[:k], whole), naiveRoot(leaves[k:]))
	}
	return append(naiveSubproof(m-k, leaves[k:], false), naiveRoot(leaves[:k]))
}

func numbered(n int) []Node {
	leaves := make([]Node, n)
	for i := range leaves {
		leaves[i] = LeafHash(fmt.Append(nil, "leaf ", i))
	}
	return leaves
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The inputs and roots that the certificate-transparency implementations have published as
// the reference for RFC 6962, for trees of 0 to 8 leaves.
var (
	referenceLeaves = []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	referenceRoots = []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
)

func TestReferenceVectors(t *testing.T) {
	var tree Tree
	for n, want := range referenceRoots {
		root := tree.Root()
		require.Equal(t, want, hex.EncodeToString(root[:]), "%d leaves", n)
		if n < len(referenceLeaves) {
			tree.Append(LeafHash(unhex(t, referenceLeaves[n])))
		}
	}
	// Published proofs of the tree of 8 leaves, and of its beginnings.
	proof, err := tree.Inclusion(nil, 0)
	require.NoError(t, err)
	require.Equal(t, []string{
		"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
		"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
		"6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
	}, hexes(proof))
	proof, err = tree.Consistency(nil, 6)
	require.NoError(t, err)
	require.Equal(t, []string{
		"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
		"ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	}, hexes(proof))
}

func hexes(nodes []Node) (out []string) {
	for _, n := range nodes {
		out = append(out, hex.EncodeToString(n[:]))
	}
	return out
}

// TestTreeAgainstDefinition compares every root and every proof of every size up to 256.
func TestTreeAgainstDefinition(t *testing.T) {
	most := 256
	if testing.Short() || raceEnabled {
		most = 70
	}
	all := numbered(most)
	whole := Build(all)
	var grown Tree
	for n := 0; n <= most; n++ {
		root := naiveRoot(all[:n])
		require.Equal(t, root, grown.Root())
		at, err := whole.RootAt(uint64(n))
		require.NoError(t, err)
		require.Equal(t, root, at)
		require.Equal(t, uint64(n), grown.Size())
		built := Build(all[:n])
		require.Equal(t, grown.nodes, append([]Node(nil), built.nodes...))
		require.Len(t, built.nodes, cap(built.nodes), "room for all, and no more")
		var proof []Node
		for i := range n {
			proof, err = grown.Inclusion(proof[:0], uint64(i))
			if err != nil || !slices.Equal(naivePath(i, all[:n]), proof) {
				t.Fatalf("inclusion of %d in %d: %v", i, n, err)
			}
			if err := VerifyInclusion(root, uint64(n), uint64(i), all[i], proof); err != nil {
				t.Fatalf("inclusion of %d in %d: %v", i, n, err)
			}
		}
		for m := 0; m <= n; m++ {
			proof, err = grown.Consistency(proof[:0], uint64(m))
			if err != nil || (m > 0 && !slices.Equal(naiveSubproof(m, all[:n], true), proof)) {
				t.Fatalf("consistency of %d with %d: %v", m, n, err)
			}
			older, _ := grown.RootAt(uint64(m))
			if err := VerifyConsistency(older, root, uint64(m), uint64(n), proof); err != nil {
				t.Fatalf("consistency of %d with %d: %v", m, n, err)
			}
		}
		if n < most {
			grown.Append(all[n])
		}
	}
}

// TestForgedProofs alters each part of sound proofs: every alteration is refused.
func TestForgedProofs(t *testing.T) {
	const n = 21
	leaves := numbered(n)
	tree := Build(leaves)
	root := tree.Root()
	other := LeafHash([]byte("other"))
	refused := func(err error, what string, args ...any) {
		t.Helper()
		require.Error(t, err, fmt.Sprintf(what, args...))
	}
	// alterations of a list of nodes
	altered := func(p []Node) (out [][]Node) {
		out = append(out, append(slices.Clone(p), other), append([]Node{other}, p...), append(slices.Clone(p), root))
		for i := range p {
			changed := slices.Clone(p)
			changed[i][31] ^= 1
			out = append(out, changed, slices.Delete(slices.Clone(p), i, i+1), slices.Insert(slices.Clone(p), i, p[i]))
		}
		return out
	}
	for i := range uint64(n) {
		p, err := tree.Inclusion(nil, i)
		require.NoError(t, err)
		for size := range uint64(2 * n) {
			for index := range uint64(2 * n) {
				sound := VerifyInclusion(root, size, index, leaves[i], p) == nil
				// The root does not commit to the size, and the way up looks the same from some
				// places in trees of other sizes: exactly there is the proof as good.
				require.Equal(t, slices.Equal(turns(n, i), turns(size, index)) && index < size, sound, "leaf %d as %d of %d", i, index, size)
			}
		}
		refused(VerifyInclusion(root, n, i, other, p), "another leaf")
		refused(VerifyInclusion(other, n, i, leaves[i], p), "another root")
		for _, q := range altered(p) {
			refused(VerifyInclusion(root, n, i, leaves[i], q), "leaf %d", i)
		}
	}
	for m := uint64(1); m < n; m++ {
		p, err := tree.Consistency(nil, m)
		require.NoError(t, err)
		old, err := tree.RootAt(m)
		require.NoError(t, err)
		refused(VerifyConsistency(other, root, m, n, p), "another old root")
		refused(VerifyConsistency(old, other, m, n, p), "another new root")
		refused(VerifyConsistency(root, old, n, m, p), "backwards")
		for _, q := range altered(p) {
			refused(VerifyConsistency(old, root, m, n, q), "size %d", m)
		}
	}
	refused(VerifyConsistency(other, root, 0, n, nil), "the empty tree has one root")
	refused(VerifyConsistency(EmptyRoot(), root, 0, n, []Node{other}), "too long")
	refused(VerifyConsistency(other, root, n, n, nil), "equal sizes")
	refused(VerifyConsistency(root, root, n, n, []Node{other}), "too long")
	refused(VerifyConsistency(root, root, 3, n, nil), "too short")
}

// turns is the way from the root of a tree to leaf i: left or right at each node.
func turns(size, i uint64) (left []bool) {
	for lo, hi := uint64(0), size; hi-lo > 1; {
		mid := lo + split(hi-lo)
		if left = append(left, i < mid); i < mid {
			hi = mid
		} else {
			lo = mid
		}
	}
	return left
}

// TestSecondPreimage offers the inside of a tree as if it were leaves.
func TestSecondPreimage(t *testing.T) {
	leaves := numbered(4)
	root := Build(leaves).Root()
	left, right := pair(leaves[0], leaves[1]), pair(leaves[2], leaves[3])
	inside := append(slices.Clone(left[:]), right[:]...)
	require.NotEqual(t, root, LeafHash(inside), "a root is not the leaf that holds its children")
	require.NotEqual(t, root, Build([]Node{LeafHash(left[:]), LeafHash(right[:])}).Root())
	require.ErrorIs(t, VerifyInclusion(root, 1, 0, LeafHash(inside), nil), ErrProof)
	inner := append(slices.Clone(leaves[0][:]), leaves[1][:]...)
	require.ErrorIs(t, VerifyInclusion(root, 2, 0, LeafHash(inner), []Node{right}), ErrProof)
}

// TestOddLeafIsNotDuplicated offers a list whose last element is repeated.
func TestOddLeafIsNotDuplicated(t *testing.T) {
	for n := 1; n < 40; n++ {
		leaves := numbered(n)
		root := Build(leaves).Root()
		for tail := 1; tail <= n; tail++ {
			longer := append(slices.Clone(leaves), leaves[n-tail:]...)
			require.NotEqual(t, root, Build(longer).Root(), "%d leaves and the last %d again", n, tail)
		}
	}
}

func TestTreeRange(t *testing.T) {
	var empty Tree
	require.Equal(t, EmptyRoot(), empty.Root())
	require.Equal(t, EmptyRoot(), Build(nil).Root())
	dst := []Node{{1}}
	for _, size := range []int{0, 1, 5} {
		tree := Build(numbered(size))
		for _, beyond := range []uint64{uint64(size) + 1, 1 << 40, 1<<64 - 1} {
			got, err := tree.Inclusion(dst, beyond-1)
			require.ErrorIs(t, err, ErrRange)
			require.Equal(t, dst, got)
			_, err = tree.Consistency(nil, beyond)
			require.ErrorIs(t, err, ErrRange)
			_, err = tree.RootAt(beyond)
			require.ErrorIs(t, err, ErrRange)
			require.ErrorIs(t, VerifyInclusion(Node{}, uint64(size), beyond-1, Node{}, nil), ErrRange)
			require.ErrorIs(t, VerifyConsistency(Node{}, Node{}, beyond, uint64(size), nil), ErrRange)
		}
	}
	// The greatest sizes there are: long and short proofs, none of them sound.
	const top = 1<<64 - 1
	for n := range 70 {
		p := make([]Node, n)
		require.ErrorIs(t, VerifyInclusion(Node{}, top, top-1, Node{}, p), ErrProof)
		require.ErrorIs(t, VerifyInclusion(Node{}, top, 0, Node{}, p), ErrProof)
		require.ErrorIs(t, VerifyConsistency(Node{1}, Node{}, top-1, top, p), ErrProof)
		require.ErrorIs(t, VerifyConsistency(Node{1}, Node{}, 1, top, p), ErrProof)
	}
	require.Equal(t, dst[:1], func() []Node { p, _ := Build(numbered(5)).Inclusion(dst, 1); return p }()[:1], "appended")
}

func TestLeafHash(t *testing.T) {
	for _, n := range []int{0, 1, 63, 254, 255, 256, 257, 10_000} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i)
		}
		require.Equal(t, naiveHash(0, data), LeafHash(data))
	}
}

func TestProofAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	leaves := numbered(1000)
	tree := Build(leaves)
	root := tree.Root()
	proof, data := make([]Node, 0, 64), make([]byte, 200)
	require.Zero(t, testing.AllocsPerRun(50, func() { LeafHash(data) }), "leaf hash")
	require.Zero(t, testing.AllocsPerRun(50, func() { tree.Root() }), "root")
	require.Zero(t, testing.AllocsPerRun(50, func() { proof, _ = tree.Inclusion(proof[:0], 777) }), "inclusion")
	require.Zero(t, testing.AllocsPerRun(50, func() { _ = VerifyInclusion(root, 1000, 777, leaves[777], proof) }), "verify")
	require.Zero(t, testing.AllocsPerRun(50, func() { proof, _ = tree.Consistency(proof[:0], 777) }), "consistency")
	older, _ := tree.RootAt(777)
	require.NoError(t, VerifyConsistency(older, root, 777, 1000, proof))
	require.Zero(t, testing.AllocsPerRun(50, func() { _ = VerifyConsistency(older, root, 777, 1000, proof) }), "verify")
}
