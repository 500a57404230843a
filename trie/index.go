package trie

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options says how an Index works. The zero value is an empty index in memory.
type Options struct {
	// Builder is how terms are folded and bases are built. MinScore does not apply.
	Builder BuilderOptions
	// Base is what the index starts with; it must be folded as Builder says. An index that
	// finds its own state in Dir goes on with that and leaves Base alone.
	Base *Snapshot
	// Dir, if not empty, makes the index durable: every update is written to a log in this
	// folder, and bases are kept there. The folder is made if need be, and belongs to the
	// index alone: as long as it is open, a second one gets ErrLocked.
	Dir string
	// Durability is what an update that returned survives, with Dir.
	Durability Durability
	// MaxDelta is how many terms may be changed before they are merged, in the background,
	// into a new base. 0: 65,536.
	MaxDelta int
	// Logger, if not nil, hears of bases that are built and of what fails in the background.
	Logger *slog.Logger
	// Now is what a Trending takes for the present. nil: time.Now. An Index has no clock.
	Now func() time.Time
	// OnCompact, if not nil, is called after each merge, outside of locks. It must not call
	// Close, which waits for it.
	OnCompact func(Stats, error)

	create func(path string) (logFile, error) // tests give files that fail
}

// Durability is what an update survives once it has returned.
type Durability uint8

const (
	// Written survives the end of the process: updates are handed to the operating system,
	// which writes them within seconds. Index.Sync waits for that.
	Written Durability = iota
	// Synced survives the loss of power; an update waits for the disk.
	Synced
)

const defaultMaxDelta = 1 << 16

// An Index is a set of terms with scores that changes: the next search sees what an update
// did. It is a Snapshot and, on top, what was changed since that was built; when that
// grows, a new snapshot is built of both in the background and takes over between two
// searches. Searches take no lock and wait for nothing. All methods may be called by any
// number of goroutines.
type Index struct {
	o       Options
	now     atomic.Pointer[layers]
	updates atomic.Uint64 // that are done
	bases   atomic.Uint64
	pool    sync.Pool // of *indexSearcher

	mu       sync.Mutex // writers
	err      error      // after a write to the log failed: nothing can be promised any more
	closed   bool
	previous *layers // before the last Swap
	log      *logStore
	key, rot []byte

	merging sync.WaitGroup
	run     *mergeRun // that is going on; nil if none is
	retry   int       // changed terms from which on a failed merge is tried again
}

type indexSearcher struct {
	cursor layerCursor
	out    results
}

// New returns an index. With Options.Dir it continues the one that is there; damage in a
// file of it is a [CorruptError], but for an update that was being written when the power
// went, which is undone. ErrLocked if the folder is open already.
func New(o Options) (*Index, error) {
	var err error
	if o.Builder, err = o.Builder.withDefaults(); err != nil {
		return nil, err
	}
	o.Builder.MinScore = 0
	if o.MaxDelta < 0 || o.Durability > Synced {
		return nil, fmt.Errorf("%w: MaxDelta %d, Durability %d", ErrOptions, o.MaxDelta, o.Durability)
	}
	if o.MaxDelta == 0 {
		o.MaxDelta = defaultMaxDelta
	}
	x := &Index{o: o}
	if o.Base != nil {
		if err := x.fits(o.Base); err != nil {
			return nil, err
		}
	}
	if o.Base == nil {
		if o.Base, err = NewBuilder(o.Builder).Build(context.Background()); err != nil {
			return nil, err
		}
	}
	x.now.Store(&layers{base: o.Base, active: &delta{}})
	if o.Dir != "" {
		if err := x.recover(); err != nil {
			return nil, err
		}
	}
	x.o.Base = nil // so that it can be collected
	return x, nil
}

func (x *Index) fits(s *Snapshot) error {
	if s.fold != x.o.Builder.Fold || s.aliases != x.o.Builder.WordStarts {
		return ErrFoldMismatch
	}
	return nil
}

// Search returns the query's best completions, in the order of [Searcher.Search]. It sees
// every update that returned before it was called.
func (x *Index) Search(query Query) []Completion { return x.search(query, nil) }

func (x *Index) search(query Query, scale func(uint64) float64) []Completion {
	q := x.searcher()
	defer x.pool.Put(q)
	defer q.cursor.release()
	q.out.scale = scale
	if !q.out.begin(query, x.o.Builder.Fold, x.o.Builder.WordStarts) {
		return []Completion{}
	}
	since := x.updates.Load()
	of := *x.now.Load()
	defer of.base.mapping.alive()
	q.cursor.start(of, since, q.out.prefix, q.out.limit(x.o.Builder.WordStarts))
	q.out.collect(&q.cursor, 0)
	for edits := 1; edits <= q.out.edits && !q.out.full(); edits++ {
		q.cursor.startFuzzy(&q.out.fuzzyQuery, edits, q.out.limit(x.o.Builder.WordStarts))
		q.out.collect(&q.cursor, uint8(edits))
	}
	list := own(q.out.list)
	byRank := func(a, b Completion) int { return cmp.Or(cmp.Compare(a.Edits, b.Edits), cmp.Compare(b.Score, a.Score)) }
	if !slices.IsSortedFunc(list, byRank) {
		slices.SortStableFunc(list, byRank) // scores rose while the search was on its way
	}
	return list
}

// TopK returns the k best completions of prefix.
func (x *Index) TopK(prefix string, k int) []Completion {
	return x.Search(Query{Prefix: prefix, K: k})
}

// Completions iterates over the completions of prefix, best first, as they were when the
// iteration began, but for terms that are updated while it runs: those come once, with a
// score of before or after.
func (x *Index) Completions(prefix string) iter.Seq[Completion] {
	return func(yield func(Completion) bool) { x.completions(prefix, nil, yield) }
}

func (x *Index) completions(prefix string, scale func(uint64) float64, yield func(Completion) bool) {
	q := x.searcher()
	defer x.pool.Put(q)
	defer q.cursor.release()
	var ok bool
	if q.out.prefix, ok = x.o.Builder.Fold.query(q.out.prefix[:0], prefix); !ok {
		return
	}
	since := x.updates.Load()
	of := *x.now.Load()
	defer of.base.mapping.alive()
	q.cursor.start(of, since, q.out.prefix, 0)
	q.out.yieldAll(&q.cursor, scale, yield)
}

func (x *Index) searcher() *indexSearcher {
	if q, ok := x.pool.Get().(*indexSearcher); ok {
		return q
	}
	return &indexSearcher{}
}

// Fold is how terms are folded.
func (x *Index) Fold() Fold { return x.o.Builder.Fold }

// Score returns the exact score of a term.
func (x *Index) Score(term string) (score uint64, ok bool) {
	q := x.searcher()
	defer x.pool.Put(q)
	if q.out.prefix, ok = x.o.Builder.Fold.query(q.out.prefix[:0], term); !ok {
		return 0, false
	}
	of := x.now.Load()
	defer of.base.mapping.alive()
	v, alive := of.get(q.out.prefix)
	return v.score, alive
}

// ScoreOf is Score as [Merge] wants it.
func (x *Index) ScoreOf(term string) (float64, bool) {
	score, ok := x.Score(term)
	return float64(score), ok
}

// Add adds score to the term's score; a term that is not there is added. Sums stop at the
// greatest uint64. A new term is shown as it is given here; of one that is there, the form
// to show stays. Errors as those of [Builder.Add]; ErrClosed; with Dir, those of the disk,
// after which the index refuses updates until it is opened again.
func (x *Index) Add(term string, score uint64) error {
	return x.update(term, func(v value, alive bool) (uint64, bool) { return addSaturating(v.score, score), true })
}

// Set gives the term this score, whether it is there or not.
func (x *Index) Set(term string, score uint64) error {
	return x.update(term, func(value, bool) (uint64, bool) { return score, true })
}

// Delete removes the term, if it is there.
func (x *Index) Delete(term string) error {
	return x.update(term, func(value, bool) (uint64, bool) { return 0, false })
}

// Update replaces the term's score by what f makes of it; ok says whether the term is there,
// and whether it shall be. It is atomic. f is called once, with the index locked for
// writers, and must not update the index.
func (x *Index) Update(term string, f func(score uint64, ok bool) (uint64, bool)) error {
	return x.update(term, func(v value, alive bool) (uint64, bool) { return f(v.score, alive) })
}

func (x *Index) update(term string, f func(v value, alive bool) (score uint64, keep bool)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.usable(); err != nil {
		return err
	}
	var err error
	if x.key, err = x.o.Builder.Fold.key(x.key[:0], term, x.o.Builder.MaxTermBytes); err != nil {
		return err
	}
	key := x.key
	of := x.now.Load()
	v, alive, below := of.forUpdate(key)
	score, keep := f(v, alive)
	if !keep && (!alive || planted(bugNoTombstone)) {
		return nil
	}
	if !alive {
		v.show = nil
		if term != view(key) {
			v.show = []byte(term)
		}
	}
	v.score = score
	l := leaf{value: v, deleted: !keep}
	if x.log != nil {
		if err := x.log.append(key, &l, x.o.Durability == Synced); err != nil {
			x.err = fmt.Errorf("trie: writing the log: %w", err)
			return x.err
		}
	}
	x.apply(of, key, l, below)
	if len(of.active.nodes) >= max(x.o.MaxDelta, x.retry) {
		x.startMerge()
	}
	return nil
}

// apply puts a leaf, and its aliases, into the active delta.
func (x *Index) apply(of *layers, key []byte, l leaf, below bool) {
	l.seq = x.updates.Load() + 1
	of.active.put(key, l, below)
	if x.o.Builder.WordStarts {
		wordStarts(key, func(at int) {
			x.rot = appendAlias(x.rot[:0], key, at)
			of.active.put(x.rot, l, below)
		})
	}
	x.updates.Add(1)
}

func (x *Index) usable() error {
	if x.closed {
		return ErrClosed
	}
	return x.err
}

// Swap makes s the base and forgets all that was changed on the one that it replaces, which
// it returns: s is expected to know it, as one does that was built anew from the source of
// truth. Searches see either all of the old state or all of the new. [Index.Rollback]
// returns to the old state, changes included. With Dir, Swap writes s there and returns
// when it is durable. ErrFoldMismatch if s was not built with the index's Fold and WordStarts.
func (x *Index) Swap(s *Snapshot) (old *Snapshot, err error) {
	if err := x.fits(s); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.usable(); err != nil {
		return nil, err
	}
	was := x.now.Load()
	if err := x.replace(&layers{base: s, active: &delta{}}); err != nil {
		return nil, err
	}
	x.previous = was
	return was.base, nil
}

// Rollback returns to the state before the last Swap, changes included; those since are
// forgotten. It can be done once; ErrNoPrevious if there is nothing to return to.
func (x *Index) Rollback() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.usable(); err != nil {
		return err
	}
	if x.previous == nil {
		return ErrNoPrevious
	}
	if err := x.replace(x.previous); err != nil {
		return err
	}
	x.previous = nil
	return nil
}

// replace makes l the state, in the folder first. A merge that is going on is given up.
func (x *Index) replace(l *layers) error {
	x.stopMerge()
	if x.log != nil {
		if err := x.log.replace(l); err != nil {
			if errors.Is(err, errUnsure) {
				x.err = err
			}
			return err
		}
	}
	x.now.Store(l)
	x.bases.Add(1)
	if l.frozen != nil {
		x.startMerge()
	}
	return nil
}

// Snapshot returns the base: what was built last, without what was changed since. After
// [Index.Compact] it is all that there is.
func (x *Index) Snapshot() *Snapshot { return x.now.Load().base }

// Sync waits until all updates that returned survive a loss of power. Without Dir it does
// nothing.
func (x *Index) Sync() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.usable(); err != nil || x.log == nil {
		return err
	}
	if err := x.log.sync(); err != nil {
		x.err = fmt.Errorf("trie: writing the log: %w", err)
	}
	return x.err
}

// Close ends the merge that is going on, syncs the log and refuses updates from then on.
// Searches go on to work. It may be called again.
func (x *Index) Close() error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	x.stopMerge()
	var err error
	if x.log != nil {
		err = x.log.close()
	}
	x.mu.Unlock()
	x.merging.Wait()
	if x.log != nil { // only now does nothing write to the folder any more
		err = errors.Join(err, x.log.lock.release())
	}
	return err
}

// Stats describes an index at one moment.
type Stats struct {
	Terms     int    // of the base
	Changed   int    // keys changed since it was built, word starts among them
	BaseBytes int64  // memory of the base
	Updates   uint64 // since the index was opened
	Bases     uint64 // that were built or swapped in
	Merging   bool
}

func (s Stats) String() string {
	merging := ""
	if s.Merging {
		merging = ", merging"
	}
	return fmt.Sprintf("%d terms in %d bytes, %d changed%s; %d updates, %d bases", s.Terms, s.BaseBytes, s.Changed, merging, s.Updates, s.Bases)
}

// Stats returns the state of the index.
func (x *Index) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.stats()
}

func (x *Index) stats() Stats {
	of := x.now.Load()
	s := Stats{
		Terms: of.base.Len(), Changed: len(of.active.nodes), BaseBytes: of.base.SizeBytes(),
		Updates: x.updates.Load(), Bases: x.bases.Load(), Merging: of.frozen != nil,
	}
	if of.frozen != nil {
		s.Changed += len(of.frozen.nodes)
	}
	return s
}

// errUnsure: the disk may have the old state or the new one, so that no update can be put
// down behind it. Who opens the index again will see which.
var errUnsure = errors.New("trie: the state on disk is not known")

var errGivenUp = errors.New("trie: merge given up")
