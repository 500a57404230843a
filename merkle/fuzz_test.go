package merkle

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSession edits one frame of an exchange, with a right checksum.
func FuzzSession(f *testing.F) {
	for which := range uint8(9) {
		f.Add(which, []byte{0, 0, 1, 5, 0, 0xfe})
	}
	f.Add(uint8(200), []byte{3, 0, 0xff, 4, 0, 0xff})
	f.Fuzz(func(t *testing.T, which uint8, mutation []byte) {
		mutatedExchange(t, which, mutation)
	})
}

// FuzzStep hands arbitrary bodies to every state of an exchange.
func FuzzStep(f *testing.F) {
	for n := range 6 {
		_, frame := replay(f, n)
		f.Add(uint8(n), frame[1], frame[headerLen:len(frame)-sumLen])
	}
	f.Fuzz(func(t *testing.T, n, k uint8, body []byte) {
		to, _ := replay(t, int(n%6))
		out, err := to.Step(seal(append(begin(kind(k), to.seq, len(body)), body...)))
		if err != nil {
			requireBadFrame(t, err)
			require.Nil(t, out)
		}
		raw, _ := replay(t, int(n%6))
		_, err = raw.Step(body)
		if err != nil {
			requireBadFrame(t, err)
		}
	})
}

// FuzzVerify gives arbitrary numbers and nodes to both verifiers: they refuse, they do not panic.
func FuzzVerify(f *testing.F) {
	tree := Build(numbered(21))
	p, _ := tree.Inclusion(nil, 5)
	q, _ := tree.Consistency(nil, 13)
	for _, proof := range [][]Node{p, q, nil} {
		var flat []byte
		for _, n := range proof {
			flat = append(flat, n[:]...)
		}
		f.Add(uint64(21), uint64(5), flat)
		f.Add(uint64(21), uint64(13), flat)
		f.Add(uint64(1<<64-1), uint64(1<<63), flat)
	}
	f.Fuzz(func(t *testing.T, size, index uint64, flat []byte) {
		var proof []Node
		for ; len(flat) >= len(Node{}); flat = flat[len(Node{}):] {
			proof = append(proof, Node(flat))
		}
		root := Node{1, 2, 3} // nobody has found what hashes to this
		require.Error(t, VerifyInclusion(root, size, index, Node{}, proof))
		require.Error(t, VerifyConsistency(root, EmptyRoot(), index, size, proof))

		// Of a real tree, nothing but the real proof of a place is accepted.
		if size == 21 && index < 21 {
			sound, err := tree.Inclusion(nil, index)
			require.NoError(t, err)
			leaf := LeafHash(fmt.Append(nil, "leaf ", index))
			err = VerifyInclusion(tree.Root(), size, index, leaf, proof)
			require.Equal(t, slices.Equal(sound, proof), err == nil)
		}
	})
}
