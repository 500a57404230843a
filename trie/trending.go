package trie

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"time"
)

// A Trending is a live index whose scores fade: a term's weight is the sum of what was
// observed of it, each observation halved with every half-life that has passed since. All
// methods may be called by any number of goroutines.
//
// Nothing runs to make them fade. All weights fade at the same rate, so that time alone
// changes no order; it is enough to know each weight as it would be at one fixed moment,
// where later observations count for more:
//
//	weight at the moment 0 = Σ observed · 2^(time / half-life)        forward decay
//	weight at time t       = that · 2^(-t / half-life)
//
// What is kept is the logarithm, as a fixed-point number, which is what the index sorts by.
// An observation changes one score; a search converts the scores that it returns.
//
// Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay" (2009).
type Trending struct {
	x     *Index
	half  time.Duration
	scale float64 // of the fixed-point logarithms
	zero  float64 // what is added to them, so that none is negative
	now   func() time.Time
}

// ErrWeight refuses a weight that is negative, infinite or not a number.
var ErrWeight = errors.New("trie: weight")

const (
	trendingFile = "half-life"
	trendingSpan = 250 * 365 * 24 * 3600 // seconds before and after 1970 that can be told apart
)

// NewTrending returns an index of trends. The half-life is at least a millisecond; ErrOptions
// if it is less, or not that of the folder that Options.Dir names. Weights are known to
// 1e-8 of themselves for a half-life of a second, to 1e-11 from an hour on. Options.Base does not apply.
func NewTrending(halfLife time.Duration, o Options) (*Trending, error) {
	if halfLife < time.Millisecond || o.Base != nil {
		return nil, fmt.Errorf("%w: a half-life of %v, base %v", ErrOptions, halfLife, o.Base != nil)
	}
	if o.Dir != "" {
		if err := keepHalfLife(o.Dir, halfLife); err != nil {
			return nil, err
		}
	}
	x, err := New(o)
	if err != nil {
		return nil, err
	}
	t := &Trending{x: x, half: halfLife, now: o.Now}
	if t.now == nil {
		t.now = time.Now
	}
	t.zero = math.Ceil(trendingSpan/halfLife.Seconds()) + 1100 // 2^1100 is above all float64
	t.scale = math.Exp2(math.Floor(63 - math.Log2(2*t.zero+2)))
	return t, nil
}

// keepHalfLife notes the half-life in the folder, or compares it with what is noted.
func keepHalfLife(dir string, halfLife time.Duration) error {
	path := filepath.Join(dir, trendingFile)
	was, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return replaceFile(path, func(f *os.File) error {
			_, err := f.WriteString(halfLife.String())
			return err
		})
	}
	if err == nil && string(was) != halfLife.String() {
		return fmt.Errorf("%w: a half-life of %v, in the folder it is %q", ErrOptions, halfLife, was)
	}
	return err
}

// age is a moment in half-lives, the whole ones and the rest. It is computed in whole
// nanoseconds: a float64 of the time since 1970 would know it to a fourth of a microsecond.
func (t *Trending) age(at time.Time) (whole, rest float64) {
	ns := min(max(at.Unix(), -trendingSpan), trendingSpan)*1e9 + int64(at.Nanosecond())
	n := ns / int64(t.half)
	return float64(n), float64(ns-n*int64(t.half)) / float64(t.half)
}

// Observe adds weight, at the moment at, to a term. Observations may come in any order; of
// one from the past only what is left of it counts. ErrWeight, or the errors of [Index.Add].
func (t *Trending) Observe(term string, weight float64, at time.Time) error {
	if !(weight >= 0) || math.IsInf(weight, 1) {
		return fmt.Errorf("%w: %v", ErrWeight, weight)
	}
	if weight == 0 {
		return nil
	}
	// Whole half-lives apart from the rest: their product with scale is exact.
	whole, rest := t.age(at)
	fixed := uint64((whole+t.zero)*t.scale) + uint64(int64((rest+math.Log2(weight))*t.scale))
	return t.x.Update(term, func(score uint64, ok bool) (uint64, bool) {
		if !ok {
			return fixed, true
		}
		hi, lo := max(score, fixed), min(score, fixed)
		// log(a+b) = log a + log(1 + b/a)
		return hi + uint64(math.Round(math.Log1p(math.Exp2(-float64(hi-lo)/t.scale))/math.Ln2*t.scale)), true
	})
}

// weight converts a score.
func (t *Trending) weight(score uint64, at time.Time) float64 {
	whole, rest := t.age(at)
	base := uint64((whole + t.zero) * t.scale)
	return math.Exp2(float64(int64(score-base))/t.scale - rest)
}

// Search returns the query's completions with their weights as they are now, in the order
// of [Searcher.Search].
func (t *Trending) Search(query Query) []Completion {
	at := t.now()
	return t.x.search(query, func(score uint64) float64 { return t.weight(score, at) })
}

// TopK returns the k completions of prefix that weigh the most now.
func (t *Trending) TopK(prefix string, k int) []Completion {
	return t.Search(Query{Prefix: prefix, K: k})
}

// Completions iterates over the completions of prefix, with their weights as they are when
// it begins, the heaviest first.
func (t *Trending) Completions(prefix string) iter.Seq[Completion] {
	return func(yield func(Completion) bool) {
		at := t.now()
		t.x.completions(prefix, func(score uint64) float64 { return t.weight(score, at) }, yield)
	}
}

// ScoreOf is the weight of a term now.
func (t *Trending) ScoreOf(term string) (float64, bool) {
	score, ok := t.x.Score(term)
	if !ok {
		return 0, false
	}
	return t.weight(score, t.now()), true
}

// Fold is how terms are folded.
func (t *Trending) Fold() Fold { return t.x.Fold() }

// Delete forgets a term.
func (t *Trending) Delete(term string) error { return t.x.Delete(term) }

// Prune forgets the terms that weigh less than least now, and returns how many. Nothing else
// forgets: a term that is not observed any more sinks, but stays.
func (t *Trending) Prune(least float64) (int, error) {
	at := t.now()
	var light []string
	for c := range t.Completions("") {
		if c.Score < least {
			light = append(light, c.Term)
		}
	}
	n := 0
	for _, term := range light {
		err := t.x.Update(term, func(score uint64, ok bool) (uint64, bool) {
			if gone := ok && t.weight(score, at) < least; gone {
				n++
				return 0, false
			}
			return score, ok // observed meanwhile
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Index is what the trending is kept in, for Compact, Stats and Sync. Its scores are
// logarithms; leave them alone.
func (t *Trending) Index() *Index { return t.x }

// Close closes the index.
func (t *Trending) Close() error { return t.x.Close() }
