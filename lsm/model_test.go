package lsm_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

var (
	modelOps  = flag.Int("lsm.ops", 1_000_000, "operations of the model check")
	modelSeed = flag.Uint64("lsm.seed", 0, "run the model check with this seed only")
)

// modelValue is a value of the model.
type modelValue struct {
	v       string
	expires int64 // Unix milliseconds; 0: never
}

type model map[string]modelValue

func (m model) get(k string, now int64) (string, bool) {
	v, ok := m[k]
	return v.v, ok && (v.expires == 0 || v.expires > now)
}

// scan is what a scan of the model yields.
func (m model) scan(r lsm.Range, now int64) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if r.Start != nil && k < string(r.Start) || r.End != nil && k >= string(r.End) {
			continue
		}
		if v, ok := m.get(k, now); ok {
			if r.KeysOnly {
				v = ""
			}
			out = append(out, k+"="+v)
		}
	}
	if r.Reverse {
		slices.Reverse(out)
	}
	return out
}

// TestModel drives databases with random options through random programs, next to a
// sorted map, and compares every answer. Programs close and reopen, crash and recover;
// after a crash the database must hold the state after some write, not before the last
// that was durable. A failing seed is printed; -lsm.seed replays it.
func TestModel(t *testing.T) {
	const perSeed = 4000
	ops := *modelOps
	if testing.Short() {
		ops /= 20
	}
	ops /= stride
	seeds := make(chan uint64)
	go func() {
		defer close(seeds)
		if *modelSeed != 0 {
			seeds <- *modelSeed
			return
		}
		for s := range uint64(max(ops/perSeed, 1)) {
			seeds <- s + 1
		}
	}()
	var wg sync.WaitGroup
	var done atomic.Int64
	for range max(runtime.GOMAXPROCS(0), 2) {
		wg.Go(func() {
			for s := range seeds {
				if t.Failed() {
					continue
				}
				p := &program{t: t, seed: s, r: rand.New(rand.NewPCG(s, 0))}
				p.run(perSeed)
				done.Add(perSeed)
			}
		})
	}
	wg.Wait()
	t.Logf("%d operations", done.Load())
}

// program is one run of the model check.
type program struct {
	t     *testing.T
	seed  uint64
	r     *rand.Rand
	disk  *lsmtest.FS
	o     lsm.Options
	db    *lsm.DB
	now   int64
	clock atomic.Int64 // now, for the database's goroutines
	keys  int
	step  int
	model model
	snaps []snap
	// history holds the states since the last that is known to be durable.
	history []model
}

type snap struct {
	s *lsm.Snapshot
	m model
}

func (p *program) fatalf(format string, args ...any) {
	p.t.Errorf("seed %d step %d: %s (replay with -lsm.seed=%d)", p.seed, p.step, fmt.Sprintf(format, args...), p.seed)
	runtime.Goexit()
}

func (p *program) run(steps int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.body(steps)
	}()
	<-done
}

func (p *program) body(steps int) {
	r := p.r
	p.disk, p.model, p.now = lsmtest.NewFS(), model{}, 1_000_000
	p.keys = 1 + r.IntN(300)
	p.o = lsm.Options{
		FS: p.disk, Now: func() time.Time { return time.UnixMilli(p.clock.Load()) },
		MemtableSize: int64(1<<10 + r.IntN(20<<10)), CacheSize: []int64{-1, 4 << 10, 1 << 20}[r.IntN(3)],
		BlockSize: []int{1, 200, 4096}[r.IntN(3)], BitsPerKey: []float64{-1, 0, 4}[r.IntN(3)],
		Compression: lsm.Compression(r.IntN(3)), TableSize: int64(500 + r.IntN(8<<10)),
		L0Tables: 1 + r.IntN(4), LevelBase: int64(2<<10 + r.IntN(16<<10)), Compactors: 1 + r.IntN(2),
	}
	p.history = []model{{}}
	p.tick(0)
	p.open()
	for p.step = range steps {
		p.tick(r.IntN(3))
		p.one()
	}
	for _, s := range p.snaps {
		s.s.Close()
	}
	if err := p.db.Verify(context.Background()); err != nil {
		p.fatalf("Verify: %v", err)
	}
	if err := p.db.Close(); err != nil {
		p.fatalf("Close: %v", err)
	}
	if open := p.disk.OpenFiles(); len(open) > 0 {
		p.fatalf("files left open: %v", open)
	}
}

func (p *program) tick(ms int) {
	p.now += int64(ms)
	p.clock.Store(p.now)
}

func (p *program) open() {
	var err error
	p.o.FS = p.disk
	if p.db, err = lsm.Open("db", p.o); err != nil {
		p.fatalf("Open: %v", err)
	}
}

func (p *program) key() []byte { return fmt.Appendf(nil, "k%0*d", 1+p.r.IntN(3), p.r.IntN(p.keys)) }

func (p *program) value() []byte {
	return bytes.Repeat([]byte{byte('a' + p.r.IntN(26))}, p.r.IntN([]int{10, 100, 1000}[p.r.IntN(3)]))
}

func (p *program) rng() lsm.Range {
	r := lsm.Range{Reverse: p.r.IntN(2) == 0, KeysOnly: p.r.IntN(4) == 0}
	if p.r.IntN(3) > 0 {
		r.Start = p.key()
	}
	if p.r.IntN(3) > 0 {
		r.End = p.key()
	}
	return r
}

// wrote takes a change into the model after it was acknowledged.
func (p *program) wrote(d lsm.Durability, change func(model)) {
	p.model = maps.Clone(p.model)
	change(p.model)
	p.history = append(p.history, p.model)
	if d == lsm.Synced {
		p.durable()
	}
}

func (p *program) durable() { p.history = append(p.history[:0], p.model) }

func (p *program) durability() lsm.Durability {
	return []lsm.Durability{lsm.Queued, lsm.Queued, lsm.Written, lsm.Synced}[p.r.IntN(4)]
}

func (p *program) ok(what string, err error) {
	if err != nil {
		p.fatalf("%s: %v", what, err)
	}
}

func (p *program) one() {
	r, ctx := p.r, context.Background()
	switch n := r.IntN(1000); {
	case n < 300:
		k, v, d := p.key(), p.value(), p.durability()
		if r.IntN(8) == 0 {
			ttl := int64(r.IntN(300))
			p.ok("Put", p.db.Put(k, v, d, lsm.TTL(time.Duration(ttl)*time.Millisecond)))
			p.wrote(d, func(m model) { m[string(k)] = modelValue{string(v), p.now + ttl} })
			return
		}
		p.ok("Put", p.db.Put(k, v, d))
		p.wrote(d, func(m model) { m[string(k)] = modelValue{v: string(v)} })
	case n < 400:
		k, d := p.key(), p.durability()
		p.ok("Delete", p.db.Delete(k, d))
		p.wrote(d, func(m model) { delete(m, string(k)) })
	case n < 420:
		a, b, d := p.key(), p.key(), p.durability()
		p.ok("DeleteRange", p.db.DeleteRange(a, b, d))
		p.wrote(d, func(m model) { deleteRange(m, a, b) })
	case n < 470:
		p.batch()
	case n < 520:
		p.txn()
	case n < 800:
		p.get(p.key())
	case n < 850:
		p.scan(p.db.Scan, p.model, p.rng(), "db")
	case n < 900:
		p.snapshots()
	case n < 910:
		p.ok("Flush", p.db.Flush(ctx))
		p.durable()
	case n < 915:
		p.ok("Compact", p.db.Compact(ctx, p.rng()))
	case n < 925:
		p.ok("Sync", p.db.Sync())
		p.durable()
	case n < 930:
		p.tick(r.IntN(500))
	case n < 935:
		p.reopen()
	case n < 940:
		p.crash()
	case n < 942:
		p.ok("Verify", p.db.Verify(ctx))
	default:
		has, err := p.db.Has(p.key())
		_ = has
		p.ok("Has", err)
	}
}

func deleteRange(m model, a, b []byte) {
	maps.DeleteFunc(m, func(k string, _ modelValue) bool { return k >= string(a) && k < string(b) })
}

func (p *program) batch() {
	var b lsm.Batch
	var changes []func(model)
	for range p.r.IntN(20) {
		k, v, end := p.key(), p.value(), p.key()
		switch p.r.IntN(8) {
		case 0:
			b.Delete(k)
			changes = append(changes, func(m model) { delete(m, string(k)) })
		case 1:
			b.DeleteRange(k, end)
			changes = append(changes, func(m model) { deleteRange(m, k, end) })
		case 2:
			b.PutTTL(k, v, 100*time.Millisecond)
			changes = append(changes, func(m model) { m[string(k)] = modelValue{string(v), p.now + 100} })
		default:
			b.Put(k, v)
			changes = append(changes, func(m model) { m[string(k)] = modelValue{v: string(v)} })
		}
	}
	d := p.durability()
	p.ok("Apply", p.db.Apply(&b, d))
	p.wrote(d, func(m model) {
		for _, c := range changes {
			c(m)
		}
	})
}

// txn runs a transaction that may meet a conflicting write.
func (p *program) txn() {
	tx := p.db.Begin()
	defer tx.Discard()
	own := maps.Clone(p.model)
	read := map[string]bool{}
	wrote := false
	for range p.r.IntN(12) {
		k, v, end := p.key(), p.value(), p.key()
		switch p.r.IntN(7) {
		case 0:
			p.ok("Txn.Put", tx.Put(k, v))
			own[string(k)], wrote = modelValue{v: string(v)}, true
		case 1:
			p.ok("Txn.Delete", tx.Delete(k))
			delete(own, string(k))
			wrote = true
		case 2:
			p.ok("Txn.DeleteRange", tx.DeleteRange(k, end))
			deleteRange(own, k, end)
			wrote = wrote || string(k) < string(end)
		case 3:
			p.scan(tx.Scan, own, p.rng(), "txn")
			read["*"] = true
		default:
			got, err := tx.Get(k)
			want, ok := own.get(string(k), p.now)
			p.compare("Txn.Get", k, got, err, want, ok)
			read[string(k)] = true
		}
	}
	conflict := false
	if p.r.IntN(3) == 0 {
		k, v := p.key(), p.value()
		p.ok("Put", p.db.Put(k, v, lsm.Queued))
		p.wrote(lsm.Queued, func(m model) { m[string(k)] = modelValue{v: string(v)} })
		conflict = true
		own = nil
		if !read["*"] && !read[string(k)] {
			// The transaction did not look at what was written: it must not fail, but
			// its model is the cheaper to give up.
			if err := tx.Commit(lsm.Queued); err != nil {
				p.fatalf("needless conflict: %v", err)
			}
			p.rebuild()
			return
		}
	}
	if p.r.IntN(5) == 0 {
		return // discarded
	}
	d := p.durability()
	err := tx.Commit(d)
	switch {
	case conflict && errors.Is(err, lsm.ErrConflict):
	case conflict && err == nil:
		p.rebuild()
	case err != nil:
		p.fatalf("Commit: %v", err)
	case wrote:
		p.wrote(d, func(m model) { clear(m); maps.Copy(m, own) })
	}
}

// rebuild reads the model's state off the database, where the model cannot tell it.
func (p *program) rebuild() {
	m := model{}
	for e, err := range p.db.Scan(lsm.Range{}) {
		p.ok("Scan", err)
		v := modelValue{v: string(e.Value)}
		if !e.Expires.IsZero() {
			v.expires = e.Expires.UnixMilli()
		}
		m[string(e.Key)] = v
	}
	p.model = m
	p.ok("Sync", p.db.Sync())
	p.durable()
}

func (p *program) compare(what string, k, got []byte, err error, want string, ok bool) {
	switch {
	case err == nil && ok && string(got) == want:
	case errors.Is(err, lsm.ErrNotFound) && !ok:
	default:
		p.fatalf("%s(%q) = %.20q, %v; want %.20q, %v", what, k, got, err, want, ok)
	}
}

func (p *program) get(k []byte) {
	got, err := p.db.AppendGet([]byte("x"), k)
	want, ok := p.model.get(string(k), p.now)
	p.compare("Get", k, got, err, "x"+want, ok)
}

func (p *program) scan(scan func(lsm.Range) iter.Seq2[lsm.Entry, error], m model, r lsm.Range, what string) {
	want := m.scan(r, p.now)
	limit := p.r.IntN(len(want) + 2)
	i := 0
	for e, err := range scan(r) {
		p.ok("Scan", err)
		if i == limit {
			return
		}
		if i >= len(want) || string(e.Key)+"="+string(e.Value) != want[i] {
			p.fatalf("%s scan %+v: entry %d is %q", what, r, i, e.Key)
		}
		i++
	}
	if i != len(want) {
		p.fatalf("%s scan %+v: %d entries, want %d", what, r, i, len(want))
	}
}

func (p *program) snapshots() {
	switch {
	case len(p.snaps) == 0 || len(p.snaps) < 4 && p.r.IntN(4) == 0:
		p.snaps = append(p.snaps, snap{p.db.Snapshot(), p.model})
	case p.r.IntN(6) == 0:
		i := p.r.IntN(len(p.snaps))
		p.ok("Snapshot.Close", p.snaps[i].s.Close())
		p.snaps = slices.Delete(p.snaps, i, i+1)
	default:
		s := p.snaps[p.r.IntN(len(p.snaps))]
		k := p.key()
		got, err := s.s.Get(k)
		want, ok := s.m.get(string(k), p.now)
		p.compare("Snapshot.Get", k, got, err, want, ok)
		p.scan(s.s.Scan, s.m, p.rng(), "snapshot")
	}
}

func (p *program) reopen() {
	p.snaps = nil
	p.ok("Close", p.db.Close())
	if open := p.disk.OpenFiles(); len(open) > 0 {
		p.fatalf("files left open by Close: %v", open)
	}
	p.durable()
	p.open()
}

// crash cuts the power and finds out which state of the history is there.
func (p *program) crash() {
	p.snaps = nil
	old := p.db
	p.disk = p.disk.Crash(lsmtest.Loss{Seed: p.r.Uint64(), Keep: float64(p.r.IntN(5)) / 4, Ordered: p.r.IntN(2) == 0})
	_ = old.Close() // the process is gone; its goroutines must go too
	p.open()
	var got []string
	for e, err := range p.db.Scan(lsm.Range{}) {
		p.ok("Scan", err)
		got = append(got, string(e.Key)+"="+string(e.Value))
	}
	for i := len(p.history) - 1; i >= 0; i-- {
		if slices.Equal(p.history[i].scan(lsm.Range{}, p.now), got) {
			p.model = p.history[i]
			p.durable()
			return
		}
	}
	p.fatalf("after a crash: %d entries that are none of the last %d states (%s)", len(got), len(p.history), strings.Join(p.disk.Files(), " "))
}
