package core

import (
	"bytes"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/ring"
)

// mapStore is a Store in memory, durable at once.
type mapStore map[string][]byte

func (s mapStore) Get(key []byte) ([]byte, error) { return s[string(key)], nil }

func (s mapStore) Scan(prefix, after []byte) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var keys []string
		for k := range s {
			if strings.HasPrefix(k, string(prefix)) && (len(after) == 0 || k > string(after)) {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			if !yield(Entry{[]byte(k), s[k]}, nil) {
				return
			}
		}
	}
}

func (s mapStore) Apply(writes ...Entry) (uint64, error) {
	for _, w := range writes {
		if w.Value == nil {
			delete(s, string(w.Key))
		} else {
			s[string(w.Key)] = bytes.Clone(w.Value)
		}
	}
	return 0, nil
}

func (s mapStore) Writable() error { return nil }

func testOptions(t testing.TB, members ...string) Options {
	nodes := make([]ring.Node, len(members))
	for i, m := range members {
		nodes[i].ID = m
	}
	table, err := ring.NewTable(ring.TableOptions{Partitions: 4, Replicas: 3}, nodes...)
	require.NoError(t, err)
	return Options{ID: "a", Table: table, Store: mapStore{}, Rand: rand.NewChaCha8([32]byte{1}), Secret: []byte("s")}
}

// alone is a node whose peers never speak.
func alone(t testing.TB) *Node {
	n, err := New(testOptions(t, "a", "b", "c"), Time{Mono: 1, Wall: 1})
	require.NoError(t, err)
	return n
}

// single is a cluster of one, which needs nobody.
func single(t testing.TB) *Node {
	n, err := New(testOptions(t, "a"), Time{Mono: 1, Wall: 1})
	require.NoError(t, err)
	return n
}

func ask(t testing.TB, n *Node, r Request) *Done {
	t.Helper()
	for _, o := range n.Step(n.now, r) {
		if d, ok := o.(*Done); ok {
			return d
		}
	}
	t.Fatal("no answer")
	return nil
}

func TestSingle(t *testing.T) {
	n := single(t)
	key := []byte("k")
	w := ask(t, n, Request{Action: Put, Key: key, Value: []byte("v1")})
	require.NoError(t, w.Err)
	require.Equal(t, 1, w.Written.Primaries)
	r := ask(t, n, Request{Action: Get, Key: key})
	require.NoError(t, r.Err)
	require.Equal(t, "v1", string(r.Read.Values[0].Data))

	blind := ask(t, n, Request{Action: Put, Key: key, Value: []byte("v2"), Write: api.WriteOptions{Mode: api.Blind}})
	require.NoError(t, blind.Err)
	require.Nil(t, blind.Written.Context, "siblings that the writer has not seen")
	r = ask(t, n, Request{Action: Get, Key: key})
	require.Len(t, r.Read.Values, 2)

	require.NoError(t, ask(t, n, Request{Action: Delete, Key: key, Write: api.WriteOptions{Mode: api.Given, Context: r.Read.Context}}).Err)
	r = ask(t, n, Request{Action: Get, Key: key})
	require.NoError(t, r.Err)
	require.Empty(t, r.Read.Values)
	require.NotEmpty(t, r.Read.Context)
}

// TestBadRequests lists what a client can ask wrongly.
func TestBadRequests(t *testing.T) {
	n := single(t)
	k := []byte("k")
	good := ask(t, n, Request{Action: Put, Key: k, Value: []byte("v")}).Written.Context
	forged := bytes.Clone(good)
	forged[len(forged)-1]++
	long := make([]byte, api.MaxKey+1)
	for name, c := range map[string]struct {
		r    Request
		want error
	}{
		"no key":                   {Request{Action: Get}, api.ErrEmptyKey},
		"key too long":             {Request{Action: Get, Key: long}, api.ErrKeyTooLarge},
		"put without a key":        {Request{Action: Put}, api.ErrEmptyKey},
		"put of a key too long":    {Request{Action: Put, Key: long}, api.ErrKeyTooLarge},
		"value too long":           {Request{Action: Put, Key: k, Value: make([]byte, api.MaxValue+1)}, api.ErrValueTooLarge},
		"r over n":                 {Request{Action: Get, Key: k, Read: api.ReadOptions{R: 2}}, api.ErrQuorum},
		"negative r":               {Request{Action: Get, Key: k, Read: api.ReadOptions{R: -1}}, api.ErrQuorum},
		"w over n":                 {Request{Action: Put, Key: k, Write: api.WriteOptions{W: 2}}, api.ErrQuorum},
		"negative time to live":    {Request{Action: Put, Key: k, Write: api.WriteOptions{TTL: -1}}, api.ErrTTL},
		"forged context":           {Request{Action: Put, Key: k, Write: api.WriteOptions{Mode: api.Given, Context: forged}}, api.ErrContext},
		"short context":            {Request{Action: Put, Key: k, Write: api.WriteOptions{Mode: api.Given, Context: []byte{1}}}, api.ErrContext},
		"context of another key":   {Request{Action: Put, Key: []byte("j"), Write: api.WriteOptions{Mode: api.Given, Context: good}}, api.ErrContext},
		"there although it is":     {Request{Action: Put, Key: k, Write: api.WriteOptions{If: api.IfAbsent}}, api.ErrCondition},
		"scan from a key too long": {Request{Action: Scan, Scan: api.ScanOptions{After: long}}, api.ErrKeyTooLarge},
		"scan with r over n":       {Request{Action: Scan, Scan: api.ScanOptions{ReadOptions: api.ReadOptions{R: 9}}}, api.ErrQuorum},
		"no such action":           {Request{Action: 99, Key: k}, ErrMalformed},
	} {
		require.ErrorIs(t, ask(t, n, c.r).Err, c.want, name)
	}
	r := ask(t, n, Request{Action: Get, Key: k})
	require.Equal(t, "v", string(r.Read.Values[0].Data), "after all that")
}

// TestTooManySiblings: blind writes end in an error, not in an object without bound.
func TestTooManySiblings(t *testing.T) {
	n := single(t)
	n.o.Siblings = 3
	blind := api.WriteOptions{Mode: api.Blind}
	for range 3 {
		require.NoError(t, ask(t, n, Request{Action: Put, Key: []byte("k"), Write: blind}).Err)
	}
	require.ErrorIs(t, ask(t, n, Request{Action: Put, Key: []byte("k"), Write: blind}).Err, api.ErrSiblings)
	require.NoError(t, ask(t, n, Request{Action: Put, Key: []byte("k")}).Err, "one that replaces them")
}

func TestBadOptions(t *testing.T) {
	good := testOptions(t, "a", "b", "c")
	for name, spoil := range map[string]func(*Options){
		"no id":          func(o *Options) { o.ID = "" },
		"no table":       func(o *Options) { o.Table = nil },
		"no store":       func(o *Options) { o.Store = nil },
		"no randomness":  func(o *Options) { o.Rand = nil },
		"not a member":   func(o *Options) { o.ID = "z" },
		"negative limit": func(o *Options) { o.Lifetime = -1 },
	} {
		o := good
		spoil(&o)
		_, err := New(o, Time{Mono: 1})
		require.ErrorIs(t, err, ErrOptions, name)
	}
	o := good
	o.Rand = strings.NewReader("")
	_, err := New(o, Time{Mono: 1})
	require.Error(t, err)
}

// TestStrangers: messages that no node of this cluster and of this time sends are
// refused, and the node goes on.
func TestStrangers(t *testing.T) {
	n := alone(t)
	key := []byte("k")
	good := func() *Message {
		return &Message{
			Kind: Read, ID: 7, Epoch: n.epoch, Tenure: 5, ToTenure: n.tenure, Echo: uint64(n.now.Mono),
			Partition: n.o.Table.PartitionOf(key), Key: key,
		}
	}
	answer := func(from string, m *Message) (c Code, answered bool) {
		for _, o := range n.Step(n.now, Received{From: from, Message: m}) {
			if s, ok := o.(*Send); ok && s.Message.Reply {
				require.Equal(t, from, s.To)
				require.Equal(t, m.Tenure, s.Message.ToTenure)
				return s.Message.Code, true
			}
		}
		return 0, false
	}
	for name, c := range map[string]struct {
		spoil func(*Message)
		want  Code
	}{
		"wrong epoch":     {func(m *Message) { m.Epoch++ }, WrongEpoch},
		"earlier tenure":  {func(m *Message) { m.ToTenure++ }, Stale},
		"too old":         {func(m *Message) { m.Echo = 0; n.now.Mono = n.o.Lifetime + 1 }, Stale},
		"from the future": {func(m *Message) { m.Echo += 1 << 40 }, Stale},
		"no partition":    {func(m *Message) { m.Partition = 99 }, Malformed},
		"wrong partition": {func(m *Message) { m.Partition ^= 1 }, Malformed},
		"no key":          {func(m *Message) { m.Key = nil }, Malformed},
		"no object":       {func(m *Message) { m.Kind = Merge }, Malformed},
		"no order":        {func(m *Message) { m.Kind = Forward }, Malformed},
		"no frame":        {func(m *Message) { m.Kind = Exchange }, Malformed},
		"no arguments":    {func(m *Message) { m.Kind = Page }, Malformed},
		"bad ballot":      {func(m *Message) { m.Kind = Vote; m.Frame = []byte{1} }, Malformed},
		"no hint":         {func(m *Message) { m.Kind = StoreHint; m.Target = "b" }, Malformed},
		"not rebuilt":     {func(*Message) {}, Rebuilding},
	} {
		m := good()
		c.spoil(m)
		got, answered := answer("b", m)
		require.True(t, answered, name)
		require.Equal(t, c.want, got, name)
	}
	_, answered := answer("z", good())
	require.False(t, answered, "not a member")
	require.Empty(t, n.Step(n.now, Received{From: "b"}), "no message")
	n.Step(n.now, Received{From: "b", Message: &Message{Kind: Merge, Reply: true, ID: 99, ToTenure: n.tenure, Echo: uint64(n.now.Mono)}})
	n.Step(n.now, Lost{To: "z", Message: nil})
	n.Step(n.now, Durable{Token: 1 << 60})
	n.Step(Time{Mono: -5}, Tick{})
	n.Step(n.now, Alive{Peer: "nobody"})
	require.Positive(t, n.Stats().Refused)
}

// brokenStore fails to be written.
type brokenStore struct {
	mapStore
	err error
}

func (s *brokenStore) Apply(w ...Entry) (uint64, error) {
	if s.err != nil {
		return 0, s.err
	}
	return s.mapStore.Apply(w...)
}

func (s *brokenStore) Writable() error { return s.err }

// TestDiskFull: a write that the disk refuses is refused, changes nothing, and the next
// succeeds when there is space.
func TestDiskFull(t *testing.T) {
	o := testOptions(t, "a")
	disk := &brokenStore{mapStore: mapStore{}}
	o.Store = disk
	n, err := New(o, Time{Mono: 1, Wall: 1})
	require.NoError(t, err)
	put := Request{Action: Put, Key: []byte("k"), Value: []byte("v")}
	for _, c := range []struct{ fault, want error }{{ErrNoSpace, api.ErrNoSpace}, {errors.New("torn"), api.ErrDamaged}} {
		disk.err = c.fault
		require.ErrorIs(t, ask(t, n, put).Err, c.want)
		require.Empty(t, ask(t, n, Request{Action: Get, Key: []byte("k")}).Read.Values)
	}
	disk.err = nil
	require.NoError(t, ask(t, n, put).Err)
	drifts, err := n.CheckTree(n.o.Table.PartitionOf([]byte("k")))
	require.NoError(t, err)
	require.Zero(t, drifts)
}
