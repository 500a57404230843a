package peers

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	tdtree "github.com/transparency-dev/merkle/testonly"

	"github.com/ashlar-go/ashlar/merkle"
)

// The proof tree beside that of transparency-dev/merkle v0.0.2, the library under Go's certificate
// transparency logs. Its verification, proof arithmetic and leaf hashing are what logs run; the tree in
// memory is the one it ships for tests, since a log keeps its nodes in a database.
//
// Left out: cbergoon/merkletree and txaty/go-merkletree, which were not to be had when
// this table was made. Both rebuild the whole tree for a change and give no consistency proofs. For merkle.Sync there
// is no Go library to be had that follows changes and compares over a wire.

const merkleLeaves = 100_000

func merkleData(i int) []byte {
	return binary.BigEndian.AppendUint64(bytes.Repeat([]byte{'x'}, 56), uint64(i))
}

func merkleFill(n int) (*merkle.Tree, *tdtree.Tree) {
	leaves, theirs := make([]merkle.Node, n), tdtree.New(rfc6962.DefaultHasher)
	for i := range leaves {
		leaves[i] = merkle.LeafHash(merkleData(i))
		theirs.AppendData(merkleData(i))
	}
	return merkle.Build(leaves), theirs
}

func merkleEqual(ours []merkle.Node, theirs [][]byte) bool {
	return slices.EqualFunc(ours, theirs, func(a merkle.Node, b []byte) bool { return bytes.Equal(a[:], b) })
}

// TestMerkleAgrees compares roots of all sizes up to 1,024, and all their proofs up to 128 and some beyond.
func TestMerkleAgrees(t *testing.T) {
	const most = 1024
	theirs, ours := tdtree.New(rfc6962.DefaultHasher), &merkle.Tree{}
	for n := 0; n <= most; n++ {
		if root := ours.Root(); !bytes.Equal(root[:], theirs.Hash()) {
			t.Fatalf("root of %d", n)
		}
		step := 1
		if n > 128 {
			step = 37
		}
		for i := 0; i < n; i += step {
			p, err := ours.Inclusion(nil, uint64(i))
			q, err2 := theirs.InclusionProof(uint64(i), uint64(n))
			if err != nil || err2 != nil || !merkleEqual(p, q) {
				t.Fatalf("inclusion of %d in %d: %v %v", i, n, err, err2)
			}
			if err := merkle.VerifyInclusion(ours.Root(), uint64(n), uint64(i), merkle.LeafHash(merkleData(i)), p); err != nil {
				t.Fatal(err)
			}
			p, err = ours.Consistency(nil, uint64(i))
			q, err2 = theirs.ConsistencyProof(uint64(i), uint64(n))
			if err != nil || err2 != nil || !merkleEqual(p, q) {
				t.Fatalf("consistency of %d with %d: %v %v", i, n, err, err2)
			}
		}
		ours.Append(merkle.LeafHash(merkleData(n)))
		theirs.AppendData(merkleData(n))
	}
}

func BenchmarkMerkleLeafHash(b *testing.B) {
	data := merkleData(1)
	b.Run("ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			merkle.LeafHash(data)
		}
	})
	b.Run("transparency-dev", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rfc6962.DefaultHasher.HashLeaf(data)
		}
	})
}

// BenchmarkMerkleBuild hashes 100,000 leaves and builds the tree over them.
func BenchmarkMerkleBuild(b *testing.B) {
	data := make([][]byte, merkleLeaves)
	for i := range data {
		data[i] = merkleData(i)
	}
	b.Run("ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			leaves := make([]merkle.Node, len(data))
			for i, d := range data {
				leaves[i] = merkle.LeafHash(d)
			}
			merkle.Build(leaves).Root()
		}
	})
	b.Run("transparency-dev", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t := tdtree.New(rfc6962.DefaultHasher)
			t.AppendData(data...)
			t.Hash()
		}
	})
}

func BenchmarkMerkleInclusion(b *testing.B) {
	ours, theirs := merkleFill(merkleLeaves)
	b.Run("ashlar", func(b *testing.B) {
		p := make([]merkle.Node, 0, 64)
		i := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			p, _ = ours.Inclusion(p[:0], i%merkleLeaves)
			i += 7919
		}
	})
	b.Run("transparency-dev", func(b *testing.B) {
		i := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := theirs.InclusionProof(i%merkleLeaves, merkleLeaves); err != nil {
				b.Fatal(err)
			}
			i += 7919
		}
	})
}

func BenchmarkMerkleConsistency(b *testing.B) {
	ours, theirs := merkleFill(merkleLeaves)
	b.Run("ashlar", func(b *testing.B) {
		p := make([]merkle.Node, 0, 64)
		i := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			p, _ = ours.Consistency(p[:0], i%merkleLeaves)
			i += 7919
		}
	})
	b.Run("transparency-dev", func(b *testing.B) {
		i := uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := theirs.ConsistencyProof(i%merkleLeaves, merkleLeaves); err != nil {
				b.Fatal(err)
			}
			i += 7919
		}
	})
}

func BenchmarkMerkleVerifyInclusion(b *testing.B) {
	const at = 77_777
	ours, theirs := merkleFill(merkleLeaves)
	b.Run("ashlar", func(b *testing.B) {
		p, _ := ours.Inclusion(nil, at)
		root, leaf := ours.Root(), merkle.LeafHash(merkleData(at))
		b.ReportAllocs()
		for b.Loop() {
			if err := merkle.VerifyInclusion(root, merkleLeaves, at, leaf, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("transparency-dev", func(b *testing.B) {
		p, _ := theirs.InclusionProof(at, merkleLeaves)
		root, leaf := theirs.Hash(), theirs.LeafHash(at)
		b.ReportAllocs()
		for b.Loop() {
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, at, merkleLeaves, leaf, p, root); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMerkleVerifyConsistency(b *testing.B) {
	const from = 77_777
	ours, theirs := merkleFill(merkleLeaves)
	b.Run("ashlar", func(b *testing.B) {
		p, _ := ours.Consistency(nil, from)
		older, _ := ours.RootAt(from)
		root := ours.Root()
		b.ReportAllocs()
		for b.Loop() {
			if err := merkle.VerifyConsistency(older, root, from, merkleLeaves, p); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("transparency-dev", func(b *testing.B) {
		p, _ := theirs.ConsistencyProof(from, merkleLeaves)
		older, root := theirs.HashAt(from), theirs.Hash()
		b.ReportAllocs()
		for b.Loop() {
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, from, merkleLeaves, p, older, root); err != nil {
				b.Fatal(err)
			}
		}
	})
}
