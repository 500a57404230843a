package core

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// A scan asks every node that is up for its next keys with the prefix, and merges. It
// needs R owners of every partition among them. A node that had more than it sent bounds
// what is known: beyond its last key, others cannot tell.
//
//	n1   a c f │ more…        horizon f: a b c d e f are complete,
//	n2   b d e f g h          g and h are for the next page
//
// A page shows every key whose write was acknowledged before the scan began, and no key
// twice. It repairs nothing; pages are not monotone as reads are.

// pageBytes bounds one node's answer.
const pageBytes = 4 << 20

func (n *Node) scan(r Request) {
	if len(r.Key) > api.MaxKey || len(r.Scan.After) > api.MaxKey {
		n.done(Done{ID: r.ID, Err: api.ErrKeyTooLarge})
		return
	}
	need, err := api.Need(r.Scan.Level, r.Scan.R, min(n.o.Table.Options().Replicas, len(n.members)))
	if err != nil {
		n.done(Done{ID: r.ID, Err: err})
		return
	}
	limit := r.Scan.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, api.MaxPage)
	n.stats.Reads++
	g := &gathering{n: n, r: r, need: need, limit: limit, objects: map[string]*Object{}, cover: make([]int, len(n.parts))}
	g.op = n.begin(n.life(r.Timeout))
	g.op.on = g.reply
	g.op.expired = func() { g.finish(true) }
	q := &Message{Kind: Page, Key: r.Key, Frame: pageArgs(limit, r.Scan.After)}
	for _, id := range n.members {
		if id != n.o.ID && n.up(id) {
			m := *q
			n.call(g.op, id, &m)
		}
	}
	m, gate := n.pageOf(r.Key, r.Scan.After, limit)
	g.self = true
	n.whenDurable(gate, func() {
		if n.live(g.op) {
			g.self = false
			g.reply(n.o.ID, m)
		}
	})
}

func pageArgs(limit int, after []byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(limit)), after...)
}

// page answers a peer's scan.
func (n *Node) page(from string, m *Message) {
	limit, size := binary.Uvarint(m.Frame)
	if size <= 0 || limit == 0 || limit > api.MaxPage || len(m.Key) > api.MaxKey || len(m.Frame)-size > api.MaxKey {
		n.refuse(from, m, Malformed)
		return
	}
	var after []byte
	if len(m.Frame) > size {
		after = m.Frame[size:]
	}
	r, gate := n.pageOf(m.Key, after, int(limit))
	n.whenDurable(gate, func() { n.reply(from, m, *r) })
}

// pageOf is this node's part of a page: in Frame, pairs of keys and objects; in Object,
// the partitions that it covers as bits; Digest is 1 if there is more. What it shows is
// durable with the token gate.
func (n *Node) pageOf(prefix, after []byte, limit int) (m *Message, gate uint64) {
	m = &Message{Kind: Page, Object: make([]byte, (len(n.parts)+7)/8)}
	var rows []*row
	for _, part := range n.parts {
		if !part.mine || !part.ready {
			continue
		}
		m.Object[part.id/8] |= 1 << (part.id % 8)
		var from []byte
		if len(after) > 0 {
			from = objectKey(part.id, after)
		}
		next, stop := iter.Pull2(n.o.Store.Scan(objectKey(part.id, prefix), from))
		defer stop()
		if w := (&row{next: next}); w.advance() {
			rows = append(rows, w)
		} else if w.err != nil {
			return n.damagedPage(w.err)
		}
	}
	count := 0
	for len(rows) > 0 {
		i := 0
		for j := range rows {
			if bytes.Compare(rows[j].key, rows[i].key) < 0 {
				i = j
			}
		}
		if count == limit || len(m.Frame) >= pageBytes {
			m.Digest = 1
			break
		}
		w := rows[i]
		m.Frame = appendList(m.Frame, w.key, w.value)
		gate = max(gate, n.fences.dirty[string(w.full)])
		count++
		if !w.advance() {
			if w.err != nil {
				return n.damagedPage(w.err)
			}
			rows = slices.Delete(rows, i, i+1)
		}
	}
	return m, gate
}

func (n *Node) damagedPage(err error) (*Message, uint64) {
	n.damaged(err)
	return &Message{Kind: Page, Code: Damaged}, 0
}

// row is one partition's keys, in order.
type row struct {
	next             func() (Entry, error, bool)
	full, key, value []byte
	err              error
}

func (w *row) advance() bool {
	e, err, ok := w.next()
	if !ok || err != nil {
		w.err = err
		return false
	}
	_, key, ok := objectOf(e.Key)
	if !ok {
		w.err = fmt.Errorf("%w: stored key %.40q", ErrMalformed, e.Key)
		return false
	}
	w.full, w.key, w.value = append(w.full[:0], e.Key...), append(w.key[:0], key...), append(w.value[:0], e.Value...)
	return true
}

// gathering is a scan's page in the making.
type gathering struct {
	n       *Node
	op      *op
	r       Request
	need    int
	limit   int
	self    bool // our own part is still to come
	objects map[string]*Object
	cover   []int  // owners that answered, for each partition
	horizon []byte // the last key that is complete; nil: all
	bounded bool
	bad     Code
}

func (g *gathering) reply(_ string, m *Message) {
	if c := g.take(m); c != OK {
		g.bad = c
	}
	if len(g.op.waiting) == 0 && !g.self {
		g.finish(false)
	}
}

func (g *gathering) take(m *Message) Code {
	if m.Code != OK {
		return m.Code
	}
	parts, err := parseList(m.Frame)
	if err != nil || len(parts)%2 != 0 || len(m.Object) != (len(g.cover)+7)/8 {
		return Malformed
	}
	objs := make([]Object, len(parts)/2)
	for i := range objs {
		if objs[i], err = DecodeObject(parts[2*i+1]); err != nil {
			return Malformed
		}
	}
	for i := range objs {
		k := string(parts[2*i])
		if o := g.objects[k]; o != nil {
			o.Merge(objs[i])
		} else {
			g.objects[k] = &objs[i]
		}
	}
	if m.Digest == 1 && len(parts) > 0 {
		last := parts[len(parts)-2]
		if !g.bounded || bytes.Compare(last, g.horizon) < 0 {
			g.bounded, g.horizon = true, last
		}
	}
	for p := range g.cover {
		if m.Object[p/8]&(1<<(p%8)) != 0 {
			g.cover[p]++
		}
	}
	return OK
}

func (g *gathering) finish(late bool) {
	n := g.n
	if !late {
		n.end(g.op)
	}
	for p, have := range g.cover {
		if have < min(g.need, len(n.parts[p].owners)) {
			n.stats.Failed++
			n.done(Done{ID: g.r.ID, Err: fail(g.bad, "partition %d: %d of %d answers (%v)", p, have, g.need, g.bad)})
			return
		}
	}
	keys := make([]string, 0, len(g.objects))
	for k := range g.objects {
		if !g.bounded || k <= string(g.horizon) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	page := &api.Page{}
	for i, k := range keys {
		if len(page.Entries) == g.limit {
			g.bounded, g.horizon = true, []byte(keys[i-1])
			break
		}
		obj := g.objects[k]
		res := n.result([]byte(k), obj, g.cover[n.o.Table.Partition(k)])
		if len(res.Values) == 0 {
			continue
		}
		if g.r.Scan.KeysOnly {
			for i := range res.Values {
				res.Values[i].Data = nil
			}
		}
		page.Entries = append(page.Entries, api.Entry{Key: []byte(k), Read: *res})
	}
	if g.bounded {
		page.Next = g.horizon
	}
	n.done(Done{ID: g.r.ID, Page: page})
}
