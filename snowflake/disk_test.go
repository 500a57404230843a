package snowflake

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// faultDisk is a disk that fails, or loses power, at the operation that failAt counts down to.
// What was not synced at a power cut may be there or not: of a file any beginning, or
// rubbish; of a directory's changes any beginning of their row.
type faultDisk struct {
	rng     *rand.Rand
	names   map[string]*faultData // as the running system sees the directory
	durable map[string]*faultData // as it is on the platter
	changes []func(map[string]*faultData)

	mu     sync.Mutex
	failAt int  // guarded by mu; 0: never
	cut    bool // guarded by mu: fail by a power cut
	off    bool // guarded by mu: there is no power
}

type faultData struct{ now, synced []byte }

var errDisk, errPower = errors.New("input/output error"), errors.New("no power")

func newFaultDisk(rng *rand.Rand) *faultDisk {
	// Its own numbers: a Store runs beside the test.
	rng = rand.New(rand.NewPCG(rng.Uint64(), 0))
	return &faultDisk{rng: rng, names: map[string]*faultData{}, durable: map[string]*faultData{}}
}

// set arms the disk.
func (d *faultDisk) set(failAt int, cut, off bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failAt, d.cut, d.off = failAt, cut, off
}

// operation is one more.
func (d *faultDisk) operation() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return errPower
	}
	if d.failAt > 0 {
		if d.failAt--; d.failAt == 0 {
			d.off = d.cut
			return errDisk
		}
	}
	return nil
}

// change does to the directory what lasts only after syncDir.
func (d *faultDisk) change(f func(map[string]*faultData)) {
	f(d.names)
	d.changes = append(d.changes, f)
}

func (d *faultDisk) read(name string) ([]byte, error) {
	if f, ok := d.names[name]; ok {
		return slices.Clone(f.now), nil
	}
	return nil, fs.ErrNotExist
}

func (d *faultDisk) create(name string) (diskFile, error) {
	if err := d.operation(); err != nil {
		return nil, err
	}
	f := &faultData{}
	d.change(func(names map[string]*faultData) { names[name] = f })
	return &faultFile{d, f}, nil
}

func (d *faultDisk) rename(from, to string) error {
	if err := d.operation(); err != nil {
		return err
	}
	d.change(func(names map[string]*faultData) {
		if f, ok := names[from]; ok {
			names[to] = f
			delete(names, from)
		}
	})
	return nil
}

func (d *faultDisk) remove(name string) error {
	if err := d.operation(); err != nil {
		return err
	}
	d.change(func(names map[string]*faultData) { delete(names, name) })
	return nil
}

func (d *faultDisk) syncDir(string) error {
	if err := d.operation(); err != nil {
		return err
	}
	d.settle(len(d.changes))
	return nil
}

// settle makes the first n changes durable.
func (d *faultDisk) settle(n int) {
	for _, f := range d.changes[:n] {
		f(d.durable)
	}
	d.changes = nil
}

// reboot is what is there after a power cut.
func (d *faultDisk) reboot() {
	d.settle(d.rng.IntN(len(d.changes) + 1))
	d.names = map[string]*faultData{}
	for name, f := range d.durable {
		if string(f.now) != string(f.synced) {
			f.now = f.now[:d.rng.IntN(len(f.now)+1)]
			if d.rng.IntN(2) == 0 {
				clear(f.now) // blocks that were given out, and never written
			}
		}
		f.synced = f.now
		d.names[name] = f
	}
	d.set(0, false, false)
}

type faultFile struct {
	d *faultDisk
	f *faultData
}

func (f *faultFile) Write(b []byte) (int, error) {
	if err := f.d.operation(); err != nil {
		n := f.d.rng.IntN(len(b) + 1)
		f.f.now = append(f.f.now, b[:n]...)
		return n, err
	}
	f.f.now = append(f.f.now, b...)
	return len(b), nil
}

func (f *faultFile) Sync() error {
	if err := f.d.operation(); err != nil {
		return err
	}
	f.f.synced = slices.Clone(f.f.now)
	return nil
}

func (f *faultFile) Close() error { return f.d.operation() }

// operations is more than a Store has.
const operations = 8

// TestFileMarkPowerCut cuts the power at every operation of a Store, or lets that one fail:
// the mark that is found next is the last one that was acknowledged, or the one under way.
func TestFileMarkPowerCut(t *testing.T) {
	rng := testkit.Rand(t)
	path := filepath.Join(t.TempDir(), "mark")
	at := func(n int) time.Time { return time.Unix(int64(n), 0).UTC() }
	for _, cut := range []bool{true, false} {
		for failAt := range operations + 1 {
			failed := false
			for range 50 {
				d := newFaultDisk(rng)
				acked, tried := time.Time{}, time.Time{}
				for life := range 4 {
					m := &fileMark{path: path, disk: d}
					got, err := m.Load(t.Context())
					require.NoError(t, err, "a mark that is not whole")
					require.True(t, got.Equal(acked) || got.Equal(tried), "%v is there, acknowledged was %v, under way %v", got, acked, tried)
					acked = got
					for n := range 1 + rng.IntN(3) {
						tried = at(1 + 10*life + n)
						require.NoError(t, m.Store(t.Context(), tried))
						acked = tried
					}
					d.set(failAt, cut, false)
					tried = at(9 + 10*life)
					if err := m.Store(t.Context(), tried); err == nil {
						acked = tried
					} else {
						failed = true
						require.ErrorIs(t, err, errDisk)
					}
					if !cut {
						d.set(0, false, false)
						require.NotContains(t, d.names, path+".tmp", "it may be what fills the disk")
						require.NoError(t, m.Store(t.Context(), tried), "the disk is well again")
						acked = tried
					}
					require.NoError(t, m.Close())
					d.reboot()
				}
			}
			require.Equal(t, failAt > 0 && failAt < operations-1, failed, "operation %d", failAt)
		}
	}
}

// TestGeneratorThroughPowerCuts: ids before and after power cuts at any operation differ,
// although the clock stands at the same time after each.
func TestGeneratorThroughPowerCuts(t *testing.T) {
	rng := testkit.Rand(t)
	path := filepath.Join(t.TempDir(), "mark")
	for range 100 {
		d := newFaultDisk(rng)
		last := ID(0)
		for range 5 {
			now := time.Now()
			o := Options{Mark: &fileMark{path: path, disk: d}, MarkEvery: 2 * time.Millisecond, MaxBack: time.Hour, Now: func() time.Time { return now }}
			g, err := New(o)
			require.NoError(t, err)
			d.set(1+rng.IntN(5*operations), true, false)
			for range 20 {
				ids := make([]ID, 1+rng.IntN(2000))
				if err := g.Fill(ids); err != nil {
					break
				}
				require.Greater(t, ids[0], last, "an id from before the cut")
				last = ids[len(ids)-1]
				now = now.Add(time.Millisecond)
			}
			d.set(0, true, true)
			require.ErrorIs(t, g.Close(), errPower)
			d.reboot()
		}
	}
}
