package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Item is a value of a Group. Who gets one must not change its bytes.
type Item struct {
	Value   []byte
	Expires time.Time // zero: by GroupOptions.TTL alone
	Version uint64    // of the loader's choice; passed on
	// QPS is how often the owner is asked for the key, in requests a second; the owner's
	// group sets it, and transports carry it, so that peers know what to mirror.
	QPS float64
}

// Peer is the transport to the same group in another process.
type Peer interface {
	// Fetch asks the peer's Group.Serve. An error that wraps ErrNotFound there must do so here.
	Fetch(ctx context.Context, group, key string) (Item, error)
	// Remove asks the peer's Group.Drop.
	Remove(ctx context.Context, group, key string) error
}

// Picker knows the processes of a group. See PickBy for one that is made of a ring.
type Picker interface {
	// Owner is the process that loads and keeps the key; nil is this one.
	Owner(key string) Peer
	// Peers are all processes but this one.
	Peers() []Peer
}

// PickBy makes a Picker of anything that names a key's owner, as ring.Ring does, and of a
// function that gives the Peer of an owner, nil for this process.
func PickBy[N any](by interface{ Owner(key string) (N, bool) }, peer func(N) Peer, all func() []Peer) Picker {
	return picker[N]{by, peer, all}
}

type picker[N any] struct {
	by   interface{ Owner(key string) (N, bool) }
	peer func(N) Peer
	all  func() []Peer
}

func (p picker[N]) Owner(key string) Peer {
	if n, ok := p.by.Owner(key); ok {
		return p.peer(n)
	}
	return nil
}

func (p picker[N]) Peers() []Peer { return p.all() }

// GroupOptions describe a Group. Name, Picker and Load are needed.
type GroupOptions struct {
	Name   string // the same in all processes
	Picker Picker
	// Load brings a value from the source, in the process that owns the key, or in another
	// if that one cannot be reached.
	Load func(ctx context.Context, key string) (Item, error)
	// MaxBytes bounds keys and values that this process owns; an eighth more is for mirrored
	// ones. 0 means 64 MiB.
	MaxBytes int64
	// TTL is the longest that a value is kept. 0 means for ever.
	TTL time.Duration
	// NotFoundTTL is how long the owner remembers an ErrNotFound. 0 means not at all.
	NotFoundTTL time.Duration
	// HotQPS is the rate of requests to the owner from which peers mirror a value. 0 means
	// 100 a second.
	HotQPS float64
	// MirrorTTL is how long a mirrored value is kept. 0 means 5 seconds.
	MirrorTTL time.Duration
	// LoadTimeout bounds a load. 0 means no bound.
	LoadTimeout time.Duration
	Now         func() time.Time // nil means time.Now
}

// Group turns the caches of several processes into one: every key has an owner, which loads
// it once for all and keeps it; the others ask the owner. What the owner is asked for often
// the others mirror for a short time, so that no key is hotter than its owner. For many
// goroutines.
//
//	Get ─▶ owner here? ─yes▶ local cache ─▶ Load
//	          │ no
//	          ▼
//	        mirror ─▶ Peer.Fetch ─▶ the owner's Serve ─▶ its local cache ─▶ Load
//	                    │ cannot be reached
//	                    └▶ Load here, mirrored
//
// The idea and the name are groupcache's. Values here end, can be removed everywhere, and
// every caller waits no longer than its own context.
type Group struct {
	o      GroupOptions
	local  *Cache[string, Item]
	mirror *Cache[string, mirrored]
	rates  *Cache[string, *rate]
	stats  struct{ owned, asked, served, failed atomic.Uint64 }
}

// mirrored is a value of another's key.
type mirrored struct {
	Item
	stray bool // loaded here, for the owner could not be reached
}

// GroupStats is a snapshot of a Group's counts.
type GroupStats struct {
	Local, Mirror Stats
	Owned         uint64 // requests for keys that this process owns
	Asked         uint64 // fetches from owners
	Served        uint64 // requests of peers
	Failed        uint64 // fetches from owners that failed
}

const itemOverhead = 128 // bytes for the structures around a value

// NewGroup makes a group. Errors wrap ErrOptions.
func NewGroup(o GroupOptions) (*Group, error) {
	switch {
	case o.Name == "" || o.Picker == nil || o.Load == nil:
		return nil, fmt.Errorf("%w: a group needs Name, Picker and Load", ErrOptions)
	case o.MaxBytes < 0 || o.MirrorTTL < 0 || !(o.HotQPS >= 0) || math.IsInf(o.HotQPS, 0):
		return nil, fmt.Errorf("%w: MaxBytes %d, MirrorTTL %v, HotQPS %v", ErrOptions, o.MaxBytes, o.MirrorTTL, o.HotQPS)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.HotQPS == 0 {
		o.HotQPS = 100
	}
	if o.MirrorTTL == 0 {
		o.MirrorTTL = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Group{o: o}
	var err error
	g.local, err = New(Options[string, Item]{
		MaxWeight:   o.MaxBytes,
		Weigh:       func(k string, it Item) int64 { return int64(len(k)+len(it.Value)) + itemOverhead },
		TTLFunc:     func(_ string, it Item) time.Duration { return g.lifeOf(it, o.TTL) },
		Load:        o.Load,
		LoadTimeout: o.LoadTimeout,
		NotFoundTTL: o.NotFoundTTL,
		Now:         o.Now,
	})
	if err != nil {
		return nil, err
	}
	g.mirror, err = New(Options[string, mirrored]{
		MaxWeight: max(1, o.MaxBytes/8),
		Weigh:     func(k string, it mirrored) int64 { return int64(len(k)+len(it.Value)) + itemOverhead },
		TTLFunc: func(_ string, it mirrored) time.Duration {
			if it.QPS < o.HotQPS && !it.stray {
				return -1
			}
			if life := g.lifeOf(it.Item, o.TTL); life != 0 {
				return min(life, o.MirrorTTL)
			}
			return o.MirrorTTL
		},
		LoadTimeout: o.LoadTimeout,
		Now:         o.Now,
	})
	if err != nil {
		return nil, err
	}
	g.rates, err = New(Options[string, *rate]{MaxEntries: 4096, Now: o.Now})
	return g, err
}

// lifeOf is how long an item may be kept: 0 for ever, less than 0 not at all.
func (g *Group) lifeOf(it Item, ttl time.Duration) time.Duration {
	if it.Expires.IsZero() {
		return ttl
	}
	left := it.Expires.Sub(g.o.Now())
	switch {
	case left <= 0:
		return -1
	case ttl > 0:
		return min(left, ttl)
	}
	return left
}

// Get returns the value of key, from here, from its owner, or from the source. Errors are
// those of Cache.Fetch.
func (g *Group) Get(ctx context.Context, key string) (Item, error) {
	owner := g.o.Picker.Owner(key)
	if owner == nil {
		g.stats.owned.Add(1)
		return g.local.Fetch(ctx, key)
	}
	it, err := g.mirror.FetchFunc(ctx, key, func(ctx context.Context) (mirrored, error) {
		g.stats.asked.Add(1)
		it, err := owner.Fetch(ctx, g.o.Name, key)
		if err == nil || errors.Is(err, ErrNotFound) || ctx.Err() != nil {
			return mirrored{Item: it}, err
		}
		g.stats.failed.Add(1)
		it, err = g.o.Load(ctx, key)
		return mirrored{Item: it, stray: true}, err
	})
	return it.Item, err
}

// Serve answers a peer's Fetch. It loads here even if another process owns the key by now:
// in a moment of change two processes may disagree, and must not ask each other for ever.
func (g *Group) Serve(ctx context.Context, key string) (Item, error) {
	g.stats.served.Add(1)
	it, err := g.local.Fetch(ctx, key)
	it.QPS = g.rateOf(key)
	return it, err
}

// Remove removes key here and in all other processes, and returns when all have answered. A
// load that runs meanwhile, anywhere, will not bring it back. Errors of peers are joined;
// what cannot be reached keeps a mirrored value for MirrorTTL at most.
func (g *Group) Remove(ctx context.Context, key string) error {
	var all error
	if owner := g.o.Picker.Owner(key); owner != nil { // first, for the others may ask it at once
		all = owner.Remove(ctx, g.o.Name, key)
	}
	g.Drop(key)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, p := range g.o.Picker.Peers() {
		wg.Go(func() {
			if err := p.Remove(ctx, g.o.Name, key); err != nil {
				mu.Lock()
				defer mu.Unlock()
				all = errors.Join(all, err)
			}
		})
	}
	wg.Wait()
	return all
}

// Drop answers a peer's Remove: it removes key here.
func (g *Group) Drop(key string) {
	g.local.Delete(key)
	g.mirror.Delete(key)
}

// Stats is a snapshot of the counts.
func (g *Group) Stats() GroupStats {
	return GroupStats{
		Local: g.local.Stats(), Mirror: g.mirror.Stats(),
		Owned: g.stats.owned.Load(), Asked: g.stats.asked.Load(), Served: g.stats.served.Load(), Failed: g.stats.failed.Load(),
	}
}

// Close ends all loads and waits for them; see Cache.Close.
func (g *Group) Close() error { return errors.Join(g.local.Close(), g.mirror.Close()) }

// rate measures requests a second: a count that fades by half every second.
type rate struct {
	mu    sync.Mutex
	at    time.Time
	count float64
}

func (g *Group) rateOf(key string) float64 {
	r, ok := g.rates.Get(key)
	now := g.o.Now()
	if !ok {
		r, _ = g.rates.Add(key, &rate{at: now})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.at).Seconds(); d > 0 {
		r.count *= math.Exp2(-d)
		r.at = now
	}
	r.count++
	return r.count * math.Ln2 // a steady rate q holds the count at q / ln 2
}
