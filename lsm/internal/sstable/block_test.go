package sstable

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// TestFindInBlocks asks blocks of short keys over a small alphabet, which share beginnings
// of all lengths, for every such key at every version.
func TestFindInBlocks(t *testing.T) {
	keys := []string{""}
	for i := 0; len(keys) < 121; i++ {
		keys = append(keys, keys[i]+"\x00", keys[i]+"a", keys[i]+"b")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		type entry struct {
			k string
			t key.Trailer
		}
		var all []entry
		b := blockBuilder{interval: []int{1, 2, 5, 16, 1000}[round%5]}
		var last []byte
		head := ""
		if round%3 == 0 {
			head = "common to all of them"
		}
		for _, k := range slices.Sorted(slices.Values(keys)) {
			for seq := 5; seq > 0; seq-- {
				if rnd.IntN(1+round/3) > 0 {
					continue
				}
				k := head + k
				all = append(all, entry{k, key.Pack(uint64(seq), key.Set)})
				b.add([]byte(k), key.Pack(uint64(seq), key.Set), fmt.Append(nil, k, seq), commonLen(last, []byte(k)))
				last = []byte(k)
			}
		}
		if len(all) == 0 {
			continue
		}
		bl, detail := parseBlock(b.appendTo(nil))
		require.Empty(t, detail)
		for _, k := range keys {
			k = head + k
			for seq := range uint64(7) {
				for _, tr := range []key.Trailer{key.Pack(seq, key.Set), key.Newest(seq)} {
					want := ""
					for _, e := range all {
						if e.k == k && e.t <= tr {
							want = fmt.Sprint(k, e.t.Seq())
							break
						}
					}
					e, found, intact := bl.find([]byte(k), tr)
					if !intact || found != (want != "") || found && string(bl.data[e.value:e.end]) != want {
						t.Fatalf("%q %v: found %v, intact %v, want %q", k, tr, found, intact, want)
					}
				}
			}
		}
	}
}
