// Package apitest has a store in memory with the semantics of the real one, siblings
// and all, for tests of the front ends.
package apitest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// Memory is an api.Store of one node. A context is the number of the last write that a
// reader has seen. It is safe for concurrent use.
type Memory struct {
	Now func() time.Time
	N   int // owners, for the check of r and w

	mu    sync.Mutex
	fail  error               // guarded by mu: returned by every call
	clock uint64              // guarded by mu
	data  map[string][]record // guarded by mu
}

type record struct {
	at    uint64
	value api.Value
}

var _ api.Store = (*Memory)(nil)

// New makes an empty store with three owners.
func New() *Memory { return &Memory{Now: time.Now, N: 3, data: map[string][]record{}} }

// Fail makes every call return err, until it is called with nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Get implements api.Store.
func (m *Memory) Get(ctx context.Context, key []byte, o api.ReadOptions) (*api.Read, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, o); err != nil {
		return nil, err
	}
	if err := api.CheckKey(key); err != nil {
		return nil, err
	}
	return m.read(string(key)), nil
}

// Put implements api.Store.
func (m *Memory) Put(ctx context.Context, key, value []byte, o api.WriteOptions) (*api.Written, error) {
	return m.write(ctx, key, value, o, false)
}

// Delete implements api.Store.
func (m *Memory) Delete(ctx context.Context, key []byte, o api.WriteOptions) (*api.Written, error) {
	return m.write(ctx, key, nil, o, true)
}

// Scan implements api.Store.
func (m *Memory) Scan(ctx context.Context, prefix []byte, o api.ScanOptions) (*api.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, o.ReadOptions); err != nil {
		return nil, err
	}
	limit := o.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, api.MaxPage)
	p := &api.Page{}
	for _, k := range slices.Sorted(maps.Keys(m.data)) {
		if !bytes.HasPrefix([]byte(k), prefix) || k <= string(o.After) && o.After != nil {
			continue
		}
		r := m.read(k)
		if len(r.Values) == 0 {
			continue
		}
		if len(p.Entries) == limit {
			p.Next = bytes.Clone(p.Entries[limit-1].Key)
			return p, nil
		}
		if o.KeysOnly {
			r.Values = nil
		}
		p.Entries = append(p.Entries, api.Entry{Key: []byte(k), Read: *r})
	}
	return p, nil
}

// Status implements api.Store.
func (m *Memory) Status() any { return map[string]string{"node": "memory"} }

func (m *Memory) ready(ctx context.Context, o api.ReadOptions) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.fail != nil {
		return m.fail
	}
	_, err := api.Need(o.Level, o.R, m.N)
	return err
}

// read returns the live values of a key. The caller holds mu.
func (m *Memory) read(key string) *api.Read {
	r := &api.Read{Answers: m.N/2 + 1, Epoch: 1}
	var seen uint64
	for _, rec := range m.data[key] {
		seen = max(seen, rec.at)
		if rec.value.Expires.IsZero() || rec.value.Expires.After(m.Now()) {
			r.Values = append(r.Values, rec.value)
		}
	}
	if seen > 0 {
		r.Context = encode(seen)
	}
	return r
}

func (m *Memory) write(ctx context.Context, key, value []byte, o api.WriteOptions, del bool) (*api.Written, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ready(ctx, api.ReadOptions{Level: o.Level, R: o.W}); err != nil {
		return nil, err
	}
	if err := api.CheckWrite(key, value, o); err != nil {
		return nil, err
	}
	now := m.read(string(key))
	if o.If == api.IfAbsent && len(now.Values) > 0 || o.If == api.IfPresent && len(now.Values) == 0 {
		return nil, api.ErrCondition
	}
	seen := m.clock
	switch o.Mode {
	case api.Blind:
		seen = 0
	case api.Given:
		var err error
		if seen, err = decode(o.Context); err != nil || seen > m.clock {
			return nil, fmt.Errorf("%w: %x", api.ErrContext, o.Context)
		}
	}
	m.clock++
	keep := slices.DeleteFunc(m.data[string(key)], func(r record) bool { return r.at <= seen })
	if !del {
		v := api.Value{Data: bytes.Clone(value), Written: m.Now()}
		if o.TTL > 0 {
			v.Expires = m.Now().Add(o.TTL)
		}
		keep = append(keep, record{m.clock, v})
	}
	m.data[string(key)] = keep
	return &api.Written{Context: encode(m.clock), Primaries: m.N/2 + 1, Epoch: 1}, nil
}

func encode(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func decode(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, api.ErrContext
	}
	return binary.BigEndian.Uint64(b), nil
}
