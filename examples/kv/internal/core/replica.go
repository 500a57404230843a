package core

import (
	"fmt"
	"iter"

	"github.com/ashlar-go/ashlar/merkle"
	"github.com/ashlar-go/ashlar/vclock"
)

// partition is what a node knows of one partition of the table. Objects, tree and
// tombstones of partitions that are not mine may still be stored from an earlier table;
// they are neither served nor touched.
type partition struct {
	id     int
	owners []string
	mine   bool

	tree     *merkle.Sync          // of the objects here
	written  int64                 // when it last changed here
	suspects map[string]*suspicion // by peer; see suspect.go

	tombs map[string]int64 // keys that are tombstones, and since when they durably have not changed
	keys  int64            // with a value
	bytes int64            // of keys and objects

	ready    bool                       // may be read here; see links.go
	level    map[string]bool            // while fresh: owners this one is level with
	missing  map[string]map[uint64]bool // while fresh: what a comparison with an owner found missing here
	hints    int                        // hints that this node keeps for it
	hintGone int64                      // when this node last let go of a hint for it
}

// load builds trees and counters from the store.
func (n *Node) load() error {
	t := n.o.Table
	for p := range t.Options().Partitions {
		part := &partition{
			id: p, tombs: map[string]int64{}, level: map[string]bool{}, missing: map[string]map[uint64]bool{},
			hintGone: n.now.Mono, written: n.now.Mono - n.o.Settle, suspects: map[string]*suspicion{},
			tree: merkle.NewSync(merkle.SyncOptions{Levels: n.o.TreeLevels, Seed: n.o.TreeSeed}),
		}
		for _, o := range t.Owners(p) {
			part.owners = append(part.owners, o.ID)
			part.mine = part.mine || o.ID == n.o.ID
		}
		n.parts = append(n.parts, part)
	}
	for e, err := range n.o.Store.Scan([]byte{'o'}, nil) {
		if err != nil {
			return err
		}
		p, key, ok := objectOf(e.Key)
		if !ok || p >= len(n.parts) {
			return fmt.Errorf("%w: stored key %.40q", ErrMalformed, e.Key)
		}
		obj, err := DecodeObject(e.Value)
		if err != nil {
			return fmt.Errorf("%.40q: %w", key, err)
		}
		n.account(n.parts[p], key, nil, e.Value, nil, &obj)
		if obj.Tombstone() {
			n.parts[p].tombs[string(key)] = n.now.Mono
		}
	}
	if err := n.loadHints(); err != nil {
		return err
	}
	n.repair.load(n)
	if err := n.loadMeta(); err != nil {
		return err
	}
	n.settle()
	return nil
}

// account follows an object's change in tree and counters.
func (n *Node) account(part *partition, key, was, is []byte, before, after *Object) {
	part.tree.Update(key, Digest(was), Digest(is))
	count := func(enc []byte, o *Object, sign int64) {
		if len(enc) > 0 {
			part.bytes += sign * int64(len(key)+len(enc))
			if !o.Tombstone() {
				part.keys += sign
			}
		}
	}
	count(was, before, -1)
	count(is, after, 1)
}

// stored reads an object; none is the zero object.
func (n *Node) stored(part *partition, key []byte) (obj Object, enc []byte, err error) {
	enc, err = n.o.Store.Get(objectKey(part.id, key))
	if err == nil {
		if obj, err = DecodeObject(enc); err == nil {
			return obj, enc, nil
		}
	}
	n.damaged(err)
	if planted(BugErrorIsNotFound) {
		return Object{}, nil, nil
	}
	return Object{}, nil, err
}

// damaged takes note of a read that failed. What the disk forgot may include dots of this
// tenure's, so another begins.
func (n *Node) damaged(err error) {
	n.stats.Damaged++
	n.stats.Damage = err.Error()
	n.note("", "cannot read what is stored: %v", err)
	if n.now.Mono < n.stats.nextActor {
		return
	}
	n.stats.nextActor = n.now.Mono + n.o.MaxTimeout
	if err := n.newActor(); err != nil {
		n.stats.Damage = err.Error()
	}
}

// keep stores what a key's object has become, along with other writes, and returns the
// token and the encoding.
func (n *Node) keep(part *partition, key, was []byte, before, after *Object, also ...Entry) (token uint64, enc []byte, err error) {
	enc = EncodeObject(after)
	k := objectKey(part.id, key)
	token, err = n.o.Store.Apply(append(also, Entry{k, enc})...)
	if err != nil {
		n.stats.Refusals++
		return 0, nil, err
	}
	n.account(part, key, was, enc, before, after)
	part.written = n.now.Mono
	n.wrote(k, token)
	delete(part.tombs, string(key))
	if after.Tombstone() {
		part.tombs[string(key)] = never
		n.whenDurable(token, func() {
			// Its age counts from here, if nothing was written since.
			if part.tombs[string(key)] == never && n.fences.dirty[string(k)] == 0 {
				part.tombs[string(key)] = n.now.Mono
			}
		})
	}
	return token, enc, nil
}

// merge joins an object into a key's and returns the token to wait for. Objects come from
// peers; what they say is never a reason to drop what is here.
func (n *Node) merge(part *partition, key []byte, in Object) (token uint64, digest uint64, news bool, err error) {
	obj, was, err := n.stored(part, key)
	if err != nil {
		return 0, 0, false, err
	}
	before := obj
	switch obj.Compare(in) {
	case vclock.Equal, vclock.After:
		if len(was) > 0 || in.IsZero() {
			return n.fences.dirty[string(objectKey(part.id, key))], Digest(was), false, nil
		}
	}
	switch {
	case planted(BugOverwrite):
		obj = in
	case planted(BugLastWriteWins):
		if latest(&in) <= latest(&obj) {
			return 0, Digest(was), false, nil
		}
		obj = in
	default:
		obj.Merge(in)
	}
	if planted(BugTreeSkips) {
		enc := EncodeObject(&obj)
		k := objectKey(part.id, key)
		token, err = n.o.Store.Apply(Entry{k, enc})
		n.wrote(k, token)
		return token, Digest(enc), true, err
	}
	token, enc, err := n.keep(part, key, was, &before, &obj)
	return token, Digest(enc), true, err
}

// latest is the wall clock of the newest value.
func latest(o *Object) (at int64) {
	for _, v := range o.Values() {
		at = max(at, v.Written)
	}
	return at
}

// codeOf is the code for an error of the store.
func codeOf(err error) Code {
	switch {
	case err == nil:
		return OK
	case isNoSpace(err):
		return NoSpace
	}
	return Damaged
}

// offered answers whether an object with this digest is wanted.
func (n *Node) offered(from string, m *Message, part *partition) {
	_, enc, err := n.stored(part, m.Key)
	switch {
	case err != nil:
		n.refuse(from, m, codeOf(err))
	case Digest(enc) == m.Digest:
		n.arrived(part, m.Key, from)
		n.whenKeyDurable(objectKey(part.id, m.Key), func() { n.reply(from, m, Message{Digest: m.Digest}) })
	case n.coming[m.Digest] > n.now.Mono:
		n.reply(from, m, Message{Code: Coming})
	default:
		n.coming[m.Digest] = n.now.Mono + n.o.Timeout
		n.reply(from, m, Message{Code: Wanted})
	}
}

// mergeAt is a peer's: its write, its repair or its hint.
func (n *Node) mergeAt(from string, m *Message, part *partition) {
	if len(m.Object) == 0 && m.Digest != 0 {
		n.offered(from, m, part)
		return
	}
	in, err := DecodeObject(m.Object)
	if err != nil || in.IsZero() {
		n.refuse(from, m, Malformed)
		return
	}
	token, digest, news, err := n.merge(part, m.Key, in)
	if err != nil {
		n.refuse(from, m, codeOf(err))
		return
	}
	delete(n.coming, digest)
	if news {
		n.stats.Merged++
	}
	if m.Counts[0] == 1 { // all that an owner has of the key
		n.arrived(part, m.Key, from)
	}
	n.whenDurable(token, func() { n.reply(from, m, Message{Digest: digest}) })
}

// readAt answers with the object or, if m.Digest is 1, with its digest alone.
func (n *Node) readAt(from string, m *Message, part *partition) {
	code, enc := n.readable(part, m.Key)
	if code != OK {
		n.refuse(from, m, code)
		return
	}
	r := Message{Digest: Digest(enc)}
	if m.Digest != 1 {
		r.Object = enc
	}
	n.whenKeyDurable(objectKey(part.id, m.Key), func() { n.reply(from, m, r) })
}

// readable reads a key for somebody who counts on it.
func (n *Node) readable(part *partition, key []byte) (Code, []byte) {
	if !part.ready {
		return Rebuilding, nil
	}
	_, enc, err := n.stored(part, key)
	return codeOf(err), enc
}

// items is the partition as its tree sees it; see [merkle.Source].
func (n *Node) items(part *partition) merkle.SourceFunc {
	return func(leaves []uint32) iter.Seq2[merkle.Item, error] {
		open := make(map[uint32]bool, len(leaves))
		for _, l := range leaves {
			open[l] = true
		}
		return func(yield func(merkle.Item, error) bool) {
			prefix := partitionPrefix(part.id)
			for e, err := range n.o.Store.Scan(prefix, nil) {
				if err != nil {
					n.damaged(err)
					yield(merkle.Item{}, err)
					return
				}
				key := e.Key[len(prefix):]
				if (len(leaves) == 0 || open[part.tree.Leaf(key)]) && !yield(merkle.Item{Key: key, Version: Digest(e.Value)}, nil) {
					return
				}
			}
		}
	}
}
