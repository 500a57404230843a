// Package build makes a generation: the suggestions of a night, from those of the last one
// and from what was searched since.
//
//	last generation, faded ─┐
//	                        ├─▶ without what is blocked ─▶ whole.trie ─▶ ranges of equal weight: 0.trie … n.trie
//	log of searches ────────┘                                        └─▶ popular.trie: what is left to say when nodes are away
//	                                                     all read again and verified ─▶ manifest.json
//
// A generation is a folder. It exists if it has a manifest, which is written last; what
// has none is the rest of a build that was interrupted.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/trie"
)

var (
	// ErrVerify is matched when a generation is not what it should be.
	ErrVerify = errors.New("autocomplete: the generation fails verification")
	// ErrManifest is matched by a manifest that cannot be read.
	ErrManifest = errors.New("autocomplete: bad manifest")
)

// Manifest describes a generation.
type Manifest struct {
	Generation uint64    `json:"generation"`
	Parent     uint64    `json:"parent"` // the generation that it was made from; 0: none
	Bounds     []string  `json:"bounds"` // of the ranges; see trie.Shards
	Terms      int       `json:"terms"`
	Mass       float64   `json:"mass"` // sum of all scores
	UpTo       uint64    `json:"upTo"` // the last search that is counted in it
	At         time.Time `json:"at"`
}

// Shards divides terms into the generation's ranges.
func (m *Manifest) Shards() trie.Shards { return trie.Shards{Bounds: m.Bounds} }

// Names of the files of a generation, beside those that Range names.
const (
	Whole    = "whole.trie"
	Popular  = "popular.trie"
	manifest = "manifest.json"
)

// Range is the name of a range's file.
func Range(r int) string { return strconv.Itoa(r) + ".trie" }

// Options of a build.
type Options struct {
	Dir        string // the generation's folder
	Generation uint64
	Ranges     int // (8)
	Parent     *Manifest
	Base       iter.Seq2[string, uint64] // terms of the parent, or of a corpus if there is none
	Keep       float64                   // what is left of a count of Base, from 0 to 1
	Searches   iter.Seq2[string, error]  // since the parent; nil: none
	UpTo       uint64                    // the last of them
	Blocked    *trie.Blocklist           // nil: nothing is
	MaxTerm    int                       // bytes; longer ones are left out (200)
	Popular    int                       // terms of the popular ones (10,000)
	Least      uint64                    // terms that count less are left out (1)
	Now        time.Time
	Built      func(dir string) // nil; called when all is written, before it is verified: for tests and stories of things that go wrong
	Progress   func(done int)   // nil; see trie.BuilderOptions
}

// Run builds a generation, verifies it, and gives it its manifest.
func Run(ctx context.Context, o Options) (*Manifest, error) {
	if o.Ranges == 0 {
		o.Ranges = 8
	}
	if o.MaxTerm == 0 {
		o.MaxTerm = 200
	}
	if o.Popular == 0 {
		o.Popular = 10_000
	}
	if !(o.Keep >= 0 && o.Keep <= 1) {
		return nil, fmt.Errorf("%w: keep %v of the past", ErrVerify, o.Keep)
	}
	if err := os.RemoveAll(o.Dir); err != nil { // of a build that did not come to its end
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	whole, err := o.whole(ctx)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Generation: o.Generation, UpTo: o.UpTo, Terms: whole.Len(), At: o.Now.UTC()}
	if o.Parent != nil {
		m.Parent = o.Parent.Generation
	}
	for _, score := range whole.All() {
		m.Mass += float64(score)
	}
	m.Bounds = trie.SplitByWeight(whole, o.Ranges).Bounds
	if err := o.files(ctx, whole, m); err != nil {
		return nil, err
	}
	if o.Built != nil {
		o.Built(o.Dir)
	}
	if err := verify(ctx, o, m); err != nil {
		return nil, err
	}
	return m, m.write(o.Dir)
}

// whole sums what is known of each term.
func (o *Options) whole(ctx context.Context) (*trie.Snapshot, error) {
	b := trie.NewBuilder(trie.BuilderOptions{MinScore: max(o.Least, 1), MaxTermBytes: o.MaxTerm, TempDir: o.Dir, Progress: o.Progress})
	defer b.Close()
	add := func(term string, count uint64) error {
		if count == 0 || o.Blocked.Blocks(term) {
			return nil
		}
		err := b.Add(term, count)
		if errors.Is(err, trie.ErrEmptyTerm) || errors.Is(err, trie.ErrTermTooLong) || errors.Is(err, trie.ErrInvalidUTF8) {
			return nil // not a term; the rest are
		}
		return err
	}
	for term, count := range o.Base {
		if err := add(term, o.fade(term, count)); err != nil {
			return nil, err
		}
	}
	if o.Searches != nil {
		for term, err := range o.Searches {
			if err == nil {
				err = add(term, 1)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	whole, err := b.Build(ctx)
	if err != nil {
		return nil, err
	}
	return whole, whole.WriteFile(filepath.Join(o.Dir, Whole))
}

// fade is count · Keep in whole numbers. A count of 1 must fade as well, and a thousand
// of them as much as one of a thousand: so the fraction is rounded up for as many terms
// as it says, chosen by a hash of the term and the generation, to come out alike on every
// machine.
func (o *Options) fade(term string, count uint64) uint64 {
	if o.Keep == 1 {
		return count
	}
	left := float64(count) * o.Keep
	floor := math.Floor(left)
	if floor >= math.MaxUint64 {
		return count
	}
	var d xxhash.Digest
	d.ResetWithSeed(o.Generation)
	_, _ = d.WriteString(term) // it never fails
	if float64(d.Sum64()>>11)/(1<<53) < left-floor {
		floor++
	}
	return uint64(floor)
}

// files writes the ranges and the popular terms.
func (o *Options) files(ctx context.Context, whole *trie.Snapshot, m *Manifest) error {
	shards := m.Shards()
	builders := make([]*trie.Builder, shards.Len())
	for i := range builders {
		builders[i] = trie.NewBuilder(trie.BuilderOptions{TempDir: o.Dir, MaxMemory: 256 << 20})
		defer builders[i].Close()
	}
	for term, score := range whole.All() {
		if err := builders[shards.Of(term)].Add(term, score); err != nil {
			return err
		}
	}
	for i, b := range builders {
		if err := writeTo(ctx, b, filepath.Join(o.Dir, Range(i))); err != nil {
			return err
		}
	}
	popular := trie.NewBuilder(trie.BuilderOptions{TempDir: o.Dir})
	defer popular.Close()
	n := 0
	for c := range whole.Completions("") {
		score, _ := whole.Score(c.Term)
		if err := popular.Add(c.Term, score); err != nil {
			return err
		}
		if n++; n == o.Popular {
			break
		}
	}
	return writeTo(ctx, popular, filepath.Join(o.Dir, Popular))
}

func writeTo(ctx context.Context, b *trie.Builder, path string) error {
	s, err := b.Build(ctx)
	if err != nil {
		return err
	}
	return s.WriteFile(path)
}

func (m *Manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(filepath.Join(dir, manifest), b)
}

// WriteFile replaces a file by one that is on disk, whole, when it has the name.
func WriteFile(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "writing-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil || runtime.GOOS == "windows" {
		return err // Windows has no way to sync a folder
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Read reads a generation's manifest.
func Read(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifest))
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrManifest, dir, err)
	}
	for i := 1; i < len(m.Bounds); i++ {
		if m.Bounds[i-1] >= m.Bounds[i] {
			return nil, fmt.Errorf("%w: %s: bounds out of order", ErrManifest, dir)
		}
	}
	return m, nil
}
