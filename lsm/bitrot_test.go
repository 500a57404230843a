package lsm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// finished runs a script to its end and closes the database, so that nothing on its disk
// changes any more. The log holds the last writes.
func finished(t testing.TB, f flavour, seed uint64) *run {
	f.windows = false
	r := newRun(f, f.draw(seed))
	require.NoError(t, r.open())
	for more := true; more; {
		var err error
		more, err = r.next()
		require.NoError(t, err)
	}
	require.NoError(t, r.close())
	return r
}

// frozen are options under which nothing moves: what is not read stays as it is.
func (r *run) frozen(disk *lsmtest.FS) lsm.Options {
	o := r.options(disk)
	now := r.now.Load()
	o.Now = func() time.Time { return time.UnixMilli(now) }
	o.MemtableSize, o.L0Tables, o.LevelBase, o.CacheSize = 64<<10, 1000, 1<<30, -1
	return o
}

// TestBitRot flips single bits in files of every kind of databases that were closed in
// good order. What comes of it must be the right answer, or an error that names the file
// and a place in it: never a wrong answer, a panic or a hang. In tables no flip may pass
// Verify.
func TestBitRot(t *testing.T) {
	const flips = 1000 / stride // for each database
	for i, f := range flavours {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := finished(t, f, uint64(i)+20)
			rnd := rand.New(rand.NewPCG(uint64(i), 0))
			refused, unharmed := map[string]int{}, map[string]int{}
			var total int64
			for _, name := range r.disk.Files() {
				b, err := r.disk.ReadFile(name)
				require.NoError(t, err)
				total += int64(len(b))
			}
			for _, name := range r.disk.Files() {
				b, err := r.disk.ReadFile(name)
				require.NoError(t, err)
				bits := int64(len(b)) * 8
				// Every bit of small files, an even spread over the others.
				n := min(bits, max(flips*int64(len(b))/total, 250/stride))
				for k := range n {
					bit := k * bits / n
					if n < bits {
						bit += rnd.Int64N(bits / n)
					}
					disk := r.disk.Clone()
					require.NoError(t, disk.Flip(name, bit/8, uint(bit%8)))
					kind := strings.TrimRight(strings.TrimPrefix(path.Ext(name), "."), "0123456789-")
					if kind == "" {
						kind, _, _ = strings.Cut(path.Base(name), "-")
					}
					found, err := r.rotten(disk, path.Base(name))
					if err != nil {
						t.Fatalf("bit %d of byte %d of %s (%d bytes) flipped: %v", bit%8, bit/8, name, len(b), err)
					}
					if found {
						refused[kind]++
					} else {
						unharmed[kind]++
					}
					if !found && kind == "sst" {
						t.Fatalf("bit %d of byte %d of %s flipped: Verify finds nothing", bit%8, bit/8, name)
					}
				}
			}
			t.Logf("refused %v, unharmed %v", refused, unharmed)
		})
	}
}

// blames returns nil if err names the file that was damaged.
func blames(err error, name string) error {
	damage, ok := errors.AsType[*lsm.CorruptError](err)
	switch {
	case !ok || !errors.Is(err, lsm.ErrCorrupt):
		return fmt.Errorf("an error of another kind: %w", err)
	case damage.File == name, name == "CURRENT" && strings.HasPrefix(damage.File, "MANIFEST-"):
		return nil
	case strings.HasPrefix(name, "MANIFEST-"):
		return nil // damage to the end of the manifest shows in what it no longer agrees with
	}
	return fmt.Errorf("%s is damaged, %s is blamed: %w", name, damage.File, err)
}

// rotten uses a database with a damaged file. found says whether the damage was noticed.
func (r *run) rotten(disk *lsmtest.FS, name string) (found bool, err error) {
	db, err := lsm.Open("db", r.frozen(disk))
	if err != nil {
		if open := disk.OpenFiles(); len(open) > 0 {
			return true, fmt.Errorf("a failed Open left open: %v", open)
		}
		return true, blames(err, name)
	}
	defer db.Close()
	want := r.s.contents[r.issued.Load()]
	now := r.now.Load()
	for _, reverse := range []bool{false, true} {
		seen := 0
		for e, err := range db.Scan(lsm.Range{Reverse: reverse}) {
			if err != nil {
				found = true
				if err := blames(err, name); err != nil {
					return true, err
				}
				seen = -1
				break
			}
			if w, ok := want[string(e.Key)]; !ok || w.v != string(e.Value) {
				return true, fmt.Errorf("a scan shows %q = %.40q, which is wrong", e.Key, e.Value)
			}
			seen++
		}
		if n := strings.Count(want.visible(now), "\n"); seen >= 0 && seen != n {
			return true, fmt.Errorf("a scan shows %d entries of %d", seen, n)
		}
	}
	for _, k := range r.s.keys {
		v, err := db.Get([]byte(k))
		w, ok := want[k]
		ok = ok && (w.expires == 0 || w.expires > now)
		switch {
		case err == nil && ok && string(v) == w.v, errors.Is(err, lsm.ErrNotFound) && !ok:
		case err == nil || errors.Is(err, lsm.ErrNotFound):
			return true, fmt.Errorf("Get(%q) = %.40q, %v, which is wrong", k, v, err)
		default:
			found = true
			if err := blames(err, name); err != nil {
				return true, err
			}
		}
	}
	if err := db.Verify(context.Background()); err != nil {
		found = true
		if err := blames(err, name); err != nil {
			return true, fmt.Errorf("Verify: %w", err)
		}
	} else if found {
		return true, errors.New("reads fail, but Verify finds nothing")
	}
	// A compaction must not launder what it reads.
	if err := db.Compact(context.Background(), lsm.Range{}); err != nil {
		if err := blames(err, name); err != nil {
			return true, fmt.Errorf("Compact: %w", err)
		}
	}
	return found, nil
}
