package peers

// Placement. stathat, buraksezer, lafikl and go-maglev were not to be had when this table
// was made.

import (
	"fmt"
	"testing"

	"github.com/cespare/xxhash/v2"
	jump "github.com/dgryski/go-jump"
	rendezvous "github.com/dgryski/go-rendezvous"
	"github.com/golang/groupcache/consistenthash"
	"github.com/serialx/hashring"

	"github.com/ashlar-go/ashlar/ring"
)

func BenchmarkRing(b *testing.B) {
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i)
	}
	for _, n := range []int{10, 100} {
		var nodes []ring.Node
		var ids []string
		weights := map[string]int{}
		for i := range n {
			ids = append(ids, fmt.Sprint("node-", i))
			nodes = append(nodes, ring.Node{ID: ids[i]})
			weights[ids[i]] = 256
		}
		ours, err := ring.New(ring.Options{}, nodes...)
		if err != nil {
			b.Fatal(err)
		}
		group := consistenthash.New(256, nil)
		group.Add(ids...)
		serial := hashring.NewWithWeights(weights)
		rdv, ourRdv := rendezvous.New(ids, xxhash.Sum64String), ring.NewRendezvous(nodes...)
		for _, f := range []struct {
			name string
			find func(string)
		}{
			{"owner/ashlar", func(k string) { ours.Owner(k) }},
			{"owner/groupcache", func(k string) { group.Get(k) }},
			{"owner/serialx", func(k string) { serial.GetNode(k) }},
			{"owners3/ashlar", func(k string) { ours.Owners(k) }},
			{"owners3/serialx", func(k string) { serial.GetNodes(k, 3) }},
			{"rendezvous/ashlar", func(k string) { ourRdv.Pick(ring.HashString(0, k)) }},
			{"rendezvous/dgryski", func(k string) { rdv.Lookup(k) }},
			{"jump/ashlar", func(k string) { ring.Jump(xxhash.Sum64String(k), n) }},
			{"jump/dgryski", func(k string) { jump.Hash(xxhash.Sum64String(k), n) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", f.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					f.find(keys[i&1023])
				}
			})
		}
	}
}
