package trie

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
)

// BuilderOptions says how a snapshot is built. The zero value is a good choice.
type BuilderOptions struct {
	// Fold makes terms and prefixes comparable. 0: FoldDefault.
	Fold Fold
	// WordStarts lets terms be found by their inner words too: "york" finds "new york".
	// It takes a further entry for every word but a term's first.
	WordStarts bool
	// MinScore drops terms whose sum is below it.
	MinScore uint64
	// MaxTermBytes refuses longer terms with ErrTermTooLong. 0: 1024; at most 65,536.
	MaxTermBytes int
	// HeadMin is how many terms a prefix must have for its answers to be written out, and
	// HeadK how many of its answers are. Lower HeadMin is faster and larger. 0: 64 and
	// 12. Both are brought into a sensible range.
	HeadMin, HeadK int
	// MaxMemory bounds what terms may take before they are written to TempDir, sorted, to
	// be merged in the end; the snapshot itself comes on top. 0: 1 GiB. At least 1 MiB.
	MaxMemory int64
	// TempDir is where terms go that exceed MaxMemory. Empty: os.TempDir.
	TempDir string
	// Progress, if not nil, is called in Build every hundred thousand terms or so, with
	// the number of terms that are done.
	Progress func(done int)
}

// withDefaults returns o with every field set, or ErrOptions.
func (o BuilderOptions) withDefaults() (BuilderOptions, error) {
	if o.Fold > FoldNone {
		return o, fmt.Errorf("%w: Fold %d", ErrOptions, o.Fold)
	}
	for _, n := range []int64{int64(o.MaxTermBytes), int64(o.HeadMin), int64(o.HeadK), o.MaxMemory} {
		if n < 0 {
			return o, fmt.Errorf("%w: %d is negative", ErrOptions, n)
		}
	}
	if o.MaxTermBytes > limitMaxTerm {
		return o, fmt.Errorf("%w: MaxTermBytes %d is above %d", ErrOptions, o.MaxTermBytes, limitMaxTerm)
	}
	def := func(p *int, v, least, most int) {
		if *p == 0 {
			*p = v
		}
		*p = min(max(*p, least), most)
	}
	def(&o.MaxTermBytes, defaultMaxTerm, 1, limitMaxTerm)
	def(&o.HeadMin, 64, 4, math.MaxInt32)
	def(&o.HeadK, 12, 1, 1000)
	if o.MaxMemory == 0 {
		o.MaxMemory = 1 << 30
	}
	o.MaxMemory = max(o.MaxMemory, 1<<20)
	return o, nil
}

// A Builder collects terms, in any order, and builds a Snapshot of them. It is for one
// goroutine.
type Builder struct {
	o    BuilderOptions
	err  error // of the options; of the disk
	mem  batch
	runs []*run
	key  []byte
	rot  []byte
}

// NewBuilder returns an empty Builder. It cannot fail: options that contradict themselves
// are reported by Add and Build.
func NewBuilder(o BuilderOptions) *Builder {
	b := &Builder{}
	b.o, b.err = o.withDefaults()
	return b
}

// Add adds score to the term's score. Sums stop at the greatest uint64. A term that is
// refused (ErrEmptyTerm, ErrTermTooLong, ErrInvalidUTF8) changes nothing, and the builder
// can be used on. An error of the disk, which only a builder above MaxMemory uses, stays.
func (b *Builder) Add(term string, score uint64) error {
	if b.err != nil {
		return b.err
	}
	var err error
	if b.key, err = b.o.Fold.key(b.key[:0], term, b.o.MaxTermBytes); err != nil {
		return err
	}
	return b.addKey(b.key, term, score)
}

func (b *Builder) addKey(key []byte, term string, score uint64) error {
	show := term
	if show == view(key) {
		show = ""
	}
	b.mem.add(key, show, score)
	if b.o.WordStarts {
		wordStarts(key, func(at int) {
			b.rot = appendAlias(b.rot[:0], key, at)
			b.mem.add(b.rot, show, score)
		})
	}
	if b.mem.bytes() >= b.o.MaxMemory {
		b.err = b.spill()
	}
	return b.err
}

// spill writes what is in memory to a file, sorted and summed.
func (b *Builder) spill() error {
	r, err := writeRun(b.o.TempDir, b.mem.sorted())
	if err != nil {
		return err
	}
	b.runs = append(b.runs, r)
	b.mem.reset()
	return nil
}

// Build builds the snapshot and empties the builder. It ends early, with the context's
// error, when ctx does.
func (b *Builder) Build(ctx context.Context) (*Snapshot, error) {
	if b.err != nil {
		return nil, errors.Join(b.err, b.reset())
	}
	s, err := b.build(ctx)
	return s, errors.Join(err, b.reset())
}

func (b *Builder) build(ctx context.Context) (*Snapshot, error) {
	var table *symbols
	var err error
	if len(b.runs) == 0 {
		table, err = trainOn(ctx, b.o, 0, b.mem.sample(trainRuns, trainLength))
	} else {
		expect := len(b.mem.refs)
		for _, r := range b.runs {
			expect += r.items
		}
		table, err = trainOn(ctx, b.o, expect, b.merged())
	}
	if err != nil {
		return nil, err
	}
	return buildSorted(ctx, b.o, table, b.merged())
}

// BuildTo builds the snapshot and writes it to w as a file, for [Open].
func (b *Builder) BuildTo(ctx context.Context, w io.Writer) error {
	s, err := b.Build(ctx)
	if err != nil {
		return err
	}
	_, err = s.WriteTo(w)
	return err
}

func (b *Builder) reset() error {
	b.mem = batch{}
	var err error
	for _, r := range b.runs {
		err = errors.Join(err, r.remove())
	}
	b.runs = nil
	return err
}

// Close gives up what was added. It is needed only where Build is not called.
func (b *Builder) Close() error { return b.reset() }

// merged is all that was added, in order.
func (b *Builder) merged() iter.Seq2[item, error] {
	if len(b.runs) == 0 {
		return b.mem.sorted()
	}
	sources := []iter.Seq2[item, error]{b.mem.sorted()}
	for _, r := range b.runs {
		sources = append(sources, r.read())
	}
	return mergeItems(sources)
}

// item is the sum of what was added to a key in one form. Items are ordered by key, then
// by form; slices are valid until the next item.
type item struct {
	key   []byte
	show  []byte // empty: the key itself
	score uint64
}

func (a item) compare(b item) int {
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c
	}
	return bytes.Compare(a.show, b.show)
}

func addSaturating(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint64
}

// buildSorted writes a snapshot from items.
func buildSorted(ctx context.Context, o BuilderOptions, table *symbols, items iter.Seq2[item, error]) (*Snapshot, error) {
	w := newTreeWriter(table, o.HeadMin)
	s := &Snapshot{symbols: table, fold: o.Fold, aliases: o.WordStarts}
	done := 0
	for t, err := range terms(items) {
		if err != nil {
			return nil, err
		}
		if done++; done%(1<<16) == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if o.Progress != nil {
				o.Progress(done)
			}
		}
		if t.score < o.MinScore {
			continue
		}
		w.add(t.key, t.score, t.show)
		s.longest = max(s.longest, len(t.key))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.finish()
	s.arena, s.root, s.best, s.terms = slices.Clip(w.arena), w.root, w.best, w.terms
	buildHeads(s, w.heavy, o.HeadK)
	if o.Progress != nil {
		o.Progress(done)
	}
	return s, nil
}

// terms sums up the forms of each key, of which the best is shown, the first among equals.
func terms(items iter.Seq2[item, error]) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		var t item
		var best uint64
		some := false
		for i, err := range items {
			if err != nil {
				yield(item{}, err)
				return
			}
			if some && bytes.Equal(i.key, t.key) {
				t.score = addSaturating(t.score, i.score)
				if i.score > best {
					best = i.score
					t.show = append(t.show[:0], i.show...)
				}
				continue
			}
			if some && !yield(t.shown(), nil) {
				return
			}
			some, best = true, i.score
			t.key, t.show, t.score = append(t.key[:0], i.key...), append(t.show[:0], i.show...), i.score
		}
		if some {
			yield(t.shown(), nil)
		}
	}
}

// shown is t with nil for a form that is the key itself.
func (a item) shown() item {
	if len(a.show) == 0 {
		a.show = nil
	}
	return a
}

const trainRuns, trainLength = 2000, 16 // runs of neighbouring terms, and terms of each

// trainOn trains symbols on runs of neighbouring terms, spread evenly over about expect of
// them.
func trainOn(ctx context.Context, o BuilderOptions, expect int, items iter.Seq2[item, error]) (*symbols, error) {
	gap := max(expect/trainRuns-trainLength, 0)
	var keys [3][]byte
	var sample sampler
	n, from := 0, 0
	for t, err := range terms(items) {
		if err != nil {
			return nil, err
		}
		if t.score < o.MinScore {
			continue
		}
		if n++; n%(1<<16) == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if n < from {
			continue
		}
		keys[0], keys[1], keys[2] = keys[1], keys[2], append(keys[0][:0], t.key...)
		if n >= from+2 {
			sample.add(keys[0], keys[1], keys[2])
			if t.show != nil {
				sample.tails = append(sample.tails, bytes.Clone(t.show))
				sample.bytes += len(t.show)
			}
		}
		if n >= from+trainLength {
			from = n + gap
		}
	}
	sample.add(keys[1], keys[2], nil)
	return trainSymbols(sample.thin()), nil
}
