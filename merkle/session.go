package merkle

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
)

// An exchange, message by message. A is the side that calls Start; after its greeting every
// frame answers the one before it, so each level costs half a round trip:
//
//	A  hello: geometry, limits, root ─────────────────────────────→  B
//	A  ←──────────────── equal, and that was all; or the root's children  B
//	A  which of them differ, and the children of those ───────────→  B
//	A  ←─────────────── which of those differ, and their children …  B
//	A  which leaves differ, and my items of those leaves ─────────→  B
//	A  ←───────────────────────────── which items differ, and how    B
//
// Whichever side is to speak when the leaves are known sends its items, the other compares (the
// figure shows a tree of three levels). Both walk the same list of open nodes: it changes only by verdicts
// that have travelled, so the two states are always one frame apart. walk.go holds the way
// down and compare.go the end.
//
// What is long is cut into frames: a level whose folds do not fit goes in several batches, the
// items in several runs, the differences in several replies. A frame says how much of the
// rest it carries; the lists that it refers to are known to both.
//
// A peer is not trusted with memory. A frame over MaxFrame is refused; what one frame brings is
// settled at once or held as decoded items, at most twice its size; the list of open nodes is
// bounded by the tree's leaves and by MaxDiffs; the differences by MaxDiffs.

// SessionOptions are the limits of one side of an exchange; the stricter of the two sides holds.
type SessionOptions struct {
	// MaxFrame is the greatest size of a message in bytes; 0 means 64 KiB. It is brought into
	// the range from 4 KiB to 16 MiB.
	MaxFrame int
	// MaxDiffs is the number of differing keys after which an exchange ends early with
	// [Stats.More] set; 0 means 262,144. It bounds the memory that a peer can claim here
	// (about 48 bytes a difference) and the number of leaves that are opened, hence the
	// length of the scan. Reconcile what was found and run another exchange.
	MaxDiffs int
}

const stdDiffs = 1 << 18

// normal replaces zeros by defaults and brings the rest into range.
func (o SessionOptions) normal() SessionOptions {
	if o.MaxFrame == 0 {
		o.MaxFrame = stdFrame
	}
	if o.MaxDiffs == 0 {
		o.MaxDiffs = stdDiffs
	}
	o.MaxFrame = min(max(o.MaxFrame, minFrame), maxFrame)
	o.MaxDiffs = min(max(o.MaxDiffs, 1), math.MaxInt32)
	return o
}

// Diff is a key whose versions differ. Exactly one exists for each such key on either side.
type Diff struct {
	// Key is nil if only the peer has it; the peer then sees the same difference with its key.
	// It must not be changed.
	Key []byte
	// Hash names the key on both sides; see [Sync.Hash].
	Hash uint64
	// Local and Remote are the versions on this side and on the peer's; 0 means absent. Should
	// several keys of a side share a hash, then they are compared as one, each is reported,
	// and Remote is a digest of the peer's versions.
	Local, Remote uint64
}

// Stats describes an exchange so far.
type Stats struct {
	Sent, Received int  // bytes of frames
	RoundTrips     int  // begun
	Nodes          int  // inner nodes that were opened
	Leaves         int  // leaves whose items were compared
	Items          int  // items of ours in these leaves
	Diffs          int  // differences found
	More           bool // there may be more: MaxDiffs was reached
}

// phase is what a session waits for.
type phase uint8

const (
	fresh     phase = iota // Start, or the peer's hello
	greeted                // an answer to our hello
	walking                // a verdict on our folds, and what follows
	offering               // diffs in the run that we sent
	comparing              // another run, or the word to go on with the diffs
	finished
	failed
)

// Session is one side of an exchange that finds where two sets differ: frames in, frames out,
// no I/O, no clock, no goroutine. One side calls [Session.Start] and carries what it returns to
// the other's [Session.Step]; from then on each side carries what Step returned to the other's
// Step, until it returns nil. A side may have a last frame to send when it is [Session.Done].
//
// Both sides learn all differences. Writes during an exchange do no harm: the view does not
// change, and an item that the source shows newer than the view is at worst reported as a
// difference that is no more. A session serves one exchange and one goroutine at a time.
type Session struct {
	opts  SessionOptions
	view  *View
	src   Source
	err   error
	stats Stats
	phase phase
	seq   int // frames so far, of both sides
	walk  walk
	cmp   *compare // from the leaves on
	diffs []record
	keys  []byte // of the diffs
}

// NewSession prepares one side of an exchange about the set that v and src show. It reads
// nothing until it has to; a session whose roots are equal never touches src.
func NewSession(v *View, src Source, o SessionOptions) *Session {
	s := &Session{opts: o.normal(), view: v, src: src}
	if v == nil || v.geo == nil || src == nil {
		s.abort(fmt.Errorf("%w: no view or no source", ErrSession))
	}
	return s
}

// Start returns the first frame. It is called on one of the two sides, once; otherwise it
// returns nil and Step says why. The frame belongs to the caller.
func (s *Session) Start() []byte {
	if s.phase != fresh {
		if s.phase != failed {
			s.abort(fmt.Errorf("%w: started twice", ErrSession))
		}
		return nil
	}
	g, sum := s.view.geo, s.view.sum
	f := begin(kindHello, 0, 2+4+24+2*binary.MaxVarintLen32)
	f = append(f, byte(g.Levels), byte(g.bits))
	f = binary.LittleEndian.AppendUint32(f, g.tag())
	f = binary.LittleEndian.AppendUint64(f, sum.Lo)
	f = binary.LittleEndian.AppendUint64(f, sum.Hi)
	f = binary.LittleEndian.AppendUint64(f, uint64(sum.N))
	s.phase = greeted
	return s.send(s.appendLimits(f))
}

// Step takes the peer's frame and returns the next to be sent, nil if there is none. The frame
// belongs to the caller; in is not retained. An error ends the session: Step returns it ever
// after. To a session that is done, nothing (an empty frame) may be handed.
func (s *Session) Step(in []byte) (out []byte, err error) {
	switch {
	case s.phase == failed:
		return nil, s.err
	case s.phase == finished && len(in) == 0:
		return nil, nil
	case s.phase == finished:
		return nil, fmt.Errorf("%w: a frame after the end", ErrFrame)
	}
	if out, err = s.step(in); err != nil {
		s.abort(err)
		return nil, err
	}
	return out, nil
}

// step is Step without what every call shares.
func (s *Session) step(in []byte) ([]byte, error) {
	if len(in) > s.opts.MaxFrame {
		return nil, fmt.Errorf("%w: %d bytes where %d are allowed", ErrFrame, len(in), s.opts.MaxFrame)
	}
	k, r, err := unseal(in, s.seq)
	if err != nil {
		return nil, err
	}
	s.seq++
	s.stats.Received += len(in)
	switch {
	case s.phase == fresh && k == kindHello:
		return s.onHello(&r)
	case s.phase == greeted && k == kindEqual:
		s.finish()
		return nil, r.end()
	case s.phase == greeted && k == kindWelcome:
		s.readLimits(&r)
		s.walk.begin()
		return s.onSums(&r)
	case s.phase == walking && (k == kindSums || k == kindItems):
		return s.onVerdict(k, &r)
	case s.phase == comparing && k == kindItems:
		return s.onRun(&r)
	case s.phase == comparing && k == kindMore && s.cmp.partial:
		if err := r.end(); err != nil {
			return nil, err
		}
		return s.reply()
	case s.phase == offering && k == kindDiffs:
		return s.onDiffs(&r)
	}
	return nil, fmt.Errorf("%w: kind %d out of turn", ErrFrame, k)
}

// onHello answers the first frame.
func (s *Session) onHello(r *reader) ([]byte, error) {
	g := s.view.geo
	levels, width, tag := r.byte(), r.byte(), r.uint32()
	sum := Sum{r.uint64(), r.uint64(), int64(r.uint64())}
	s.readLimits(r)
	if err := r.end(); err != nil {
		return nil, err
	}
	if int(levels) != g.Levels || int(width) != g.bits || tag != g.tag() {
		return nil, ErrGeometry
	}
	if sum == s.view.sum {
		s.finish()
		return s.send(begin(kindEqual, s.seq, 0)), nil
	}
	s.walk.begin()
	f := begin(kindWelcome, s.seq, 2*binary.MaxVarintLen32+1+g.Fanout*bytesPerFold)
	return s.send(s.appendSums(s.appendLimits(f))), nil
}

// tag tells whether two seeds are equal without telling what they are.
func (g *shape) tag() uint32 { return uint32(mix(g.keys[0] ^ bits.RotateLeft64(g.keys[3], 31))) }

// appendLimits tells the peer what this side accepts.
func (s *Session) appendLimits(f []byte) []byte {
	f = binary.AppendUvarint(f, uint64(s.opts.MaxFrame))
	return binary.AppendUvarint(f, uint64(s.opts.MaxDiffs))
}

// readLimits brings this side's limits down to the peer's.
func (s *Session) readLimits(r *reader) {
	frame, diffs := r.uvarint(), r.uvarint()
	if frame < minFrame || diffs < 1 {
		r.fail("limits too small")
		return
	}
	s.opts.MaxFrame = int(min(uint64(s.opts.MaxFrame), frame))
	s.opts.MaxDiffs = int(min(uint64(s.opts.MaxDiffs), diffs))
}

// send seals and counts a frame.
func (s *Session) send(f []byte) []byte {
	f = seal(f)
	s.seq++
	s.stats.Sent += len(f)
	return f
}

// finish ends the exchange and lets go of all but its result.
func (s *Session) finish() {
	s.phase = finished
	s.view, s.src, s.walk, s.cmp = nil, nil, walk{}, nil
}

// abort ends the session with an error.
func (s *Session) abort(err error) {
	s.finish()
	s.phase, s.err = failed, err
}

// Done reports that the exchange is complete: [Session.Diffs] is all there is to know, once
// the frame that Step last returned, if any, has been sent.
func (s *Session) Done() bool { return s.phase == finished }

// Diffs yields what was found so far, in the order of the keys' hashes; all of it once Done.
func (s *Session) Diffs() iter.Seq[Diff] {
	return func(yield func(Diff) bool) {
		for _, d := range s.diffs {
			if !yield(d.diff(s.keys)) {
				return
			}
		}
	}
}

// Stats returns what the exchange has cost this side so far.
func (s *Session) Stats() Stats {
	st := s.stats
	st.RoundTrips = (s.seq + 1) / 2
	st.Diffs = len(s.diffs)
	return st
}
