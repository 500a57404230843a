package frontier

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestWheel compares the wheel with a sorted list.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hs := newHosts()
		w := wheel{now: rapid.Int64Range(0, 1<<40).Draw(rt, "start")}
		want := map[uint32]int64{}
		span := rapid.SampledFrom([]int64{10, 1000, 100_000, 1 << 40}).Draw(rt, "span")
		for id := uint32(1); id < 200; id++ {
			h := hs.add(id, fmt.Sprint(id))
			due := w.now + 1 + rapid.Int64Range(0, span).Draw(rt, "due")
			w.put(hs, h, due)
			want[id] = due
			switch rapid.IntRange(0, 5).Draw(rt, "then") {
			case 0:
				w.remove(hs, h)
				delete(want, id)
			case 1:
				to := w.now + rapid.Int64Range(0, span/10+1).Draw(rt, "advance")
				if at, _, ok := w.next(); ok {
					for _, due := range want {
						require.LessOrEqual(rt, at, due, "next is late")
					}
				}
				last := int64(0)
				w.advance(hs, to, func(h *host) {
					due := want[h.id]
					require.LessOrEqual(rt, due, to)
					require.GreaterOrEqual(rt, due, last, "in order")
					last = due
					delete(want, h.id)
				})
				require.Equal(rt, to, w.now)
				for _, due := range want {
					require.Greater(rt, due, to)
				}
			}
			require.Equal(rt, len(want), w.count)
		}
	})
}

// TestHosts compares the table with a map.
func TestHosts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	hs := newHosts()
	want := map[string]uint32{}
	for i := range uint32(20_000) {
		name := fmt.Sprint(rng.IntN(5000))
		h := hs.find(name)
		id, ok := want[name]
		require.Equal(t, ok, h != nil)
		switch {
		case !ok:
			want[name] = i + 1
			hs.add(i+1, name)
		case rng.IntN(2) == 0:
			require.Equal(t, id, h.id)
			hs.drop(h)
			delete(want, name)
			require.Nil(t, hs.known(id))
		}
		require.Equal(t, len(want), hs.count)
	}
}

func TestHostIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(host{}), uintptr(184))
	hs := newHosts()
	const n = 100_000
	for i := range uint32(n) {
		h := hs.add(i+1, fmt.Sprintf("www.host-number-%d.example", i))
		h.levels = append(h.levels, queue{})
	}
	require.Less(t, hs.bytes()/n, int64(256))
}

// TestRecrawlFindsTheRate: pages that change like Poisson processes are visited about as
// often as they change, whatever the class said.
func TestRecrawlFindsTheRate(t *testing.T) {
	o, err := Options{}.validate()
	require.NoError(t, err)
	for _, mean := range []time.Duration{time.Hour, 24 * time.Hour, 10 * 24 * time.Hour} {
		for _, class := range []time.Duration{5 * time.Minute, 24 * time.Hour, 30 * 24 * time.Hour} {
			rng := rand.New(rand.NewPCG(uint64(mean), uint64(class)))
			var logs []float64
			for range 200 {
				e := entry{}
				now := int64(1_800_000_000e9)
				pause := o.next(&e, now, Result{Every: class})
				require.Equal(t, max(min(class, o.RecrawlMax), o.RecrawlMin).Round(time.Minute), pause.Round(time.Minute))
				for range 60 {
					now += int64(pause)
					changed := rng.Float64() < -math.Expm1(-pause.Seconds()/mean.Seconds())
					pause = o.next(&e, now, Result{Every: class, Changed: changed})
				}
				logs = append(logs, math.Log2(pause.Seconds()/(mean.Seconds()*math.Ln2)))
			}
			slices.Sort(logs)
			require.InDelta(t, 0, logs[100], 0.5, "median for a page that changes each %v, of class %v", mean, class)
			require.Greater(t, logs[10], -2.5)
			require.Less(t, logs[190], 2.5)
		}
	}
}

// TestRecrawlMovesWithTheEvidence: each change shortens the pause, each visit without one
// makes it longer, within the bounds.
func TestRecrawlMovesWithTheEvidence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o, err := Options{}.validate()
		require.NoError(rt, err)
		e := entry{}
		now := int64(1_800_000_000e9)
		pause := o.next(&e, now, Result{Every: time.Duration(rapid.Int64Range(1, 1<<53).Draw(rt, "class"))})
		for range 50 {
			now += int64(pause) + rapid.Int64Range(0, 1<<40).Draw(rt, "late")
			changed := rapid.Bool().Draw(rt, "changed")
			next := o.next(&e, now, Result{Every: time.Hour, Changed: changed})
			require.GreaterOrEqual(rt, next, o.RecrawlMin)
			require.LessOrEqual(rt, next, o.RecrawlMax)
			if changed {
				require.LessOrEqual(rt, next, pause)
			} else {
				require.GreaterOrEqual(rt, next, pause)
			}
			require.True(rt, e.rate >= minRate && e.rate <= maxRate)
			pause = next
		}
	})
}

func TestRecrawl(t *testing.T) {
	w := newWorld(t, Options{})
	w.add("https://a.example/")
	l := w.lease("https://a.example/")
	require.True(t, l.Last.IsZero())
	require.NoError(t, l.Done(Result{Every: time.Hour}))
	w.reopen()
	first := w.now
	w.pass(59 * time.Minute)
	w.nothing()
	w.pass(time.Minute)
	l = w.lease("https://a.example/")
	require.Equal(t, 1, l.Visits)
	require.Equal(t, first.Unix(), l.Last.Unix())
	require.NoError(t, l.Done(Result{Every: time.Hour, Changed: true}))
	w.pass(59 * time.Minute)
	require.Equal(t, 2, w.lease("https://a.example/").Visits)
}

// TestTrap: a calendar without end costs little, and the pages beside it nothing.
func TestTrap(t *testing.T) {
	passed := 0
	w := newWorld(t, Options{MinDelay: -1, Hooks: Hooks{Trapped: func(string) { passed++ }}})
	ctx := context.Background()
	next := 0
	trap := func(n int) (items []Item) {
		for range n {
			next++
			items = append(items, Item{URL: fmt.Sprintf("https://a.example/cal/%d/%d?day=%d&sid=x%d", 2000+next/366, next%12, next%31, next)})
		}
		return items
	}
	for i := range 2000 {
		_, err := w.Add(ctx, Item{URL: fmt.Sprintf("https://a.example/shop/item-%d", i)})
		require.NoError(t, err)
	}
	_, err := w.Add(ctx, trap(20_000)...)
	require.NoError(t, err)
	real, barren := 0, 0
	for {
		l, err := w.TryLease()
		if err != nil {
			require.ErrorIs(t, err, ErrDrained)
			break
		}
		isTrap := len(l.URL) > 22 && l.URL[18:21] == "cal"
		if isTrap {
			barren++
		} else {
			real++
		}
		require.NoError(t, l.Done(Result{Barren: isTrap}))
		if barren == 100 {
			w.reopen() // it is remembered
		}
	}
	require.Equal(t, 2000, real)
	require.Less(t, barren, 200)
	require.Equal(t, 20_000-barren, passed)
	require.Equal(t, 1, w.Stats().Templates)

	// It comes to life again.
	_, err = w.Add(ctx, trap(20_000)...)
	require.NoError(t, err)
	again := 0
	for {
		l, err := w.TryLease()
		if err != nil {
			break
		}
		again++
		require.NoError(t, l.Done(Result{}))
	}
	require.Greater(t, again, 10_000)
	require.Zero(t, w.Stats().Templates)
}

func TestTemplate(t *testing.T) {
	same := [][]string{
		{"https://a.example/cal/2024/01?x=1", "https://a.example/cal/1999/12?x=77"},
		{"https://a.example/a/b/b/b/c", "https://a.example/a/b/c"},
		{"https://a.example/s/5f2c9e1ab0d34477aa01/x", "https://a.example/s/0123456789abcdef0123/x"},
		{"https://a.example/?b=1&c=2", "https://a.example/?b=&c"},
	}
	for _, s := range same {
		require.Equal(t, template(s[0]), template(s[1]), "%q", s)
	}
	different := []string{
		"https://a.example/", "https://b.example/", "https://a.example/cal/1", "https://a.example/cal/1?x=1",
		"https://a.example/cal/1?y=1", "https://a.example/cal/a1", "https://a.example/cal/1/", "https://a.example/some-long-title-of-words",
		"https://a.example/other-long-title-of-words",
	}
	seen := map[uint64]string{}
	for _, u := range different {
		require.NotContains(t, seen, template(u), u)
		seen[template(u)] = u
	}
}

func TestTrapTableIsBounded(t *testing.T) {
	tr := newTraps(32)
	for range 40 {
		tr.learn(1, true)
	}
	for i := range uint64(2 * maxTemplates) {
		tr.learn(i+2, false)
	}
	require.LessOrEqual(t, len(tr.table), maxTemplates)
	require.Equal(t, 1, tr.suspected())
}

// TestFilterFilling: what was added before a start is known at once, while the filter is
// still being filled, and afterwards.
func TestFilterFilling(t *testing.T) {
	w := newWorld(t, Options{})
	w.add("https://a.example/1", "https://a.example/2")
	w.seen = newSeen(w.db, 0)
	require.True(t, w.Stats().Filling)
	n, err := w.Add(context.Background(), Item{URL: "https://a.example/1"}, Item{URL: "https://a.example/3"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, w.seen.fill(func() (func(), bool) { return func() {}, true }))
	require.False(t, w.Stats().Filling)
	n, err = w.Add(context.Background(), Item{URL: "https://a.example/2"}, Item{URL: "https://a.example/3"})
	require.NoError(t, err)
	require.Zero(t, n)
}
