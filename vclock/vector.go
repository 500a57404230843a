package vclock

import (
	"cmp"
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
	// ErrActor is returned for text that names no actor, and for a source of random
	// bits that yields nothing but zeros.
	ErrActor = errors.New("vclock: invalid actor")
)

// Actor names one tenure of one replica; see the package comment for when to draw a new
// one. Zero is no actor.
type Actor uint64

// NewActor draws an actor from random, which should be crypto/rand.Reader: 64 random
// bits, so that two replicas do not meet. Errors are those of random, or ErrActor if it
// yields only zeros.
func NewActor(random io.Reader) (Actor, error) {
	// Honest bits are all zero once in 2^64 draws. Twice in a row is a broken source,
	// and drawing on would not end.
	for range 2 {
		var b [8]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, fmt.Errorf("vclock: draw an actor: %w", err)
		}
		if a := Actor(binary.BigEndian.Uint64(b[:])); a != 0 {
			return a, nil
		}
	}
	return 0, fmt.Errorf("%w: the random source yields zeros", ErrActor)
}

// ParseActor reads what String wrote, and nothing else: ErrActor for upper case, leading
// zeros, signs, zero, and numbers beyond 64 bits.
func ParseActor(s string) (Actor, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if a := Actor(n); err == nil && a != 0 && a.String() == s {
		return a, nil
	}
	return 0, fmt.Errorf("%w: %.32q", ErrActor, s)
}

// String is the actor in lower-case hexadecimal digits, without leading zeros.
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
	if d.Actor != e.Actor {
		return cmp.Compare(d.Actor, e.Actor)
	}
	return cmp.Compare(d.Counter, e.Counter)
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
// all from the first to that one.
//
//	{a:3 b:1}  =  the events  a:1 a:2 a:3  b:1
//
// The zero Vector is the empty history. A Vector is a value, like a string: assigning it
// copies it, and Add and Merge give the variable a new one instead of changing memory
// that others may see. So contexts are handed out, kept and compared without cloning and
// from any goroutine.
//
// Invariants: actors ascend; no actor and no counter is zero; what dots points to is
// never written again.
type Vector struct {
	dots []Dot
}

// linearSearch is how many actors are searched one by one before halving pays.
const linearSearch = 16

// find returns where actor a is, or where it would be.
func (v Vector) find(a Actor) (int, bool) {
	if len(v.dots) > linearSearch {
		return slices.BinarySearchFunc(v.dots, a, func(d Dot, a Actor) int { return cmp.Compare(d.Actor, a) })
	}
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

// Clone is a copy in memory of its own. Assigning is enough to be safe from changes;
// Clone is for keeping a vector without what it shares memory with.
func (v Vector) Clone() Vector { return Vector{slices.Clone(v.dots)} }

// Compare tells how v's history relates to w's. O(actors), no allocation.
func (v Vector) Compare(w Vector) Order {
	more, less, _ := relate(v.dots, w.dots)
	return order(more, less)
}

// relate reports whether a has events that b lacks, b such that a lacks, and how many
// actors they have in common.
func relate(a, b []Dot) (more, less bool, common int) {
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x.Actor < y.Actor:
			more, a = true, a[1:]
		case x.Actor > y.Actor:
			less, b = true, b[1:]
		default:
			more = more || x.Counter > y.Counter
			less = less || x.Counter < y.Counter
			common++
			a, b = a[1:], b[1:]
		}
	}
	return more || len(a) > 0, less || len(b) > 0, common
}

// Add makes d and all earlier events of its actor known: a vector has no gaps. It ignores
// dots that cannot be (actor or counter zero). O(actors); one allocation if d is news.
func (v *Vector) Add(d Dot) {
	i, ok := v.find(d.Actor)
	switch {
	case !d.valid():
	case !ok:
		v.dots = slices.Concat(v.dots[:i], []Dot{d}, v.dots[i:])
	case v.dots[i].Counter < d.Counter:
		v.dots = slices.Clone(v.dots)
		v.dots[i].Counter = d.Counter
	}
}

// Merge makes v the join of both: everything that either knows. O(actors); one
// allocation if neither knows all that the other does, else none.
func (v *Vector) Merge(w Vector) {
	a, b := v.dots, w.dots
	more, less, common := relate(a, b)
	if !less {
		return
	}
	if !more {
		v.dots = b
		return
	}
	dots := make([]Dot, 0, len(a)+len(b)-common)
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x.Actor < y.Actor:
			dots, a = append(dots, x), a[1:]
		case x.Actor > y.Actor:
			dots, b = append(dots, y), b[1:]
		default:
			x.Counter = max(x.Counter, y.Counter)
			dots, a, b = append(dots, x), a[1:], b[1:]
		}
	}
	v.dots = append(append(dots, a...), b...)
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
