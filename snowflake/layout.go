package snowflake

import (
	"fmt"
	"time"
)

// Layout says how the bits of an id are cut. From the top: a zero sign bit, the number of
// units since the epoch, the node, and a sequence number within the unit:
//
//	 0 │ time │ node │ sequence
//	63                        0
//
// It is a plain value: generators with different layouts live in one process. Its methods
// take the zero Layout for Classic, a zero Unit for a millisecond, a zero Epoch for
// 2021-01-01 UTC, and all bits zero for those of Classic. They never fail: an id of
// another layout gives meaningless parts. Ids of one kind must keep one layout for ever.
type Layout struct {
	// TimeBits, NodeBits and SeqBits add up to 63, or to 53 for ids that survive as
	// JavaScript numbers.
	TimeBits, NodeBits, SeqBits uint8
	// Unit is what the time counts.
	Unit time.Duration
	// Epoch is the time zero.
	Epoch time.Time
}

// The layouts to choose from. They differ in who gets the bits: nodes, ids per unit, or
// years. Do not assign to them; copy one to change its epoch.
var (
	// Classic is Twitter's cut: 69 years (to 2090), 1,024 nodes, 4,096 ids a millisecond
	// and node.
	Classic = Layout{41, 10, 12, time.Millisecond, epoch2021}
	// Wide is for few busy nodes: 69 years, 64 nodes, 65,536 ids a millisecond and node.
	Wide = Layout{41, 6, 16, time.Millisecond, epoch2021}
	// Long is Sonyflake's cut, for many quiet nodes: 174 years, 65,536 nodes, 256 ids in
	// 10 ms and node.
	Long = Layout{39, 16, 8, 10 * time.Millisecond, epoch2021}
	// JS53 has ids below 2^53, which a JavaScript number holds: 69 years, 32 nodes, 128
	// ids a millisecond and node.
	JS53 = Layout{41, 5, 7, time.Millisecond, epoch2021}
)

var epoch2021 = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)

// Parts is an id taken apart.
type Parts struct {
	Time time.Time // the beginning of its unit, in UTC
	Node uint64
	Seq  uint64
}

// resolve fills in what a zero stands for.
func (l Layout) resolve() Layout {
	if l.TimeBits|l.NodeBits|l.SeqBits == 0 {
		l.TimeBits, l.NodeBits, l.SeqBits = Classic.TimeBits, Classic.NodeBits, Classic.SeqBits
	}
	if l.Unit == 0 {
		l.Unit = time.Millisecond
	}
	if l.Epoch.IsZero() {
		l.Epoch = epoch2021
	}
	// A monotonic reading would be compared with those of other times.
	l.Epoch = l.Epoch.Round(0)
	return l
}

// Validate checks that the bits add up, that the unit is between a microsecond and a
// minute, that there is a time and a sequence, and that all of time fits a time.Duration
// (292 years: more bits are better spent on nodes). Its errors match ErrLayout.
func (l Layout) Validate() error {
	l = l.resolve()
	bits := int(l.TimeBits) + int(l.NodeBits) + int(l.SeqBits)
	switch {
	case bits != 63 && bits != 53:
		return fmt.Errorf("%w: %d + %d + %d bits are neither 63 nor 53", ErrLayout, l.TimeBits, l.NodeBits, l.SeqBits)
	case l.TimeBits == 0 || l.SeqBits == 0:
		return fmt.Errorf("%w: no bits for the time or the sequence", ErrLayout)
	case l.Unit < time.Microsecond || l.Unit > time.Minute:
		return fmt.Errorf("%w: a unit of %v is not between 1µs and 1m", ErrLayout, l.Unit)
	case 1<<(l.TimeBits-1) > int64(1<<62-1)/int64(l.Unit):
		return fmt.Errorf("%w: %d bits of %v are more than 292 years", ErrLayout, l.TimeBits, l.Unit)
	}
	return nil
}

// Split takes an id apart.
func (l Layout) Split(id ID) Parts {
	l = l.resolve()
	return Parts{Time: l.time(id), Node: l.node(id), Seq: uint64(id) & (1<<l.SeqBits - 1)}
}

// Time is the beginning of the unit in which the id was issued, in UTC. Ids may run ahead
// of the clock: see Options.MaxAhead and MaxBack.
func (l Layout) Time(id ID) time.Time { return l.resolve().time(id) }

// Node is the node that issued the id.
func (l Layout) Node(id ID) uint64 { return l.resolve().node(id) }

// Seq is the id's number within its unit and node.
func (l Layout) Seq(id ID) uint64 { return l.Split(id).Seq }

// DataCenter is the other reading of Classic's ten node bits: five for a data centre, five
// for a machine in it. JoinNode is its inverse.
func (l Layout) DataCenter(id ID) (dataCenter, machine uint64) {
	n := l.Node(id)
	return n >> 5 & 31, n & 31
}

// JoinNode makes a node of Classic out of a data centre and a machine, both 0 to 31. Its
// error matches ErrNode.
func JoinNode(dataCenter, machine uint64) (uint64, error) {
	if dataCenter > 31 || machine > 31 {
		return 0, fmt.Errorf("%w: data centre %d, machine %d of at most 31", ErrNode, dataCenter, machine)
	}
	return dataCenter<<5 | machine, nil
}

// Join is the inverse of Split. The time is cut down to its unit. Errors match ErrRange or
// ErrNode.
func (l Layout) Join(p Parts) (ID, error) {
	l = l.resolve()
	d := p.Time.Sub(l.Epoch)
	if d < 0 || uint64(d/l.Unit) > l.maxTick() {
		return 0, fmt.Errorf("%w: the time %v", ErrRange, p.Time)
	}
	if p.Node > l.MaxNode() {
		return 0, fmt.Errorf("%w: %d of at most %d", ErrNode, p.Node, l.MaxNode())
	}
	if p.Seq > l.MaxSeq() {
		return 0, fmt.Errorf("%w: the sequence number %d", ErrRange, p.Seq)
	}
	return ID(uint64(d/l.Unit)<<(l.NodeBits+l.SeqBits) | p.Node<<l.SeqBits | p.Seq), nil
}

// MaxNode is the greatest node.
func (l Layout) MaxNode() uint64 { return 1<<l.resolve().NodeBits - 1 }

// MaxSeq is the greatest sequence number; a node issues one id more than that in a unit.
func (l Layout) MaxSeq() uint64 { return 1<<l.resolve().SeqBits - 1 }

// End is when the time field is used up.
func (l Layout) End() time.Time {
	l = l.resolve()
	return l.tickTime(l.maxTick()).Add(l.Unit)
}

// Between returns the least and the greatest number that an id with a Time in [from, to)
// may have, whatever its node: the bounds of a range query on a column of ids,
//
//	SELECT … WHERE id BETWEEN lo AND hi
//
// A window without ids gives lo > hi, with which that selects nothing.
func (l Layout) Between(from, to time.Time) (lo, hi ID) {
	l = l.resolve()
	first, end := l.ceilTick(from), l.ceilTick(to)
	if first >= end {
		return 0, -1
	}
	shift := l.NodeBits + l.SeqBits
	// As unsigned numbers, for the end of a layout of 63 bits is 1<<63.
	return ID(first << shift), ID(end<<shift - 1)
}

// ceilTick is the first unit that does not begin before t; at most one beyond the last.
func (l Layout) ceilTick(t time.Time) uint64 {
	d := t.Sub(l.Epoch)
	if d <= 0 {
		return 0
	}
	n := uint64(d / l.Unit)
	if d%l.Unit != 0 {
		n++
	}
	return min(n, l.maxTick()+1)
}

func (l Layout) maxTick() uint64 { return 1<<l.TimeBits - 1 }

func (l Layout) tickTime(tick uint64) time.Time {
	return l.Epoch.Add(time.Duration(tick) * l.Unit).UTC()
}

func (l Layout) time(id ID) time.Time {
	return l.tickTime(uint64(id) >> (l.NodeBits + l.SeqBits) & l.maxTick())
}

func (l Layout) node(id ID) uint64 { return uint64(id) >> l.SeqBits & (1<<l.NodeBits - 1) }
