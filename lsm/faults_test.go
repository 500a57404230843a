package lsm_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// errInjected is what injected faults return, so that it is not taken for another's.
var errInjected = errors.New("injected")

// faultModes are the ways in which an operation fails.
var faultModes = []struct {
	name  string
	fault lsmtest.Fault
}{
	{"once", lsmtest.Fault{Times: 1}},
	{"from then on", lsmtest.Fault{}},
	{"half-way", lsmtest.Fault{Times: 1, Partial: 0.5}},
	{"half-way from then on", lsmtest.Fault{Partial: 0.5}},
	{"though it happened", lsmtest.Fault{Times: 1, Partial: 1}},
}

// TestErrorAtEveryOperation runs short scripts again and again; in run n the n-th
// operation of the file system fails. Nothing may panic or hang; the error reaches the
// caller or Err; reads are right or fail; nothing acknowledged is lost; after Resume, or a
// new Open, everything works.
func TestErrorAtEveryOperation(t *testing.T) {
	for i, f := range flavours {
		f.writes, f.value, f.windows = 14, 3400/(1+f.batch), false // some three memtables
		f.flushes, f.compacts, f.reopens, f.syncs = 2*f.flushes, 2*f.compacts, 2*f.reopens, 2*f.syncs
		s := f.draw(uint64(i) + 10)
		for _, mode := range faultModes {
			t.Run(f.name+"/"+mode.name, func(t *testing.T) {
				t.Parallel()
				n := 1
				for ; !t.Failed(); n += stride {
					x := mode.fault
					x.Skip = n - 1
					r := newRun(f, s)
					r.thorough = n%5 == 0
					fired, err := r.withFault(x)
					if err != nil {
						t.Fatalf("operation %d fails %s: %v", n, mode.name, err)
					}
					if !fired {
						break
					}
				}
				t.Logf("%d operations failed", (n-1)/stride)
			})
		}
	}
}

// withFault runs the script under a fault. From the first error on it looks whether
// nothing is lost, heals the disk, resumes or reopens, and goes on to the end.
func (r *run) withFault(x lsmtest.Fault) (fired bool, err error) {
	x.Err = errInjected
	ops := r.disk.Ops()
	r.disk.Inject(x)
	defer func() {
		fired = r.disk.Ops()-ops > int64(x.Skip)
		if r.db != nil {
			err = errors.Join(err, r.db.Close())
		}
		if open := r.disk.OpenFiles(); err == nil && len(open) > 0 {
			err = fmt.Errorf("left open at the end: %v", open)
		}
	}()
	if err := r.open(); err != nil {
		if !errors.Is(err, errInjected) {
			return false, fmt.Errorf("Open returned another error: %w", err)
		}
		if open := r.disk.OpenFiles(); len(open) > 0 {
			return false, fmt.Errorf("a failed Open left open: %v", open)
		}
		r.disk.Heal()
		if err := r.open(); err != nil {
			return false, fmt.Errorf("Open after the fault: %w", err)
		}
	}
	for {
		more, err := r.next()
		if err != nil {
			if err := r.recover(err); err != nil {
				return false, fmt.Errorf("step %d of %d: %w", r.at, len(r.s.steps), err)
			}
		}
		if !more {
			break
		}
	}
	// An error that no call returned is one that Err returns, or that changed nothing.
	if err := r.db.Err(); err != nil {
		if err := r.recover(fmt.Errorf("%w: %w", lsm.ErrReadOnly, err)); err != nil {
			return false, fmt.Errorf("at the end: %w", err)
		}
	}
	r.disk.Heal()
	if err := r.agrees(r.issued.Load(), r.issued.Load()); err != nil {
		return false, fmt.Errorf("at the end: %w", err)
	}
	if _, err := r.check(r.disk.CrashClone(lsmtest.Loss{}), r.durable.Load(), r.issued.Load()); err != nil {
		return false, fmt.Errorf("power cut at the end: %w", err)
	}
	return false, nil
}

// recover deals with the first error of a run: a step failed with it. The write of that
// step, if it was one, may have happened or not.
func (r *run) recover(cause error) error {
	if !errors.Is(cause, errInjected) {
		return fmt.Errorf("another error than the injected one: %w", cause)
	}
	most := r.issued.Load()
	least := most
	if s := r.s.steps[r.at-1]; s.action == write {
		least--
	}
	if r.db == nil { // a failed Close or Open; what was queued may be lost
		least = r.durable.Load()
		if open := r.disk.OpenFiles(); len(open) > 0 {
			return fmt.Errorf("a failed Open or Close left open: %v", open)
		}
	} else if err := r.agrees(least, most); err != nil && !errors.Is(err, errInjected) {
		return fmt.Errorf("reading after %w: %w", cause, err)
	}
	after := r.disk.CrashClone(lsmtest.Loss{Seed: uint64(r.at), Keep: float64(r.at%3) / 2})
	if _, err := r.check(after, r.durable.Load(), most); err != nil {
		return fmt.Errorf("power cut after %w: %w", cause, err)
	}
	if r.db != nil && r.db.Err() != nil {
		if err := r.db.Put([]byte("zz"), nil); !errors.Is(err, lsm.ErrReadOnly) || !errors.Is(err, errInjected) {
			return fmt.Errorf("a write while Err is %w returned %w", r.db.Err(), err)
		}
	}
	r.disk.Heal()
	if r.thorough {
		if err := r.failAgain(most); err != nil {
			return fmt.Errorf("after %w: %w", cause, err)
		}
		r.disk.Heal()
	}
	if r.db == nil {
		if err := r.open(); err != nil {
			return fmt.Errorf("Open after %w: %w", cause, err)
		}
	} else if err := r.db.Resume(context.Background()); err != nil {
		return fmt.Errorf("Resume after %w: %w", cause, err)
	}
	if err := r.again(r.db.Err); err != nil {
		return fmt.Errorf("Err after Resume: %w", err)
	}
	at, err := r.which(least, most)
	if err != nil {
		return fmt.Errorf("after Resume from %w: %w", cause, err)
	}
	for n := at; n < most; n++ { // the failed writes did not happen: do them again
		if err := r.again(func() error { return r.write(r.s.steps[r.step(n+1)]) }); err != nil {
			return fmt.Errorf("write %d again: %w", n+1, err)
		}
	}
	if err := r.again(r.db.Sync); err != nil {
		return fmt.Errorf("Sync after Resume from %w: %w", cause, err)
	}
	r.durable.Store(most)
	r.written.Store(most)
	return nil
}

// again does something on a healed disk. A background job may still report that it met
// the fault before.
func (r *run) again(do func() error) error {
	err := do()
	if errors.Is(err, errInjected) {
		if err := r.db.Resume(context.Background()); err != nil {
			return err
		}
		err = do()
	}
	return err
}

// failAgain makes Resume, or Open, fail at each of its operations in turn, until one
// attempt succeeds: after each the disk must hold what it held.
func (r *run) failAgain(most int64) error {
	for n := 1; ; n++ {
		r.disk.Inject(lsmtest.Fault{Skip: n - 1, Times: 1, Partial: float64((n+r.at)%3) / 2, Err: errInjected})
		var err error
		if r.db == nil {
			err = r.open()
		} else {
			err = r.db.Resume(context.Background())
		}
		if err == nil {
			return nil
		}
		if !errors.Is(err, errInjected) {
			return fmt.Errorf("attempt %d returned another error: %w", n, err)
		}
		after := r.disk.CrashClone(lsmtest.Loss{Seed: uint64(n), Keep: float64(n%4) / 3})
		if _, err := r.check(after, r.durable.Load(), most); err != nil {
			return fmt.Errorf("power cut after attempt %d: %w", n, err)
		}
	}
}

// step is the index of the n-th write.
func (r *run) step(n int64) int {
	for i, s := range r.s.steps {
		if s.action == write {
			if n--; n == 0 {
				return i
			}
		}
	}
	return -1
}

// which says the content after which write it is that the database shows.
func (r *run) which(least, most int64) (int64, error) {
	got, err := read(r.db, r.s.keys)
	if err != nil {
		return 0, err
	}
	for i := most; i >= least; i-- {
		if r.s.contents[i].visible(r.now.Load()) == got {
			return i, nil
		}
	}
	return 0, fmt.Errorf("shows what is not there after writes %d to %d:\n%s", least, most, got)
}

func (r *run) agrees(least, most int64) error {
	_, err := r.which(least, most)
	return err
}

// TestFullDisk fills the disk at every size up to what the script needs. Writes fail with
// ENOSPC, reads go on, and once there is room Resume takes writes up again.
func TestFullDisk(t *testing.T) {
	f := flavours[0]
	f.windows = false
	s := f.draw(77)
	whole := newRun(f, s)
	require.NoError(t, whole.open())
	for more := true; more; {
		var err error
		more, err = whole.next()
		require.NoError(t, err)
	}
	require.NoError(t, whole.close())
	needed := whole.disk.Used()
	fulls := 0
	for limit := int64(1); limit <= 2*needed; limit += 1 + needed/150 {
		r := newRun(f, s)
		r.disk.Limit(limit)
		err := r.open()
		if err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC, "limit %d", limit)
			require.Empty(t, r.disk.OpenFiles())
			r.disk.Limit(0)
			require.NoError(t, r.open())
		}
		for more := true; more; {
			if more, err = r.next(); err == nil {
				continue
			}
			fulls++
			require.ErrorIs(t, err, syscall.ENOSPC, "limit %d", limit)
			require.NoError(t, r.agrees(r.issued.Load()-1, r.issued.Load()), "reads go on at limit %d", limit)
			if err := r.db.Resume(context.Background()); err != nil {
				require.ErrorIs(t, err, syscall.ENOSPC)
				require.ErrorIs(t, r.db.Err(), syscall.ENOSPC)
			}
			r.disk.Limit(0)
			require.NoError(t, r.db.Resume(context.Background()), "limit %d", limit)
			at, err := r.which(r.issued.Load()-1, r.issued.Load())
			require.NoError(t, err)
			if at < r.issued.Load() {
				require.NoError(t, r.write(s.steps[r.at-1]))
			}
		}
		require.NoError(t, r.agrees(r.issued.Load(), r.issued.Load()))
		// The background may have met the full disk after the last step.
		r.disk.Limit(0)
		require.NoError(t, r.db.Resume(context.Background()))
		require.NoError(t, r.close())
		_, err = r.check(r.disk.CrashClone(lsmtest.Loss{}), r.issued.Load(), r.issued.Load())
		require.NoError(t, err, "limit %d", limit)
	}
	require.Greater(t, fulls, 50)
}

// TestNothingFollowsAFailedEdit: while a flush is on its way the manifest fails under a
// compaction. What the flush would append then stood behind a hole, so it may not.
func TestNothingFollowsAFailedEdit(t *testing.T) {
	for _, x := range []lsmtest.Fault{
		{Kinds: []lsmtest.Kind{lsmtest.OpSync}, Match: "MANIFEST-*", Times: 1},
		{Kinds: []lsmtest.Kind{lsmtest.OpWrite}, Match: "MANIFEST-*", Times: 1},
		{Kinds: []lsmtest.Kind{lsmtest.OpWrite}, Match: "MANIFEST-*", Times: 1, Partial: 0.5},
		{Kinds: []lsmtest.Kind{lsmtest.OpWrite}, Match: "MANIFEST-*", Times: 1, Partial: 1},
	} {
		disk := lsmtest.NewFS()
		o := lsm.Options{FS: disk, MemtableSize: 4 << 10, L0Tables: 100}
		db, err := lsm.Open("db", o)
		require.NoError(t, err)
		require.NoError(t, db.Put([]byte("a"), nil))
		require.NoError(t, db.Flush(t.Context()))
		require.NoError(t, db.Put([]byte("b"), nil))

		reached, gate := make(chan struct{}), make(chan struct{})
		var tables atomic.Int64
		disk.Before(func(o lsmtest.Op) {
			if o.Kind == lsmtest.OpCreate && path.Ext(o.Name) == ".sst" && tables.Add(1) == 1 {
				close(reached)
				<-gate
			}
		})
		flushed := make(chan error)
		go func() { flushed <- db.Flush(context.Background()) }()
		<-reached
		x.Err = errInjected
		disk.Inject(x)
		require.ErrorIs(t, db.Compact(t.Context(), lsm.Range{}), errInjected)
		close(gate)
		require.ErrorIs(t, <-flushed, errInjected)
		_ = db.Close()

		for _, l := range losses(7) {
			o.FS = disk.CrashClone(l)
			db, err := lsm.Open("db", o)
			require.NoError(t, err, "%+v, %v", x, l)
			for _, k := range []string{"a", "b"} {
				_, err := db.Get([]byte(k))
				require.NoError(t, err, "%s after %+v, %v", k, x, l)
			}
			require.NoError(t, db.Close())
		}
	}
}

// TestFailedOpenLeavesNothing opens again and again with an operation that fails.
func TestFailedOpenLeavesNothing(t *testing.T) {
	r := newRun(flavours[1], flavours[1].draw(5))
	require.NoError(t, r.open())
	for range len(r.s.steps) / 2 {
		_, err := r.next()
		require.NoError(t, err)
	}
	disk := r.disk.CrashClone(lsmtest.Loss{Keep: 1}) // a log to replay
	require.NoError(t, r.close())
	before := runtime.NumGoroutine()
	for n := 1; ; n++ {
		disk := disk.Clone()
		disk.FailAt(n, errInjected)
		db, err := lsm.Open("db", r.options(disk))
		if err == nil {
			_ = db.Close()
			require.Greater(t, n, 20)
			break
		}
		require.ErrorIs(t, err, errInjected, "operation %d", n)
		require.Empty(t, disk.OpenFiles(), "operation %d", n)
		disk.Heal()
		_, err = r.check(disk, r.written.Load(), r.issued.Load())
		require.NoError(t, err, "after operation %d of Open had failed", n)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before, "goroutines")
}

// TestReadErrorsAreNoAnswers makes every read of a file fail: an error comes back, not
// "not found" and not half a scan.
func TestReadErrorsAreNoAnswers(t *testing.T) {
	f := flavours[2]
	r := newRun(f, f.draw(6))
	require.NoError(t, r.open())
	for more := true; more; {
		var err error
		more, err = r.next()
		require.NoError(t, err)
	}
	require.NoError(t, r.db.Flush(context.Background()))
	require.NoError(t, r.close())
	o := r.options(r.disk)
	o.CacheSize, o.L0Tables, o.LevelBase = -1, 1000, 1<<30 // and nothing to compact
	db, err := lsm.Open("db", o)
	require.NoError(t, err)
	defer db.Close()
	var reads atomic.Int64
	for n := 1; ; n++ {
		r.disk.Heal()
		r.disk.Inject(lsmtest.Fault{Kinds: []lsmtest.Kind{lsmtest.OpRead}, Match: "*.sst", Skip: n - 1, Times: 1, Err: errInjected})
		got, err := read(db, r.s.keys)
		if err == nil {
			require.Equal(t, r.s.contents[r.issued.Load()].visible(r.now.Load()), got)
			break
		}
		require.ErrorIs(t, err, errInjected, "read %d", n)
		reads.Add(1)
	}
	require.Greater(t, reads.Load(), int64(20))
	require.NoError(t, db.Err(), "a failed read does not stop writes")
}
