package frontier

import "math/bits"

// A hierarchical timing wheel (Varghese, Lauck 1987) over hosts.
//
// Time is counted in ticks of a millisecond. Level l has 256 slots of 256^l ticks. A host
// that is due at tick t waits in the level of the highest byte in which t differs from
// now, in the slot of that byte's value:
//
//	level 0   [ . . x . … ]   the next 256 ticks, a slot each
//	level 1   [ . x . . … ]   the next 65,536, in slots of 256
//	…
//
// When time reaches a slot of level 0, its hosts are due; when it reaches one of a higher
// level, they are put in again, and land lower. So every host is touched at most once a
// level, and putting in and taking out are O(1). A bit for each slot lets time jump over
// what is empty: a sleep of a month costs six looks.
//
// Invariants: a slot's number is above the same byte of now, the bytes above are equal;
// hosts are linked through their own next and prev, as they wait in one place at a time.
const (
	tick        = 1_000_000 // nanoseconds
	wheelLevels = 6         // 256^6 ms are 8,900 years
	noSlot      = -1
)

type wheel struct {
	now   int64 // ticks; nothing that waits is due at or before it
	slots [wheelLevels][256]uint32
	bits  [wheelLevels][4]uint64
	count int
}

// ticks rounds a time up, so that nobody is early.
func ticks(ns int64) int64 { return (ns + tick - 1) / tick }

// put makes a host wait until tick t, which is after now.
func (w *wheel) put(hs *hosts, h *host, t int64) {
	l := (bits.Len64(uint64(t^w.now)) - 1) / 8
	i := int(t>>(8*l)) & 255
	h.slot = int16(l<<8 | i)
	h.due = t
	hs.pushFront(&w.slots[l][i], h)
	w.bits[l][i>>6] |= 1 << (i & 63)
	w.count++
}

// remove takes a host out that waits.
func (w *wheel) remove(hs *hosts, h *host) {
	l, i := int(h.slot)>>8, int(h.slot)&255
	hs.unlink(&w.slots[l][i], h)
	if w.slots[l][i] == 0 {
		w.bits[l][i>>6] &^= 1 << (i & 63)
	}
	h.slot = noSlot
	w.count--
}

// next returns the first tick at which there is something to do: a host that is due, or a
// slot to be sorted into lower ones.
func (w *wheel) next() (t int64, l int, ok bool) {
	if w.count == 0 {
		return 0, 0, false
	}
	for l := range wheelLevels {
		from := int(w.now>>(8*l))&255 + 1
		for word := from >> 6; word < 4; word++ {
			set := w.bits[l][word]
			if word == from>>6 {
				set &= ^uint64(0) << (from & 63)
			}
			if set != 0 {
				i := int64(word<<6 + bits.TrailingZeros64(set))
				above := w.now >> (8 * (l + 1)) << (8 * (l + 1))
				return above | i<<(8*l), l, true
			}
		}
	}
	return 0, 0, false
}

// advance moves time to tick to, and hands over every host that is due by then, earlier
// ones first.
func (w *wheel) advance(hs *hosts, to int64, due func(*host)) {
	for {
		t, l, ok := w.next()
		if !ok || t > to {
			break
		}
		w.now = t
		i := int(t>>(8*l)) & 255
		// Hosts were pushed to the front; turned round, they come in the order of arrival.
		var list uint32
		for id := w.slots[l][i]; id != 0; {
			h := hs.at(id)
			id = h.next
			w.remove(hs, h)
			hs.pushFront(&list, h)
		}
		for list != 0 {
			h := hs.at(list)
			hs.unlink(&list, h)
			if h.due <= t {
				due(h)
			} else {
				w.put(hs, h, h.due)
			}
		}
	}
	w.now = max(w.now, to)
}
