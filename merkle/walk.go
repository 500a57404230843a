package merkle

import (
	"encoding/binary"
	"fmt"
)

// The way down. Both sides hold the list of nodes of one level that are known to differ, open,
// in rising order, and settle it in batches from the left:
//
//	open   [ 3  7  9  12  20  31  44 ]      of level
//	         settled   batch     rest
//	next   [ 48 51  119  146 ]              their children that differ: level+1
//
// The side that speaks sends the folds of the children of a batch. The other compares them
// with its own, answers with a verdict of one bit a child, appends the children that differ to
// next, and goes on with a batch of its own choice; the first does the same on reading the
// verdict. When open is settled, next takes its place.
//
// Folds are 64 bits wide. If they collide, a node that differs may show no child that does;
// then all its children are opened, so that one collision costs bytes and not a difference.
type walk struct {
	level   int
	open    []uint32
	next    []uint32
	settled int
	batch   int // nodes whose folds are on the way
}

// begin opens the root.
func (w *walk) begin() { *w = walk{open: []uint32{0}} }

// settle records that the given children of open[settled] differ.
func (w *walk) settle(fanout int, differs func(child int) bool) {
	base := w.open[w.settled] * uint32(fanout)
	for c := range fanout {
		if differs(c) {
			w.next = append(w.next, base+uint32(c))
		}
	}
	w.settled++
}

// descend goes to the next level if this one is settled, or if it holds more nodes than there
// may be differences, each node having at least one below it. It reports whether nodes were
// left out for that reason.
func (w *walk) descend(limit int) (more bool) {
	if w.settled < len(w.open) && len(w.next) < limit {
		return false
	}
	more = w.settled < len(w.open) || len(w.next) > limit
	*w = walk{level: w.level + 1, open: w.next[:min(limit, len(w.next))]}
	return more
}

// onVerdict reads the verdict on the folds that we sent, and what follows it.
func (s *Session) onVerdict(k kind, r *reader) ([]byte, error) {
	w, fan := &s.walk, s.view.geo.Fanout
	verdict := r.take((w.batch*fan + 7) / 8)
	if r.err != nil {
		return nil, r.err
	}
	for n := range w.batch {
		before := len(w.next)
		w.settle(fan, func(c int) bool { i := n*fan + c; return verdict[i/8]>>(i%8)&1 == 1 })
		if len(w.next) == before {
			return nil, fmt.Errorf("%w: a node differs, and none of its children", ErrFrame)
		}
	}
	if pad := w.batch * fan % 8; pad != 0 && verdict[len(verdict)-1]>>pad != 0 {
		return nil, fmt.Errorf("%w: verdict on nodes that were not asked for", ErrFrame)
	}
	s.descend()
	leaves := w.level == s.view.geo.Levels
	switch {
	case k == kindSums && !leaves:
		return s.onSums(r)
	case k == kindItems && leaves:
		return s.onRun(r)
	}
	return nil, fmt.Errorf("%w: kind %d out of turn", ErrFrame, k)
}

// descend moves the walk and counts.
func (s *Session) descend() {
	if s.walk.descend(s.opts.MaxDiffs) {
		s.stats.More = true
	}
}

// onSums compares the folds of a batch and answers with a verdict and what comes next.
func (s *Session) onSums(r *reader) ([]byte, error) {
	g, w := s.view.geo, &s.walk
	count := r.uvarint()
	if rest := len(w.open) - w.settled; count < 1 || count > uint64(rest) {
		r.fail("bad number of nodes")
		return nil, r.err
	}
	batch := int(count)
	folds := r.take(batch * g.Fanout * bytesPerFold)
	if err := r.end(); err != nil {
		return nil, err
	}
	s.stats.Nodes += batch
	verdict := make([]byte, (batch*g.Fanout+7)/8)
	for n := range batch {
		sums, theirs := s.view.children(w.level, w.open[w.settled]), folds[n*g.Fanout*bytesPerFold:]
		equal := func(c int) bool {
			return binary.LittleEndian.Uint64(theirs[c*bytesPerFold:]) == g.fold(child(sums, c))
		}
		before := len(w.next)
		w.settle(g.Fanout, func(c int) bool { return !equal(c) })
		if len(w.next) == before {
			w.settled--
			w.settle(g.Fanout, func(int) bool { return true })
		}
		base := w.open[w.settled-1] * uint32(g.Fanout)
		for _, c := range w.next[before:] {
			i := n*g.Fanout + int(c-base)
			verdict[i/8] |= 1 << (i % 8)
		}
	}
	s.descend()
	if w.level == g.Levels {
		return s.offer(verdict)
	}
	size := min(s.opts.MaxFrame, headerLen+len(verdict)+binary.MaxVarintLen32+(len(w.open)-w.settled)*g.Fanout*bytesPerFold)
	return s.send(s.appendSums(append(begin(kindSums, s.seq, size), verdict...))), nil
}

// child is a node's sum of a child; a node without keys has none.
func child(sums []Sum, c int) Sum {
	if sums == nil {
		return Sum{}
	}
	return sums[c]
}

// appendSums appends the folds of as many open nodes as the frame has room for.
func (s *Session) appendSums(f []byte) []byte {
	g, w := s.view.geo, &s.walk
	room := s.opts.MaxFrame - len(f) - binary.MaxVarintLen32 - sumLen
	w.batch = min(len(w.open)-w.settled, room/(g.Fanout*bytesPerFold))
	s.stats.Nodes += w.batch
	f = binary.AppendUvarint(f, uint64(w.batch))
	for _, i := range w.open[w.settled : w.settled+w.batch] {
		sums := s.view.children(w.level, i)
		for c := range g.Fanout {
			f = binary.LittleEndian.AppendUint64(f, g.fold(child(sums, c)))
		}
	}
	s.phase = walking
	return f
}
