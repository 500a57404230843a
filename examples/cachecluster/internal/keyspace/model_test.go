package keyspace

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func slotOf(key []byte) uint16 {
	h := fnv.New32a()
	h.Write(key)
	return uint16(h.Sum32() % 8)
}

func newDB(t testing.TB, o Options) *DB {
	t.Helper()
	d, err := New(o)
	require.NoError(t, err)
	return d
}

// check recounts everything that the DB keeps count of.
func check(t *testing.T, d *DB) {
	t.Helper()
	var used int64
	volatile := 0
	inSlot := map[uint16]int{}
	require.Len(t, d.byKey, len(d.all))
	for i, e := range d.all {
		require.Same(t, e, d.byKey[e.key])
		require.EqualValues(t, i, e.pos)
		size := overhead + int64(len(e.key))
		switch e.kind {
		case String:
			size += int64(len(e.Str))
		case List:
			for i := range e.list.Len() {
				size += perElement + int64(len(e.list.At(i)))
			}
		case Set, Hash:
			for i := range e.dict.Len() {
				f := e.dict.At(i)
				size += perField + int64(len(f.Name)+len(f.Value))
			}
		case ZSet:
			e.zset.Range(0, e.zset.Len(), false, func(name string, _ float64) bool {
				size += perMember + int64(len(name))
				return true
			})
		}
		require.Equal(t, size, e.size, e.key)
		used += size
		if e.vol >= 0 {
			volatile++
			require.Same(t, e, d.volatile[e.vol])
			require.NotZero(t, e.expire)
		} else {
			require.Zero(t, e.expire)
		}
		inSlot[e.slot]++
	}
	require.Equal(t, used, d.used)
	require.Len(t, d.volatile, volatile)
	for slot := range uint16(8) {
		n := 0
		d.InSlot(slot, func(e *Entry) bool {
			n++
			require.Equal(t, slot, slotOf([]byte(e.key)))
			return true
		})
		require.Equal(t, inSlot[slot], n)
		require.Equal(t, n, d.CountSlot(slot))
	}
}

// TestModel makes random changes under every policy, and recounts.
func TestModel(t *testing.T) {
	seed := testkit.Seed(t)
	for _, p := range Policies() {
		t.Run(p.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, uint64(p)))
			left := 0
			d := newDB(t, Options{MaxMemory: 40_000, Policy: p, SlotOf: slotOf, Expires: true, Seed: seed, Gone: func(string, bool) { left++ }})
			full := 0
			for i := range 6000 {
				d.SetTime(int64(1000 + i))
				key := fmt.Appendf(nil, "k%d", rng.IntN(300))
				value := bytes.Repeat([]byte{'v'}, rng.IntN(200))
				if err := d.MakeRoom(); err != nil {
					require.ErrorIs(t, err, ErrMemory)
					full++
					d.Delete(key)
					continue
				}
				mutate(d, rng, key, value)
				d.Settle()
				if i%500 == 0 {
					d.Sweep()
					check(t, d)
				}
			}
			check(t, d)
			require.LessOrEqual(t, d.used, int64(40_000+overhead+500))
			require.EqualValues(t, d.Stats.Evicted+d.Stats.Expired, left)
			require.Equal(t, p == NoEviction, d.Stats.Evicted == 0)
			d.Clear()
			check(t, d)
		})
	}
}

func mutate(d *DB, rng *rand.Rand, key, value []byte) {
	e := d.Find(key)
	switch op := rng.IntN(10); {
	case op == 0:
		d.Delete(key)
	case op == 1 && e != nil:
		d.SetExpire(e, int64(1000+rng.IntN(8000)))
	case op == 2 && e != nil:
		d.SetExpire(e, 0)
	case op == 3 && e != nil:
		d.Rename(e, fmt.Appendf(nil, "k%d", rng.IntN(300)))
	case op < 7:
		d.SetString(key, value, op == 4)
	default:
		if e == nil {
			e = d.Create(key, Kind(1+rng.IntN(4)))
		}
		name := fmt.Appendf(nil, "f%d", rng.IntN(40))
		switch e.Kind() {
		case List:
			e.List().Push(value, rng.IntN(2) == 0)
			if rng.IntN(3) == 0 {
				e.List().Pop(rng.IntN(2) == 0)
			}
		case Set, Hash:
			e.Dict().Put(name, value)
			e.Dict().Delete(fmt.Appendf(nil, "f%d", rng.IntN(40)))
		case ZSet:
			e.Sorted().Put(name, rng.Float64())
			e.Sorted().Delete(fmt.Appendf(nil, "f%d", rng.IntN(40)))
		}
		d.Changed(e)
	}
}

// TestScan: what is there all the time is seen, whatever comes and goes meanwhile.
func TestScan(t *testing.T) {
	rng := testkit.Rand(t)
	d := newDB(t, Options{})
	for i := range 500 {
		d.SetString(fmt.Appendf(nil, "stays%d", i), nil, false)
		d.SetString(fmt.Appendf(nil, "goes%d", i), nil, false)
	}
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		cursor = d.Scan(cursor, 7, func(e *Entry) { seen[e.Key()] = true })
		if cursor == 0 {
			break
		}
		for range 5 {
			d.Delete(fmt.Appendf(nil, "goes%d", rng.IntN(500)))
			d.SetString(fmt.Appendf(nil, "new%d", rng.IntN(500)), nil, false)
			d.Delete(fmt.Appendf(nil, "new%d", rng.IntN(500)))
		}
	}
	for i := range 500 {
		require.True(t, seen[fmt.Sprintf("stays%d", i)], i)
	}
	require.Zero(t, d.Scan(1<<63, math.MaxInt, func(*Entry) {}))
}

func TestDequeAgainstSlice(t *testing.T) {
	rng := testkit.Rand(t)
	var q Deque
	var want [][]byte
	for i := range 5000 {
		v := fmt.Appendf(nil, "%d", rng.IntN(20))
		front := rng.IntN(2) == 0
		switch op := rng.IntN(8); {
		case op < 3 || len(want) == 0:
			q.Push(v, front)
			if front {
				want = slices.Insert(want, 0, v)
			} else {
				want = append(want, v)
			}
		case op < 5:
			at := len(want) - 1
			if front {
				at = 0
			}
			require.Equal(t, want[at], q.Pop(front))
			want = slices.Delete(want, at, at+1)
		case op == 5:
			at := rng.IntN(len(want))
			q.Insert(at, v)
			want = slices.Insert(want, at, v)
		case op == 6:
			at := rng.IntN(len(want))
			q.Set(at, v)
			want[at] = v
		case i%20 == 0:
			limit := 1 + rng.IntN(3)
			if !front {
				slices.Reverse(want)
			}
			removed := 0
			want = slices.DeleteFunc(want, func(e []byte) bool {
				if removed == limit || !bytes.Equal(e, v) {
					return false
				}
				removed++
				return true
			})
			if !front {
				slices.Reverse(want)
			}
			require.Equal(t, removed, q.Remove(v, limit, !front))
		}
		require.Equal(t, len(want), q.Len())
		for i := range want {
			require.Equal(t, want[i], q.At(i))
		}
	}
}

func TestSortedAgainstSort(t *testing.T) {
	type member struct {
		name  string
		score float64
	}
	rng := testkit.Rand(t)
	s := newSorted()
	want := map[string]float64{}
	for i := range 4000 {
		name := fmt.Sprintf("m%d", rng.IntN(300))
		if rng.IntN(3) > 0 {
			score := float64(rng.IntN(50))
			_, there := want[name]
			require.Equal(t, !there, s.Put([]byte(name), score))
			want[name] = score
		} else {
			_, there := want[name]
			require.Equal(t, there, s.Delete([]byte(name)))
			delete(want, name)
		}
		if i%100 > 0 {
			continue
		}
		var order []member
		for n, f := range want {
			order = append(order, member{n, f})
		}
		slices.SortFunc(order, func(a, b member) int { return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.name, b.name)) })
		var got []member
		collect := func(n string, f float64) bool { got = append(got, member{n, f}); return true }
		s.Range(0, s.Len(), false, collect)
		require.Equal(t, order, got)
		for i, m := range order {
			r, ok := s.Rank([]byte(m.name))
			require.True(t, ok)
			require.Equal(t, i, r)
		}
		got = nil
		s.Range(0, s.Len(), true, collect)
		slices.Reverse(got)
		require.Equal(t, order, got)
		lo, hi := Bound{float64(rng.IntN(50)), rng.IntN(2) == 0}, Bound{float64(rng.IntN(50)), rng.IntN(2) == 0}
		n := 0
		for _, m := range order {
			if (m.score > lo.Score || !lo.Open && m.score == lo.Score) && (m.score < hi.Score || !hi.Open && m.score == hi.Score) {
				n++
			}
		}
		first, last := s.RanksByScore(lo, hi)
		require.Equal(t, n, max(last-first+1, 0))
	}
}

// TestDict crosses the border of the index both ways.
func TestDict(t *testing.T) {
	rng := testkit.Rand(t)
	var d Dict
	want := map[string]string{}
	for range 3000 {
		k, v := fmt.Sprintf("f%d", rng.IntN(40)), fmt.Sprint(rng.IntN(10))
		_, there := want[k]
		if rng.IntN(2) == 0 {
			require.Equal(t, !there, d.Put([]byte(k), []byte(v)))
			want[k] = v
		} else {
			require.Equal(t, there, d.Delete([]byte(k)))
			delete(want, k)
		}
		require.Equal(t, len(want), d.Len())
		for k, v := range want {
			got, ok := d.Get([]byte(k))
			require.True(t, ok)
			require.Equal(t, v, string(got))
		}
	}
}
