package frontier

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// exported returns a frontier with a host that has something of every kind, and its stream.
func exported(t *testing.T) (*world, []byte) {
	w := newWorld(t, Options{Breaker: -1})
	ctx := context.Background()
	for i := range 70 { // more than a chunk
		_, err := w.Add(ctx, Item{URL: fmt.Sprintf("https://a.example/%d", i), Priority: 1, Meta: []byte("meta")}, Item{URL: fmt.Sprintf("https://b.example/%d", i)})
		require.NoError(t, err)
	}
	_, err := w.Add(ctx, Item{URL: "http://a.example/later", Host: "a.example", NotBefore: w.now.Add(time.Hour)})
	require.NoError(t, err)
	var batch []Item
	for i := range 100 {
		batch = append(batch, Item{URL: fmt.Sprintf("https://a.example/batch/%d", i), Priority: 1})
	}
	_, err = w.Add(ctx, batch...)
	require.NoError(t, err)
	require.NoError(t, w.SetDelay("a.example", 3*time.Second))
	for i := range 75 {
		l, err := w.TryLease()
		require.NoError(t, err)
		if l.Host != "a.example" {
			require.NoError(t, l.Done(Result{}))
			if l, err = w.TryLease(); err != nil {
				w.pass(3 * time.Second)
				continue
			}
		}
		switch {
		case l.Host != "a.example":
			err = l.Done(Result{})
		case i == 10:
			err = l.Retry(Failure{Final: true, Cause: "gone"})
		case i == 20:
			err = l.Retry(Failure{After: time.Hour})
		default:
			err = l.Done(Result{})
		}
		require.NoError(t, err)
		w.pass(3 * time.Second)
	}
	var buf bytes.Buffer
	require.NoError(t, w.Export(ctx, "a.example", &buf))
	return w, buf.Bytes()
}

// TestMove: what is leased of a host before and after its move is what is leased of it
// without one, and nobody visits it in between.
func TestMove(t *testing.T) {
	w, stream := exported(t)
	ctx := context.Background()
	before := w.info("a.example")
	require.Equal(t, StateHeld, before.State)
	w.reopen()
	require.Equal(t, StateHeld, w.info("a.example").State, "held across restarts")
	for {
		w.pass(time.Minute)
		l, err := w.TryLease()
		if err != nil {
			break
		}
		require.Equal(t, "b.example", l.Host)
		require.NoError(t, l.Done(Result{}))
	}
	n, err := w.Add(ctx, Item{URL: "https://a.example/new"})
	require.ErrorIs(t, err, ErrItem)
	require.Zero(t, n)

	to := newWorld(t, Options{Breaker: -1})
	to.now = w.now
	to.add("https://c.example/", "https://a.example/only-here")
	for range 2 { // it can be repeated
		name, err := to.Import(ctx, bytes.NewReader(stream))
		require.NoError(t, err)
		require.Equal(t, "a.example", name)
	}
	require.NoError(t, w.Drop("a.example"))
	_, ok := w.Host("a.example")
	require.False(t, ok)
	require.ErrorIs(t, w.Drop("a.example"), ErrHost)
	for e := range w.db.Scan(tagRange(tagHost)) {
		h, err := decodeHost(e.Value)
		require.NoError(t, err)
		require.Equal(t, "b.example", h.name)
	}
	s := w.Stats()
	require.Zero(t, s.Waiting+s.Dead)
	require.Zero(t, w.Stats().Queued)

	after := to.info("a.example")
	require.Equal(t, before.Queued, after.Queued)
	require.Equal(t, before.Waiting, after.Waiting)
	require.Equal(t, before.Visits, after.Visits)
	require.Equal(t, 3*time.Second, after.Delay)
	require.EqualValues(t, 1, to.Stats().Dead)
	require.NoError(t, to.lease("https://c.example/").Done(Result{}))
	first := to.after(3*time.Second, "https://a.example/batch/5")
	require.Equal(t, 1.0, first.Priority)
	require.NoError(t, first.Done(Result{}))
	n, err = to.Add(ctx, Item{URL: "https://a.example/0"}, Item{URL: "https://a.example/batch/99"}, Item{URL: "https://a.example/only-here"})
	require.NoError(t, err)
	require.Equal(t, 1, n, "what was known is known, what was only here is forgotten")
	to.reopen()
	seen := map[string]bool{}
	for range 2000 {
		to.pass(3 * time.Second)
		l, err := to.TryLease()
		if err != nil {
			continue
		}
		require.False(t, seen[l.URL], l.URL)
		seen[l.URL] = true
		require.NoError(t, l.Done(Result{}))
	}
	require.Len(t, seen, before.Queued+before.Waiting-1+1)
}

func TestExportOfLeasedAndUnhold(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := context.Background()
	w.add("https://a.example/1", "https://a.example/2")
	l := w.lease("https://a.example/1")
	var buf bytes.Buffer
	require.ErrorIs(t, w.Export(ctx, "a.example", &buf), ErrBusy)
	require.ErrorIs(t, w.Drop("a.example"), ErrBusy)
	require.ErrorIs(t, w.Export(ctx, "x.example", &buf), ErrHost)
	require.ErrorIs(t, w.Unhold("x.example"), ErrHost)
	require.NoError(t, l.Done(Result{}))
	w.pass(time.Minute)
	_, err := w.TryLease()
	require.ErrorIs(t, err, ErrDrained, "it is held")
	require.NoError(t, w.Export(ctx, "a.example", &buf))
	require.NoError(t, w.Unhold("a.example"))
	l = w.after(time.Second, "https://a.example/2")
	_, err = w.Import(ctx, bytes.NewReader(buf.Bytes()))
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, l.Release())
}

// TestImportAcrossPowerCuts: the host is there whole, as before or as after.
func TestImportAcrossPowerCuts(t *testing.T) {
	_, stream := exported(t)
	for seed := range uint64(20) {
		w := newWorld(t, Options{})
		w.add("https://a.example/old")
		ops := int64(0)
		cut := w.fs.CrashClone(lsmtest.Loss{})
		target := w.fs.Ops() + int64(seed)
		w.fs.Before(func(op lsmtest.Op) {
			if ops = op.N; ops == target {
				cut = w.fs.CrashClone(lsmtest.Loss{Seed: seed, Keep: 0.5})
			}
		})
		_, err := w.Import(context.Background(), bytes.NewReader(stream))
		require.NoError(t, err)
		w.fs.Before(nil)
		if ops < target {
			cut = w.fs.CrashClone(lsmtest.Loss{})
		}
		require.NoError(t, w.Close())
		w.fs = cut
		w.open()
		i := w.info("a.example")
		if i.Queued == 1 {
			require.Less(t, target, ops+1)
			w.after(time.Second, "https://a.example/old")
		} else {
			w.after(3*time.Second, "https://a.example/batch/5")
		}
	}
}

// TestDamagedStream: every cut and every flipped bit is ErrCorrupt and changes nothing.
func TestDamagedStream(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := context.Background()
	w.add("https://a.example/1", "https://a.example/2")
	require.NoError(t, w.lease("https://a.example/1").Retry(Failure{Final: true}))
	var buf bytes.Buffer
	require.NoError(t, w.Export(ctx, "a.example", &buf))
	stream := buf.Bytes()
	to := newWorld(t, Options{})
	for n := range stream {
		_, err := to.Import(ctx, bytes.NewReader(stream[:n]))
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", n)
	}
	for i := range len(stream) * 8 {
		bad := bytes.Clone(stream)
		bad[i/8] ^= 1 << (i % 8)
		_, err := to.Import(ctx, bytes.NewReader(bad))
		require.ErrorIs(t, err, ErrCorrupt, "bit %d", i)
	}
	require.Zero(t, to.Stats().Hosts)
	done, cancel := context.WithCancel(ctx)
	cancel()
	_, err := to.Import(done, bytes.NewReader(stream))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, w.Export(done, "a.example", failing{}), failing{})
	_, err = to.Import(ctx, bytes.NewReader(stream))
	require.NoError(t, err)
}

type failing struct{}

func (failing) Error() string             { return "no" }
func (failing) Write([]byte) (int, error) { return 0, failing{} }
