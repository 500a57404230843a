package lsmtest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

const sector = 512

// inode is one file's contents. Files only grow.
type inode struct {
	data   []byte
	synced int      // data[:synced] is durable, but for the holes
	holes  [][2]int // what a failed sync lost
	open   int
}

// change is one change of names that is not yet durable.
type change struct {
	name string
	node *inode // nil: removed
	from string // of a rename: the name that goes away with it
}

func (c change) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.node == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.node
}

// survivors is what the disk holds after a power cut. The caller holds mu.
func (f *FS) survivors(seed uint64) *FS {
	r := rand.New(rand.NewPCG(seed, 0x6c736d))
	keep := 0.0 // share of what was not synced that survives
	switch {
	case seed%2 == 0:
	case seed%8 == 1:
		keep = 1
	default:
		keep = r.Float64()
	}
	names := maps.Clone(f.durable)
	for _, c := range f.pending {
		if r.Float64() < keep {
			c.apply(names)
		}
	}
	out := New()
	nodes := map[*inode]*inode{}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		i := names[n]
		if nodes[i] == nil {
			data := i.survive(r, keep)
			nodes[i] = &inode{data: data, synced: len(data)}
		}
		out.names[n], out.durable[n] = nodes[i], nodes[i]
	}
	return out
}

// survive is what of a file is on the disk.
func (i *inode) survive(r *rand.Rand, keep float64) []byte {
	data := slices.Clone(i.data)
	end := i.synced
	for s := i.synced / sector; s*sector < len(data); s++ {
		from, to := max(s*sector, i.synced), min((s+1)*sector, len(data))
		if r.Float64() >= keep {
			clear(data[from:to])
			continue
		}
		if keep < 1 && r.IntN(8) == 0 { // torn inside of the sector
			clear(data[from+r.IntN(to-from+1) : to])
		}
		end = to
	}
	// The length is metadata: what lies behind the last sector that made it may or may
	// not be there, as zeros.
	if keep == 0 || r.IntN(2) == 0 {
		data = data[:end]
	}
	for _, h := range i.holes {
		clear(data[min(h[0], len(data)):min(h[1], len(data))])
	}
	return data
}
