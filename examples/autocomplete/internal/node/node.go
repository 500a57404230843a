package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/trie"
)

var (
	// ErrGeneration is matched when a query names a generation or a range that is not here.
	ErrGeneration = errors.New("autocomplete: generation is not here")
	// ErrQuery is matched by a query that is out of bounds.
	ErrQuery = errors.New("autocomplete: bad query")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("autocomplete: node is closed")
)

// Options of a Node.
type Options struct {
	ID       string
	Dir      string           // where generations are kept; the node's alone
	Boost    float64          // what one search of now counts for, in searches of the past (20)
	HalfLife time.Duration    // in which a search of now is half forgotten (10 min)
	MaxHot   int              // terms kept as hot (100,000)
	Blocked  *trie.Blocklist  // terms that are never hot; nil: none
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: silent
}

// Node is safe for concurrent use.
type Node struct {
	o    Options
	hot  *trie.Trending
	boot uint64
	born time.Time

	queries atomic.Uint64
	held    atomic.Pointer[holdings] // never changed in place

	mu      sync.Mutex // held by what changes the node
	applied uint64     // guarded by mu
	fed     int        // guarded by mu: since the last pruning
	pruned  time.Time  // guarded by mu
	closed  bool       // guarded by mu
}

// holdings are the generations that a node has.
type holdings map[uint64]generation

type generation map[int]*trie.Snapshot

// Open opens a node on what its folder holds.
func Open(o Options) (*Node, error) {
	if o.Boost == 0 {
		o.Boost = 20
	}
	if o.HalfLife == 0 {
		o.HalfLife = 10 * time.Minute
	}
	if o.MaxHot == 0 {
		o.MaxHot = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	hot, err := trie.NewTrending(o.HalfLife, trie.Options{Now: o.Now})
	if err != nil {
		return nil, err
	}
	n := &Node{o: o, hot: hot, boot: rand.Uint64()>>11 | 1, born: o.Now(), pruned: o.Now()} // 53 bits: JSON's numbers
	held, err := n.load()
	if err != nil {
		return nil, errors.Join(err, hot.Close())
	}
	n.held.Store(&held)
	return n, nil
}

const suffix = ".trie"

// fileName is "generation-range.trie".
func (n *Node) fileName(gen uint64, r int) string {
	return filepath.Join(n.o.Dir, fmt.Sprintf("%d-%d%s", gen, r, suffix))
}

// load opens what lies in the folder. A file that is damaged is removed: the router has
// another copy and will send it.
func (n *Node) load() (holdings, error) {
	held := holdings{}
	files, err := os.ReadDir(n.o.Dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		g, r, dash := strings.Cut(name, "-")
		gen, err1 := strconv.ParseUint(g, 10, 64)
		i, err2 := strconv.Atoi(r)
		if !ok || !dash || err1 != nil || err2 != nil {
			continue
		}
		path := filepath.Join(n.o.Dir, f.Name())
		s, err := trie.Open(path)
		if errors.Is(err, trie.ErrCorrupt) {
			n.o.Logger.Warn("autocomplete: a damaged file is removed", "node", n.o.ID, "path", path, "err", err)
			err = os.Remove(path)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if held[gen] == nil {
			held[gen] = generation{}
		}
		held[gen][i] = s
	}
	return held, nil
}

// change replaces the holdings by what f makes of a copy of them.
func (n *Node) change(f func(holdings) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return ErrClosed
	}
	held := holdings{}
	for gen, g := range *n.held.Load() {
		held[gen] = maps.Clone(g)
	}
	if err := f(held); err != nil {
		return err
	}
	n.held.Store(&held)
	return nil
}

// Stage takes a range of a generation, as a file of package trie, and checks it whole. A
// file that is damaged matches trie.ErrCorrupt and leaves no trace.
func (n *Node) Stage(gen uint64, r int, file io.Reader) error {
	if r < 0 {
		return fmt.Errorf("%w: range %d", ErrQuery, r)
	}
	temp, err := os.CreateTemp(n.o.Dir, "staging-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = io.Copy(temp, file)
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	// It is opened before it gets its name, so that what has a name is whole.
	if _, err := trie.Open(temp.Name()); err != nil {
		return err
	}
	return n.change(func(held holdings) error {
		path := n.fileName(gen, r)
		if err := os.Rename(temp.Name(), path); err != nil {
			return err
		}
		s, err := trie.Open(path)
		if err != nil {
			return err
		}
		if held[gen] == nil {
			held[gen] = generation{}
		}
		held[gen][r] = s
		return nil
	})
}

// Drop forgets a generation. Queries under way end with what they have.
func (n *Node) Drop(gen uint64) error {
	return n.change(func(held holdings) error {
		for r := range held[gen] {
			if err := os.Remove(n.fileName(gen, r)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		delete(held, gen)
		return nil
	})
}

// Feed applies searches to what is hot.
func (n *Node) Feed(f Feed) (applied uint64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return 0, ErrClosed
	}
	for _, r := range f.Records {
		if r.Seq <= n.applied {
			continue
		}
		if !n.o.Blocked.Blocks(r.Term) {
			// A term that cannot be one does not stop the feed.
			if err := n.hot.Observe(r.Term, 1, r.At); errors.Is(err, trie.ErrClosed) {
				return n.applied, err
			}
		}
		n.applied = r.Seq
		n.fed++
	}
	n.applied = max(n.applied, f.UpTo)
	if now := n.o.Now(); n.fed >= n.o.MaxHot/4 || now.Sub(n.pruned) > n.o.HalfLife {
		n.fed, n.pruned = 0, now
		err = n.prune()
	}
	return n.applied, err
}

// faded is the weight below which a term is no longer of now: that of a single search after
// six half-lives, which is an hour.
const faded = 1.0 / 64

// prune forgets what has faded, and more if what is hot is too much. The caller holds mu.
func (n *Node) prune() error {
	for least := faded; ; least *= 2 {
		if _, err := n.hot.Prune(least); err != nil {
			return err
		}
		if n.hotTerms() <= n.o.MaxHot {
			return nil
		}
	}
}

// hotTerms counts the terms that are hot; it stops a little above MaxHot.
func (n *Node) hotTerms() (terms int) {
	for range n.hot.Completions("") {
		if terms++; terms > n.o.MaxHot {
			break
		}
	}
	return terms
}

// Status describes the node.
func (n *Node) Status() Status {
	n.mu.Lock()
	applied := n.applied
	n.mu.Unlock()
	s := Status{ID: n.o.ID, Boot: n.boot, Applied: applied, Queries: n.queries.Load(), Since: n.born, Generations: map[uint64][]int{}}
	newest := uint64(0)
	for gen, g := range *n.held.Load() {
		s.Generations[gen] = slices.Sorted(maps.Keys(g))
		terms := 0
		for _, snap := range g {
			s.Bytes += snap.SizeBytes()
			terms += snap.Len()
		}
		if gen >= newest {
			newest, s.Terms = gen, terms
		}
	}
	stats := n.hot.Index().Stats()
	s.Hot = stats.Terms + stats.Changed // a term may be in both for a while
	return s
}

// Close ends the node. It may be called again.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	return n.hot.Close()
}
