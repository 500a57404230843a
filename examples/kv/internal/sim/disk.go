package sim

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

var errRead = errors.New("sim: bad sector")

// disk is a store that keeps in a crash what was synced and, of the rest, the oldest
// part: what a log would.
type disk struct {
	keys    []string // sorted
	vals    map[string][]byte
	log     []change // not durable yet
	token   uint64   // of the last Apply
	durable uint64

	full bool
	bad  uint64 // 0, or: every bad-th key cannot be read
}

// change is what an Apply replaced.
type change struct {
	token uint64
	old   []core.Entry
}

func newDisk() *disk { return &disk{vals: map[string][]byte{}} }

// clone is a backup of what is durable.
func (d *disk) clone() *disk {
	c := &disk{keys: slices.Clone(d.keys), vals: map[string][]byte{}, log: slices.Clone(d.log), token: d.token, durable: d.durable}
	for k, v := range d.vals {
		c.vals[k] = v
	}
	c.crash(0)
	return c
}

func (d *disk) unreadable(key []byte) bool {
	return d.bad > 0 && key[0] != 'm' && xxhash.Sum64(key)%d.bad == 0
}

// Get implements core.Store.
func (d *disk) Get(key []byte) ([]byte, error) {
	if d.unreadable(key) {
		return nil, errRead
	}
	return d.vals[string(key)], nil
}

// Scan implements core.Store.
func (d *disk) Scan(prefix, after []byte) iter.Seq2[core.Entry, error] {
	return func(yield func(core.Entry, error) bool) {
		from := string(prefix)
		if bytes.Compare(after, prefix) >= 0 {
			from = string(after) + "\x00"
		}
		i, _ := slices.BinarySearch(d.keys, from)
		for ; i < len(d.keys) && strings.HasPrefix(d.keys[i], string(prefix)); i++ {
			k := []byte(d.keys[i])
			if d.unreadable(k) {
				yield(core.Entry{}, errRead)
				return
			}
			if !yield(core.Entry{Key: k, Value: d.vals[d.keys[i]]}, nil) {
				return
			}
		}
	}
}

// Apply implements core.Store.
func (d *disk) Apply(writes ...core.Entry) (uint64, error) {
	if d.full {
		return 0, core.ErrNoSpace
	}
	d.token++
	c := change{token: d.token}
	for _, w := range writes {
		k := string(w.Key)
		c.old = append(c.old, core.Entry{Key: []byte(k), Value: d.vals[k]})
		d.set(k, bytes.Clone(w.Value))
	}
	d.log = append(d.log, c)
	return d.token, nil
}

// Writable implements core.Store. It notices late what Apply would.
func (d *disk) Writable() error {
	if d.full && d.token%2 == 0 {
		return core.ErrNoSpace
	}
	return nil
}

func (d *disk) set(k string, v []byte) {
	i, there := slices.BinarySearch(d.keys, k)
	switch {
	case v == nil && there:
		d.keys = slices.Delete(d.keys, i, i+1)
		delete(d.vals, k)
	case v != nil && !there:
		d.keys = slices.Insert(d.keys, i, k)
	}
	if v != nil {
		d.vals[k] = v
	}
}

// synced makes all writes up to a token durable.
func (d *disk) synced(token uint64) {
	d.durable = max(d.durable, token)
	i := 0
	for i < len(d.log) && d.log[i].token <= token {
		i++
	}
	d.log = d.log[i:]
}

// crash forgets what is not durable, but for so many writes.
func (d *disk) crash(keep int) {
	for i := len(d.log) - 1; i >= keep; i-- {
		for _, e := range slices.Backward(d.log[i].old) {
			d.set(string(e.Key), e.Value)
		}
	}
	d.log = nil
	d.durable = d.token
}
