package vclock

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrCorrupt is matched by errors about encodings that are cut, not canonical, or of
	// an unknown version.
	ErrCorrupt = errors.New("vclock: corrupt encoding")
	// ErrDot is returned for a dot that cannot be: actor or counter zero.
	ErrDot = errors.New("vclock: invalid dot")
	// ErrDotUsed is returned for a dot that was seen before: a replica uses a number
	// twice, or goes on under an actor whose state it lost.
	ErrDotUsed = errors.New("vclock: dot used before")
)

// Actor names one tenure of one replica; see the package comment for when to draw a new
// one. Zero is no actor.
type Actor uint64

// NewActor draws an actor from random, which should be crypto/rand.Reader: 64 random
// bits, so that two replicas do not meet. Errors are those of random.
func NewActor(random io.Reader) (Actor, error) {
	var b [8]byte
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("vclock: draw an actor: %w", err)
		}
		if a := Actor(binary.BigEndian.Uint64(b[:])); a != 0 {
			return a, nil
		}
	}
}

// String is the actor in 16 hexadecimal digits; short actors, as tests use them, in few.
func (a Actor) String() string { return strconv.FormatUint(uint64(a), 16) }

// Dot is one event: the Counter-th of Actor, counted from 1.
type Dot struct {
	Actor   Actor
	Counter uint64
}

// String is "actor:counter".
func (d Dot) String() string { return d.Actor.String() + ":" + strconv.FormatUint(d.Counter, 10) }

// Compare orders dots by actor, then counter: a fixed order without meaning.
func (d Dot) Compare(e Dot) int {
	switch {
	case d.Actor != e.Actor:
		if d.Actor < e.Actor {
			return -1
		}
		return 1
	case d.Counter < e.Counter:
		return -1
	case d.Counter > e.Counter:
		return 1
	}
	return 0
}

func (d Dot) valid() bool { return d.Actor != 0 && d.Counter != 0 }

// Order is how two histories relate.
type Order int8

// The orders.
const (
	Equal      Order = iota // they hold the same events
	Before                  // all events of the first are in the second, which has more
	After                   // the other way round
	Concurrent              // each has events that the other has not
)

// String names the order.
func (o Order) String() string {
	switch o {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return "Order(" + strconv.Itoa(int(o)) + ")"
}

// order turns "first has more" and "second has more" into an Order.
func order(more, less bool) Order {
	switch {
	case more && less:
		return Concurrent
	case more:
		return After
	case less:
		return Before
	}
	return Equal
}

// Vector is a version vector: for each actor, the number of its events that are known,
// all from the first to that one. The zero Vector is the empty history. Assigning a
// Vector shares its memory; Clone before changing one of two.
type Vector struct {
	dots []Dot // by actor, ascending; no counter is zero
}

// find returns where actor a is, or where it would be.
func (v Vector) find(a Actor) (int, bool) {
	for i, d := range v.dots {
		if d.Actor >= a {
			return i, d.Actor == a
		}
	}
	return len(v.dots), false
}

// Counter is the number of a's events that are known; 0 for none.
func (v Vector) Counter(a Actor) uint64 {
	if i, ok := v.find(a); ok {
		return v.dots[i].Counter
	}
	return 0
}

// Contains reports whether the event d is known. A dot of counter 0 is no event, and
// never contained.
func (v Vector) Contains(d Dot) bool { return d.Counter != 0 && v.Counter(d.Actor) >= d.Counter }

// Len is the number of actors.
func (v Vector) Len() int { return len(v.dots) }

// Dots yields the last known event of each actor, in the order of the actors.
func (v Vector) Dots() iter.Seq[Dot] { return slices.Values(v.dots) }

// Clone is an independent copy.
func (v Vector) Clone() Vector { return Vector{slices.Clone(v.dots)} }

// Compare tells how v's history relates to w's. O(actors), no allocation.
func (v Vector) Compare(w Vector) Order {
	var more, less bool
	a, b := v.dots, w.dots
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x.Actor < y.Actor:
			more, a = true, a[1:]
		case x.Actor > y.Actor:
			less, b = true, b[1:]
		default:
			more = more || x.Counter > y.Counter
			less = less || x.Counter < y.Counter
			a, b = a[1:], b[1:]
		}
	}
	return order(more || len(a) > 0, less || len(b) > 0)
}

// Add makes d and all earlier events of its actor known. It ignores dots that cannot be.
func (v *Vector) Add(d Dot) {
	if !d.valid() {
		return
	}
	i, ok := v.find(d.Actor)
	if ok {
		v.dots[i].Counter = max(v.dots[i].Counter, d.Counter)
		return
	}
	v.dots = slices.Insert(v.dots, i, d)
}

// Merge makes v the join of both: everything that either knows. w is not changed and
// shares no memory with v afterwards.
func (v *Vector) Merge(w Vector) {
	if len(v.dots) == 0 {
		v.dots = append(v.dots[:0], w.dots...)
		return
	}
	for _, d := range w.dots {
		v.Add(d)
	}
}

// String is "{actor:counter …}".
func (v Vector) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, d := range v.dots {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(d.String())
	}
	b.WriteByte('}')
	return b.String()
}
