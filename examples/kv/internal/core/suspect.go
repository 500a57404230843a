package core

import (
	"errors"
	"iter"

	"github.com/ashlar-go/ashlar/merkle"
)

// Under load two trees nearly always differ, by the writes that are on their way from one
// owner to the other. To list the keys of a leaf takes a scan of its partition, too dear
// for that. So a difference that is small and may be such a one is only suspected at
// first: the comparison ends, and the one after Options.Settle lists keys only if a leaf
// is among them that differed already and has not changed here since.
//
//	trees differ ──▶ much, or nothing was written lately ──────────▶ list keys
//	     │                                                     ▲
//	     └─▶ suspect the leaves ─▶ Settle ─▶ one differs still ┘
//
// A leaf that is written to all the time would hide another key of its own for ever; so
// after suspectLimit comparisons keys are listed whatever was written.

const (
	fewLeaves    = 16 // that writes under way may account for
	suspectLimit = 10
)

var errUnderWay = errors.New("kv: the difference may be writes on their way")

// suspicion is what the last comparison with a peer found.
type suspicion struct {
	at    int64
	sums  map[uint32]merkle.Sum // of this node's leaves that differed
	times int                   // comparisons in a row that ended so
}

// newSession compares a partition with a peer's.
func (n *Node) newSession(part *partition, peer string) *merkle.Session {
	view, items := part.tree.View(), n.items(part)
	src := func(leaves []uint32) iter.Seq2[merkle.Item, error] {
		if n.mayBeUnderWay(part, peer, view, leaves) {
			return func(yield func(merkle.Item, error) bool) { yield(merkle.Item{}, errUnderWay) }
		}
		delete(part.suspects, peer)
		return items(leaves)
	}
	return merkle.NewSession(view, merkle.SourceFunc(src), merkle.SessionOptions{})
}

// mayBeUnderWay tells whether writes under way may be all the difference there is, and
// takes note of the leaves for the next time.
func (n *Node) mayBeUnderWay(part *partition, peer string, view *merkle.View, leaves []uint32) bool {
	if n.now.Mono-part.written >= n.o.Settle || len(leaves) > fewLeaves || n.fresh {
		return false
	}
	s := part.suspects[peer]
	if s == nil {
		s = &suspicion{}
		part.suspects[peer] = s
	} else if n.now.Mono-s.at < n.o.Settle {
		return true
	}
	for _, l := range leaves {
		if sum, ok := s.sums[l]; ok && sum == view.LeafSum(l) {
			return false
		}
	}
	if s.times++; s.times > suspectLimit {
		return false
	}
	s.at, s.sums = n.now.Mono, make(map[uint32]merkle.Sum, len(leaves))
	for _, l := range leaves {
		s.sums[l] = view.LeafSum(l)
	}
	return true
}
