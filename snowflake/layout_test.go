package snowflake

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestLayoutValidate(t *testing.T) {
	for _, l := range []Layout{
		{},
		Classic,
		Wide,
		Long,
		JS53,
		{Epoch: time.Unix(0, 0)},
		{Unit: 4 * time.Millisecond},
		{TimeBits: 31, NodeBits: 11, SeqBits: 11, Unit: time.Second},
		{TimeBits: 1, NodeBits: 0, SeqBits: 62},
	} {
		require.NoError(t, l.Validate(), "%+v", l)
	}
	for _, l := range []Layout{
		{TimeBits: 41, NodeBits: 10, SeqBits: 11},
		{TimeBits: 41, NodeBits: 10, SeqBits: 13},
		{TimeBits: 255, NodeBits: 64, SeqBits: 255},
		{TimeBits: 41, NodeBits: 22},
		{NodeBits: 41, SeqBits: 22},
		{TimeBits: 41, NodeBits: 10, SeqBits: 12, Unit: -1},
		{Unit: time.Nanosecond},
		{Unit: time.Hour},
		{Unit: time.Second},
		{TimeBits: 62, SeqBits: 1, Unit: time.Microsecond},
		{TimeBits: 44, NodeBits: 7, SeqBits: 12},
	} {
		require.ErrorIs(t, l.Validate(), ErrLayout, "%+v", l)
		// What does not validate is still harmless.
		_, _ = l.Join(l.Split(math.MaxInt64))
		_, _ = l.Between(time.Time{}, time.Now())
		_, _ = l.End(), l.MaxNode()
	}
}

// TestLayoutGolden freezes where the bits are.
func TestLayoutGolden(t *testing.T) {
	var b strings.Builder
	at := time.Date(2026, 11, 26, 9, 30, 0, 120_000_000, time.UTC)
	for _, c := range []struct {
		name string
		l    Layout
	}{{"classic", Classic}, {"wide", Wide}, {"long", Long}, {"js53", JS53}} {
		for _, p := range []Parts{{at, 0, 0}, {at, c.l.MaxNode(), c.l.MaxSeq()}, {at, 21, 42}} {
			id, err := c.l.Join(p)
			require.NoError(t, err)
			require.Equal(t, p, c.l.Split(id))
			fmt.Fprintf(&b, "%-7s node %5d seq %5d  %s  %s  %s  %s  until %s\n", c.name, p.Node, p.Seq,
				Decimal.Format(id), Base32.Format(id), Base62.Format(id), Hex.Format(id), c.l.End().Format(time.DateOnly))
		}
	}
	testkit.Golden(t, "testdata/layouts.txt", b.String())
}

func drawLayout(t *rapid.T) Layout {
	l := rapid.SampledFrom([]Layout{Classic, Wide, Long, JS53, {TimeBits: 20, NodeBits: 20, SeqBits: 23}, {TimeBits: 33, NodeBits: 0, SeqBits: 20, Unit: time.Second}}).Draw(t, "layout")
	if rapid.Bool().Draw(t, "own epoch") {
		l.Epoch = time.Unix(rapid.Int64Range(-1e9, 1e9).Draw(t, "epoch"), 0)
	}
	require.NoError(t, l.Validate())
	return l
}

func TestSplitJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		bits := l.TimeBits + l.NodeBits + l.SeqBits
		id := ID(rapid.Uint64Range(0, 1<<bits-1).Draw(t, "id"))
		p := l.Split(id)
		require.Equal(t, p, Parts{l.Time(id), l.Node(id), l.Seq(id)})
		back, err := l.Join(p)
		require.NoError(t, err)
		require.Equal(t, id, back)
		require.Less(t, p.Time, l.End())
		// Between is exact, to the nanosecond.
		for _, c := range []struct {
			from, to time.Duration
			in       bool
		}{{0, 1, true}, {-1, 0, false}, {1, 1e9, false}, {-1, 1, true}, {0, 0, false}, {1, -1, false}} {
			lo, hi := l.Between(p.Time.Add(c.from), p.Time.Add(c.to))
			require.Equal(t, c.in, lo <= id && id <= hi, "%v to %v", c.from, c.to)
		}
	})
}

// TestBetween compares the range with its definition, for ids at and around its ends.
func TestBetween(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLayout(t)
		l = l.resolve()
		at := func(label string) time.Time {
			span := int64(l.Unit) * int64(l.maxTick())
			return l.Epoch.Add(time.Duration(rapid.Int64Range(-span/8, span).Draw(t, label)))
		}
		from, to := at("from"), at("to")
		lo, hi := l.Between(from, to)
		in := func(id ID) bool { ts := l.Time(id); return !ts.Before(from) && ts.Before(to) }
		top := ID(1<<(l.TimeBits+l.NodeBits+l.SeqBits) - 1)
		for _, id := range []ID{0, lo - 1, lo, lo + 1, hi - 1, hi, hi + 1, top, ID(rapid.Int64Range(0, int64(top)).Draw(t, "id"))} {
			if id >= 0 && id <= top {
				require.Equal(t, in(id), lo <= id && id <= hi, "%d in %d to %d", id, lo, hi)
			}
		}
	})
	far := time.Unix(1<<50, 0)
	lo, hi := Classic.Between(time.Time{}, far)
	require.Equal(t, []ID{0, math.MaxInt64}, []ID{lo, hi})
	lo, hi = Classic.Between(far, far.Add(1))
	require.Greater(t, lo, hi)
	lo, hi = Classic.Between(time.Time{}, time.Time{}.Add(1))
	require.Greater(t, lo, hi)
}

// TestBetweenIssued selects the ids that were issued in a window, by the clock that they were
// issued by.
func TestBetweenIssued(t *testing.T) {
	now := time.Now()
	g := newTest(t, Options{Layout: Wide, Now: func() time.Time { return now }})
	type issued struct {
		at time.Time
		id ID
	}
	var all []issued
	for range 300 {
		all = append(all, issued{now, next(t, g)})
		now = now.Add(300 * time.Microsecond)
	}
	from, to := all[50].at.Truncate(time.Millisecond), all[200].at.Truncate(time.Millisecond)
	lo, hi := Wide.Between(from, to)
	for _, i := range all {
		require.Equal(t, !i.at.Before(from) && i.at.Before(to), lo <= i.id && i.id <= hi)
	}
}

func TestJoinRefuses(t *testing.T) {
	at := time.Now()
	for _, c := range []struct {
		p    Parts
		want error
	}{
		{Parts{Time: at, Node: 1024}, ErrNode},
		{Parts{Time: at, Seq: 4096}, ErrRange},
		{Parts{Time: epoch2021.Add(-1)}, ErrRange},
		{Parts{Time: Classic.End()}, ErrRange},
		{Parts{Time: time.Unix(1<<50, 0)}, ErrRange},
	} {
		_, err := Classic.Join(c.p)
		require.ErrorIs(t, err, c.want)
	}
}

func TestDataCenter(t *testing.T) {
	for dc := range uint64(32) {
		for m := range uint64(32) {
			node, err := JoinNode(dc, m)
			require.NoError(t, err)
			id, err := Classic.Join(Parts{Time: epoch2021, Node: node, Seq: 4095})
			require.NoError(t, err)
			gotDC, gotM := Classic.DataCenter(id)
			require.Equal(t, []uint64{dc, m}, []uint64{gotDC, gotM})
		}
	}
	for _, bad := range [][2]uint64{{32, 0}, {0, 32}, {1 << 60, 1}} {
		_, err := JoinNode(bad[0], bad[1])
		require.ErrorIs(t, err, ErrNode)
	}
}

// TestJS53 holds that ids go through a JavaScript number, which is a float64.
func TestJS53(t *testing.T) {
	g := newTest(t, Options{Layout: JS53, Node: 31})
	for range 1000 {
		id := next(t, g)
		require.Equal(t, id, ID(float64(id)))
		require.Less(t, id, ID(1<<53))
	}
	require.Equal(t, ID(1<<53-1), ID(float64(1<<53-1)))
}
