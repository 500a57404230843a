package lsm_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// losses are the ways in which the power goes at operation n: nothing of the unsynced is
// left, all of it, a part of it from the front, a random part.
func losses(n int64) []lsmtest.Loss {
	return []lsmtest.Loss{
		{},
		{Keep: 1},
		{Seed: uint64(n), Keep: float64(n%4) / 4, Ordered: true},
		{Seed: uint64(n), Keep: 0.2 + float64(n%3)*0.3},
	}
}

// TestPowerCutAtEveryOperation runs the scripts and, before every operation that changes
// the disk, looks at what a power cut would leave: every write that was acknowledged as
// durable, none without those before it, no batch in part. Now and then the power goes a
// second time while the first recovery runs.
func TestPowerCutAtEveryOperation(t *testing.T) {
	for i, f := range flavours {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := newRun(f, f.draw(uint64(i)))
			var cuts atomic.Int64
			cut := func(disk *lsmtest.FS, o lsmtest.Op, l lsmtest.Loss, least int64) {
				after := disk.CrashClone(l)
				most := r.issued.Load()
				if o.N%11 == 0 {
					r.cutRecovery(t, after.Clone(), l, least, most)
				}
				cuts.Add(1)
				if _, err := r.check(after, least, most); err != nil {
					t.Errorf("power cut before %v, %v: %v", o, l, err)
				}
			}
			r.disk.Before(func(o lsmtest.Op) {
				if !o.Kind.Changes() || t.Failed() || o.N%stride != 0 {
					return
				}
				for _, l := range losses(o.N) {
					// What the process's end leaves is what it wrote, all of it.
					least := r.durable.Load()
					if l.Keep == 1 {
						least = r.written.Load()
					}
					cut(r.disk, o, l, least)
				}
			})
			require.NoError(t, r.open())
			for {
				more, err := r.next()
				require.NoError(t, err)
				if !more || t.Failed() {
					break
				}
			}
			// Whatever the background came to: everything through to the bottom.
			require.NoError(t, r.do(step{action: flush}))
			require.NoError(t, r.do(step{action: compact}))
			require.NoError(t, r.close())
			r.disk.Before(nil)
			r.durable.Store(r.issued.Load())
			cut(r.disk, lsmtest.Op{N: r.disk.Ops()}, lsmtest.Loss{}, r.issued.Load())
			t.Logf("%d power cuts in %d operations, %d flushes, %d compactions", cuts.Load(), r.disk.Ops(), r.flushes, r.compactions)
			require.Greater(t, r.flushes+r.opened, int64(4), "the script does too little")
			require.Positive(t, r.compactions, "the script does too little")
		})
	}
}

// cutRecovery opens the database and cuts the power before every operation of that.
func (r *run) cutRecovery(t *testing.T, disk *lsmtest.FS, first lsmtest.Loss, least, most int64) {
	disk.Before(func(o lsmtest.Op) {
		if o.Kind.Changes() && !t.Failed() {
			l := losses(o.N)[o.N%4]
			if _, err := r.check(disk.CrashClone(l), least, most); err != nil {
				t.Errorf("second power cut during recovery from %v, before %v, %v: %v", first, o, l, err)
			}
		}
	})
	if db, err := lsm.Open("db", r.options(disk)); err != nil {
		t.Errorf("recovery: %v", err)
	} else if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// TestPowerCutUnderConcurrentWriters lets writers share the log. Each writer's keys hold
// its own count; after a power cut each must have reached at least what was acknowledged
// to it, and all that was written in one batch must agree.
func TestPowerCutUnderConcurrentWriters(t *testing.T) {
	const writers, writes = 4, 60
	disk := lsmtest.NewFS()
	o := lsm.Options{FS: disk, MemtableSize: 4 << 10, TableSize: 2 << 10, LevelBase: 8 << 10, L0Tables: 2, BlockSize: 300}
	db, err := lsm.Open("db", o)
	require.NoError(t, err)
	var acked [writers]atomic.Int64
	check := func(op lsmtest.Op, l lsmtest.Loss) error {
		var least [writers]int64
		for w := range writers {
			least[w] = acked[w].Load()
		}
		o := o
		o.FS = disk.CrashClone(l)
		db, err := lsm.Open("db", o)
		if err != nil {
			return err
		}
		defer db.Close()
		for w := range writers {
			var got [2]int64
			for half := range got {
				v, err := db.Get(fmt.Appendf(nil, "writer %d half %d", w, half))
				if err != nil && least[w] > 0 {
					return fmt.Errorf("writer %d: %w", w, err)
				}
				_, _ = fmt.Sscan(string(v), &got[half])
			}
			if got[0] != got[1] || got[0] < least[w] || got[0] > least[w]+writers*writes {
				return fmt.Errorf("writer %d holds %v after %v, %d was acknowledged", w, got, op, least[w])
			}
		}
		return nil
	}
	disk.Before(func(op lsmtest.Op) {
		if op.Kind.Changes() && op.N%3 == 0 && !t.Failed() {
			if err := check(op, losses(op.N)[op.N%4]); err != nil {
				t.Errorf("before %v: %v", op, err)
			}
		}
	})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var b lsm.Batch
			for n := int64(1); n <= writes; n++ {
				b.Reset()
				for half := range 2 {
					b.Put(fmt.Appendf(nil, "writer %d half %d", w, half), fmt.Appendf(nil, "%d %0100d", n, n))
				}
				if err := db.Apply(&b); err != nil {
					t.Error(err)
					return
				}
				acked[w].Store(n)
			}
		})
	}
	wg.Wait()
	disk.Before(nil)
	require.NoError(t, db.Close())
}
