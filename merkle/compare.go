package merkle

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// The end of an exchange: the items of the leaves that differ. Both sides read theirs once and
// sort them by hash, so by leaf as well; then it is a merge of two sorted lists of which one
// travels. The side that offers sends a run of its items, the other answers with what is
// different about the stretch of hashes that the run covers:
//
//	offered    h3 h8 h9 │ h14 …            a run covers (end of the last run, its last hash];
//	compared   h3 h5 h9'│                  the last run covers all to the end
//	answer     after h3: only mine: h5 · item 1: absent here · item 2: version of h9'
//
// A run is a byte (1 if it is the last) and, for each item, the distance of its hash from the
// one before, less one, as a varint, and the version in 8 bytes. An answer is a byte (answerX) and,
// for each difference, a varint whose low two bits say what it is (entryX) and whose others
// count the items of the run that are skipped as equal, or were told before.
const (
	runLen   = binary.MaxVarintLen64 + 8     // of an item, at most
	entryLen = binary.MaxVarintLen32 + 8 + 8 // of a difference, at most

	answerPart = 0 // the rest of this run's differences does not fit: say more
	answerRun  = 1 // the run is settled
	answerStop = 2 // there are more differences than may be

	entryMine   = 0 // only here: hash and version
	entryAbsent = 1 // not here
	entryOther  = 2 // another version here: version
)

// entry is a hash and the version found under it.
type entry struct{ hash, version uint64 }

// held is an item of ours; its key is compare.keys[from:to].
type held struct {
	entry
	from, to int
}

// record is a difference; its key, if Local is not 0, is Session.keys[from:to].
type record struct {
	hash, local, remote uint64
	from, to            int
}

// diff completes a record.
func (d record) diff(keys []byte) Diff {
	out := Diff{Hash: d.hash, Local: d.local, Remote: d.remote}
	if d.local != 0 {
		out.Key = keys[d.from:d.to:d.to]
	}
	return out
}

// compare is the state of the end of an exchange.
type compare struct {
	items  []held            // ours, one a hash, in rising order
	keys   []byte            // theirs
	shared map[uint64][]held // the items behind a hash that several keys share

	from, to int     // offering: items[from:to] are the run; comparing: items[from:] are not settled
	run      []entry // comparing: the peer's run
	told     int     // the first item of the run that is not settled
	skip     int     // comparing: items before it that the peer was not told of
	partial  bool    // comparing: the last answer was not the whole
	last     bool    // the run is the last
	low      uint64  // the lowest hash that is not settled
	high     uint64  // the highest hash that the run covers
	found    int     // differences, counting those that share a hash as one
}

// gather reads our items of the open leaves.
func (s *Session) gather() error {
	g, leaves := s.view.geo, s.walk.open
	c := &compare{items: make([]held, 0, s.expected())}
	s.stats.Leaves = len(leaves)
	for it, err := range s.src.Items(leaves) {
		if err != nil {
			return fmt.Errorf("merkle: scan for an exchange: %w", err)
		}
		if it.Version == 0 {
			continue
		}
		h := g.hash(it.Key)
		if !s.opened(h) {
			continue
		}
		from := len(c.keys)
		c.keys = append(c.keys, it.Key...)
		c.items = append(c.items, held{entry{h, it.Version}, from, len(c.keys)})
	}
	slices.SortFunc(c.items, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	c.group(g)
	s.stats.Items = len(c.items)
	s.cmp = c
	return nil
}

// expected tells how many items the tree believes there are in the open leaves. A tree that has
// drifted may believe anything, so the answer has a bound.
func (s *Session) expected() int64 {
	n := int64(0)
	for _, leaf := range s.walk.open {
		n = min(max(n+s.view.LeafSum(leaf).N, 0), 1<<16)
	}
	return n
}

// group leaves one item a hash: of a key that was yielded twice the last, and for several keys
// that share a hash one that stands for all.
func (c *compare) group(g *shape) {
	w := 0
	for i := 0; i < len(c.items); {
		j := i + 1
		for j < len(c.items) && c.items[j].hash == c.items[i].hash {
			j++
		}
		c.items[w] = c.items[i]
		if j-i > 1 {
			c.items[w] = c.join(g, c.items[i:j])
		}
		w, i = w+1, j
	}
	clear(c.items[w:])
	c.items = c.items[:w]
}

// join makes one item of several with the same hash.
func (c *compare) join(g *shape, same []held) held {
	same = slices.Clone(same)
	key := func(h held) []byte { return c.keys[h.from:h.to] }
	slices.SortStableFunc(same, func(a, b held) int { return bytes.Compare(key(a), key(b)) })
	n := 0
	for i, h := range same {
		if i+1 == len(same) || !bytes.Equal(key(h), key(same[i+1])) {
			same[n] = h
			n++
		}
	}
	same = same[:n]
	if n == 1 {
		return same[0]
	}
	if c.shared == nil {
		c.shared = map[uint64][]held{}
	}
	c.shared[same[0].hash] = same
	one := held{entry: entry{hash: same[0].hash}}
	for _, h := range same {
		one.version = g.join(one.version, h.version)
	}
	return one
}

// opened reports whether a hash belongs to an open leaf.
func (s *Session) opened(hash uint64) bool {
	_, ok := slices.BinarySearch(s.walk.open, s.view.geo.leafOf(hash))
	return ok
}

// differ records that our item differs from the peer's version, 0 meaning absent.
func (s *Session) differ(h held, remote uint64) {
	all := s.cmp.shared[h.hash]
	if all == nil {
		all = []held{h}
	}
	for _, h := range all {
		from := len(s.keys)
		s.keys = append(s.keys, s.cmp.keys[h.from:h.to]...)
		s.diffs = append(s.diffs, record{h.hash, h.version, remote, from, len(s.keys)})
	}
	s.cmp.found++
}

// differRemote records an item that only the peer has.
func (s *Session) differRemote(e entry) {
	s.diffs = append(s.diffs, record{hash: e.hash, remote: e.version})
	s.cmp.found++
}

// offer sends the verdict on the leaves and the first run.
func (s *Session) offer(verdict []byte) ([]byte, error) {
	if err := s.gather(); err != nil {
		return nil, err
	}
	s.phase = offering
	return s.sendRun(verdict), nil
}

// sendRun sends as many items as fit.
func (s *Session) sendRun(verdict []byte) []byte {
	c := s.cmp
	room := s.opts.MaxFrame - headerLen - len(verdict) - 1 - sumLen
	size := min(room, (len(c.items)-c.from)*runLen)
	f := append(begin(kindItems, s.seq, len(verdict)+1+size), verdict...)
	flag := len(f)
	f = append(f, 0)
	c.to = c.from
	for next := c.low; c.to < len(c.items) && room-(len(f)-flag-1) >= runLen; c.to++ {
		it := c.items[c.to]
		f = binary.AppendUvarint(f, it.hash-next)
		f = binary.LittleEndian.AppendUint64(f, it.version)
		next = it.hash + 1
		c.high = it.hash
	}
	if c.last = c.to == len(c.items); c.last {
		f[flag], c.high = 1, math.MaxUint64
	}
	c.told = c.from
	return s.send(f)
}

// onDiffs reads an answer to our run.
func (s *Session) onDiffs(r *reader) ([]byte, error) {
	c := s.cmp
	answer := r.byte()
	empty := len(r.b) == 0
	for len(r.b) > 0 {
		if c.found == s.opts.MaxDiffs {
			r.fail("more differences than allowed")
			break
		}
		s.readEntry(r)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	switch {
	case answer == answerPart && !empty:
		return s.send(begin(kindMore, s.seq, 0)), nil
	case answer == answerStop:
		s.stats.More = true
		s.finish()
		return nil, nil
	case answer == answerRun && c.last:
		s.finish()
		return nil, nil
	case answer == answerRun:
		c.from, c.low = c.to, c.high+1
		return s.sendRun(nil), nil
	}
	return nil, fmt.Errorf("%w: answer %d", ErrFrame, answer)
}

// readEntry reads one difference. c.told is the first item of the run that the peer may still
// speak of, c.low the lowest hash that it may still claim as its own.
func (s *Session) readEntry(r *reader) {
	c := s.cmp
	x := r.uvarint()
	if skip := x >> 2; skip > uint64(c.to-c.told) {
		r.fail("beyond the run")
		return
	}
	c.told += int(x >> 2)
	if x&3 == entryMine {
		e := entry{r.uint64(), r.uint64()}
		if r.err == nil && (e.version == 0 || !s.mayClaim(e.hash)) {
			r.fail("claim of a hash that cannot be")
		}
		if r.err == nil {
			s.differRemote(e)
			c.low = e.hash + 1
		}
		return
	}
	if c.told == c.to {
		r.fail("beyond the run")
		return
	}
	h, remote := c.items[c.told], uint64(0)
	if x&3 == entryOther {
		remote = r.uint64()
	}
	if r.err == nil && (x&3 > entryOther || remote == h.version || (remote == 0) != (x&3 == entryAbsent)) {
		r.fail("bad difference")
	}
	if r.err == nil {
		s.differ(h, remote)
		c.told++
		c.low = h.hash + 1
	}
}

// mayClaim reports whether the peer may have, and tell now, a hash that we have not.
func (s *Session) mayClaim(hash uint64) bool {
	c := s.cmp
	after := c.told == c.from || c.items[c.told-1].hash < hash
	before := c.told == c.to || hash < c.items[c.told].hash
	return after && before && c.low <= hash && hash <= c.high && !(c.low == 0 && c.found > 0) && s.opened(hash)
}

// onRun reads a run of the peer's items and answers.
func (s *Session) onRun(r *reader) ([]byte, error) {
	if s.cmp == nil {
		if err := s.gather(); err != nil {
			return nil, err
		}
	}
	c := s.cmp
	if c.partial {
		return nil, fmt.Errorf("%w: a run before the last was settled", ErrFrame)
	}
	flag := r.byte()
	c.run, c.told, c.skip = c.run[:0], 0, 0
	if c.run == nil {
		c.run = make([]entry, 0, len(r.b)/(1+8))
	}
	next, full := c.low, false
	for len(r.b) > 0 {
		d := r.uvarint()
		e := entry{next + d, r.uint64()}
		if e.hash < next || full || e.version == 0 || !s.opened(e.hash) {
			r.fail("bad item")
			break
		}
		next, full = e.hash+1, e.hash == math.MaxUint64
		c.run = append(c.run, e)
	}
	if flag > 1 || (flag == 0 && (full || len(c.run) == 0)) {
		r.fail("bad run")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if c.last = flag == 1; c.last {
		c.high = math.MaxUint64
	} else {
		c.high = c.run[len(c.run)-1].hash
	}
	s.phase = comparing
	return s.reply()
}

// reply tells as much as fits of what is different about the peer's run.
func (s *Session) reply() ([]byte, error) {
	c := s.cmp
	answer := byte(answerRun)
	f := append(begin(kindDiffs, s.seq, entryLen), answer)
	for answer == answerRun {
		mine := c.from < len(c.items) && c.items[c.from].hash <= c.high
		theirs := c.told < len(c.run)
		if !mine && !theirs {
			break
		}
		order := -1 // of our next hash to the peer's
		switch {
		case mine && theirs:
			order = cmp.Compare(c.items[c.from].hash, c.run[c.told].hash)
		case theirs:
			order = 1
		}
		if order == 0 && c.items[c.from].entry == c.run[c.told] {
			c.from, c.told, c.skip = c.from+1, c.told+1, c.skip+1
			continue
		}
		switch {
		case c.found == s.opts.MaxDiffs:
			answer = answerStop
		case s.opts.MaxFrame-len(f)-sumLen < entryLen:
			answer = answerPart
		default:
			f = s.tell(f, order)
		}
	}
	f[headerLen] = answer
	c.partial = answer == answerPart
	s.stats.More = s.stats.More || answer == answerStop
	if answer == answerStop || (answer == answerRun && c.last) {
		s.finish()
	} else if answer == answerRun {
		c.low = c.high + 1
	}
	return s.send(f), nil
}

// tell records the next difference and appends it to an answer. Order says whose hash is the
// lower: ours (below 0), the peer's (above) or that both have it.
func (s *Session) tell(f []byte, order int) []byte {
	c := s.cmp
	skip := uint64(c.skip) << 2
	c.skip = 0
	switch {
	case order < 0:
		h := c.items[c.from]
		s.differ(h, 0)
		c.from++
		f = binary.AppendUvarint(f, skip|entryMine)
		f = binary.LittleEndian.AppendUint64(f, h.hash)
		f = binary.LittleEndian.AppendUint64(f, h.version)
	case order > 0:
		s.differRemote(c.run[c.told])
		c.told++
		f = binary.AppendUvarint(f, skip|entryAbsent)
	default:
		h := c.items[c.from]
		s.differ(h, c.run[c.told].version)
		c.from, c.told = c.from+1, c.told+1
		f = binary.AppendUvarint(f, skip|entryOther)
		f = binary.LittleEndian.AppendUint64(f, h.version)
	}
	return f
}
