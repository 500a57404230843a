package frontier

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// The way of a new URL:
//
//	hash ─▶ filter: surely new ──────────────────────────┐
//	          └─ perhaps ─▶ store: known ─▶ dropped      │   outside of locks
//	                          └─ not there ──────────────┤
//	                                                     ▼
//	            filter again ─▶ perhaps: store again ─▶ one batch: s, q, h      writeMu
//	                                                     │
//	                              one sync for all that wait ─▶ return
//
// The second look is what makes it insert-if-absent: under writeMu nobody else adds. It is
// nearly free, for what is surely new is known by the filter alone.

// fresh is an item on its way into the store.
type fresh struct {
	entry
	index int // in the call
	host  string
	h     *host
	due   int64    // ms; 0: at once
	key   [17]byte // zero: the URL is known already
	hash  uint64   // of key, for the filter
	gone  bool
}

type scratch struct {
	items []fresh
	order []int32
	keys  [][]byte
	at    []int
	val   []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	clear(s.items)
	s.items, s.order, s.keys, s.at = s.items[:0], s.order[:0], s.keys[:0], s.at[:0]
	scratches.Put(s)
}

// Add queues items whose URLs were never added before, and returns how many those are. Of
// a URL that was, nothing changes, be it done or waiting. What it returned for is durable
// to the degree of Options.Durability, together with what others added meanwhile.
//
// Items that cannot be queued are left out, and reported by an *ItemError each, joined;
// the others are added all the same. After any other error, some may have been.
//
// It is cheapest with all links of a page at once: what goes to one queue with the same
// priority is stored together.
func (f *Frontier) Add(ctx context.Context, items ...Item) (added int, err error) {
	var bad []error
	for from := 0; from < len(items); from += maxAdd {
		n, refused, err := f.addSome(ctx, items[from:min(from+maxAdd, len(items))], from)
		if err != nil {
			return added, err
		}
		added += n
		bad = append(bad, refused...)
	}
	if err := f.settle(); err != nil {
		return 0, err
	}
	return added, errors.Join(bad...)
}

// maxAdd is how many items are added at once. It bounds how long others wait, and the
// work of finding what is twice in one call.
const maxAdd = 4096

// addSome adds items, the first of which has that index among all.
func (f *Frontier) addSome(ctx context.Context, items []Item, from int) (added int, bad []error, err error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	bad = f.prepare(s, items, from)
	if err := f.resolve(s.items); err != nil {
		return 0, nil, err
	}
	if err := f.dropKnown(s); err != nil {
		return 0, nil, err
	}
	added, refused, err := f.addFresh(s)
	return added, append(bad, refused...), err
}

// prepare validates items.
func (f *Frontier) prepare(s *scratch, items []Item, from int) (bad []error) {
	for i := range items {
		it := &items[i]
		host, lvl, reason := f.o.check(it)
		if reason != "" {
			bad = append(bad, &ItemError{Index: from + i, URL: it.URL[:min(len(it.URL), 256)], Reason: reason})
			continue
		}
		n := fresh{index: from + i, host: host, entry: entry{url: it.URL, level: lvl, depth: uint16(it.Depth), meta: it.Meta}}
		if !it.NotBefore.IsZero() {
			n.due = clampTime(it.NotBefore)/1e6 + 1
		}
		s.items = append(s.items, n)
	}
	return bad
}

// resolve finds the items' hosts, and makes those that are new.
func (f *Frontier) resolve(items []fresh) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	now := f.now()
	for i := range items {
		n := &items[i]
		if i > 0 && items[i-1].host == n.host {
			n.h = items[i-1].h
		} else {
			n.h = f.hostNamed(n.host)
		}
		n.found = foundTime(now)
		if n.due*1e6 <= now {
			n.due = 0
		}
	}
	return nil
}

func foundTime(now int64) int64 { return min(now/1e9, maxSeconds) }

// dropKnown marks items that the store knows, without any lock: whoever is in the set
// stays there.
func (f *Frontier) dropKnown(s *scratch) error {
	for i := range s.items {
		n := &s.items[i]
		n.key = seenKey(n.h.id, n.url)
		n.hash = filterHash(n.key[:])
		if f.seen.perhaps(n.hash) {
			s.at = append(s.at, i)
		}
	}
	if len(s.at) == 0 {
		return nil
	}
	slices.SortFunc(s.at, func(a, b int) int { return slices.Compare(s.items[a].key[:], s.items[b].key[:]) })
	for _, i := range s.at {
		s.keys = append(s.keys, s.items[i].key[:])
	}
	err := f.db.GetMany(s.keys, func(i int, _ []byte) error {
		s.items[s.at[i]].gone = true
		return nil
	})
	if err != nil {
		return storeError("look URLs up", err)
	}
	return nil
}

// addFresh writes what is new, and puts it into the queues.
func (f *Frontier) addFresh(s *scratch) (added int, refused []error, err error) {
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.batch.Reset()
	refused = f.refuseMoving(s.items)
	for i := range s.items {
		n := &s.items[i]
		if n.gone {
			continue
		}
		if f.seen.enter(n.hash) {
			known, err := f.seen.has(n.key[:])
			if err != nil {
				return 0, nil, err
			}
			if known || s.twice(i) {
				n.gone = true
				continue
			}
		}
		added++
	}
	if added > 0 {
		if err := f.enqueue(s); err != nil {
			return 0, nil, err
		}
		f.seen.count.Add(int64(added))
	}
	f.mu.Lock()
	f.stats.Added += int64(added)
	f.stats.Known += int64(len(s.items) - added - len(refused))
	f.unlock()
	return added, refused, nil
}

// refuseMoving drops items whose host is on its way to another frontier, which does not
// change while writeMu is held.
func (f *Frontier) refuseMoving(items []fresh) (refused []error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range items {
		if n := &items[i]; n.h.held || n.h.id == 0 {
			n.gone = true
			refused = append(refused, &ItemError{Index: n.index, URL: n.url[:min(len(n.url), 256)], Reason: "its host is being moved"})
		}
	}
	return refused
}

// twice reports whether an item is in the same call before.
func (s *scratch) twice(i int) bool {
	for j := range s.items[:i] {
		if s.items[j].hash == s.items[i].hash && s.items[j].key == s.items[i].key && !s.items[j].gone {
			return true
		}
	}
	return false
}

// piece is a chunk on its way into a queue.
type piece struct {
	h     *host
	level uint8
	n     uint32
	items uint32
	due   int64 // of an item that is held back: no chunk
}

// enqueue writes f.batch together with the items of s that are not gone, and puts those
// into the queues. The caller holds writeMu, so that no tail moves meanwhile.
func (f *Frontier) enqueue(s *scratch) error {
	for i := range s.items {
		if !s.items[i].gone {
			s.order = append(s.order, int32(i))
		}
	}
	slices.SortFunc(s.order, func(a, b int32) int {
		x, y := &s.items[a], &s.items[b]
		return cmp.Or(cmp.Compare(x.h.id, y.h.id), cmp.Compare(x.level, y.level), cmp.Compare(x.due, y.due), cmp.Compare(a, b))
	})
	for _, i := range s.order { // neighbours one after the other, which the store likes
		if n := &s.items[i]; n.key[0] == tagSeen {
			f.batch.Put(n.key[:], nil)
		}
	}
	var room [128]piece
	pieces := room[:0]
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		return err
	}
	for rest := s.order; len(rest) > 0; {
		first := &s.items[rest[0]]
		h := first.h
		if !h.saved || h.dirty {
			f.saveHost(&f.batch, h)
		}
		p := piece{h: h, level: first.level, due: first.due}
		if first.due != 0 {
			k := timedKey(h.id, first.due, f.seq.Add(1))
			s.val = appendTimed(s.val[:0], &first.entry, h.name)
			f.batch.Put(k[:], s.val)
			pieces, rest = append(pieces, p), rest[1:]
			continue
		}
		if q := h.queueOf(p.level); q != nil {
			p.n = q.tail
		}
		if l := len(pieces); l > 0 && pieces[l-1].h == h && pieces[l-1].level == p.level && pieces[l-1].due == 0 {
			p.n = pieces[l-1].n + 1
		}
		if p.n == math.MaxUint32 {
			f.mu.Unlock()
			return fmt.Errorf("frontier: queue of %q is full", h.name)
		}
		p.items = s.chunk(rest, first.found)
		s.val[1] = byte(p.items)
		k := chunkKey(h.id, p.level, p.n)
		f.batch.Put(k[:], s.val)
		pieces, rest = append(pieces, p), rest[p.items:]
	}
	if f.clock.now-f.clock.saved > 1e9 {
		f.saveClock(&f.batch)
	}
	f.mu.Unlock()
	if err := f.db.Apply(&f.batch, f.ordered()); err != nil {
		return f.writeError("write items", err)
	}
	f.publish(pieces)
	return nil
}

// chunk encodes the items at the start of rest that go into one chunk, into s.val, and
// returns how many those are. Their number is still missing from it.
func (s *scratch) chunk(rest []int32, base int64) (items uint32) {
	first := &s.items[rest[0]]
	s.val = append(s.val[:0], recordVersion, 0)
	s.val = binary.AppendUvarint(s.val, uint64(base))
	for _, i := range rest {
		n := &s.items[i]
		if n.h != first.h || n.level != first.level || n.due != 0 || items == maxChunk || items > 0 && len(s.val) > maxChunkBytes {
			break
		}
		s.val = appendEntry(s.val, &n.entry, n.h.name, base)
		items++
	}
	return items
}

// publish makes what was written known to the queues.
func (f *Frontier) publish(pieces []piece) {
	f.mu.Lock()
	defer f.unlock()
	now := f.advance()
	for i, p := range pieces {
		h := p.h
		if p.due != 0 {
			h.waiting++
			f.stats.Waiting++
			f.holdBack(h, p.due, now)
			continue
		}
		q := h.queueOf(p.level)
		if q == nil {
			h.levels = append(h.levels, queue{level: p.level, head: p.n, tail: p.n, since: now})
			q = &h.levels[len(h.levels)-1]
		}
		q.tail = p.n + 1
		h.queued += p.items
		f.stats.Queued += int64(p.items)
		if i+1 < len(pieces) && pieces[i+1].h == h && pieces[i+1].due == 0 {
			continue // placed with the last of its pieces
		}
		f.rank(h, now)
	}
	f.wakeUp()
}

// rank places a host that has got items. One that waits its turn keeps it, unless it has
// something more urgent now. The caller holds mu.
func (f *Frontier) rank(h *host, now int64) {
	switch h.state {
	case StateLeased, StateHeld, StateDamaged, StateSpent:
	case StateReady:
		if l := h.best(f.step).level; l < h.level && !h.overdue(now) {
			f.ready.remove(f.hosts, h)
			f.list(h, now)
		}
	default:
		f.place(h, now)
	}
}
