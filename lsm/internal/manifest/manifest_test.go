package manifest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

func table(level int, num uint64, lo, hi string) Table {
	return Table{level, sstable.Meta{
		FileNum: num, Size: 100, Smallest: []byte(lo), Largest: []byte(hi), SmallestSeq: 1, LargestSeq: 9,
		Entries: 5, Deletes: 1, Spans: 2, Expiring: 1, MinExpiry: -3, MaxExpiry: 1 << 40, RawBytes: 77,
	}}
}

func TestRoundTrip(t *testing.T) {
	e := Edit{NextFile: 12, LogNum: 3, LastSeq: 99, Added: []Table{table(0, 4, "a", "c"), table(6, 5, "", "z")}, Deleted: []Deleted{{1, 2}}}
	b := e.Append(nil)
	got, err := Parse(b)
	require.NoError(t, err)
	require.Equal(t, e, got)
	for n := range b {
		if f, err := Parse(b[:n]); err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
		} else {
			require.Less(t, len(f.Added), 2) // a cut between two fields; the log's checksum sees that
		}
	}
	_, err = Parse([]byte{99})
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = Parse([]byte{tagDeleted, Levels, 1})
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestState(t *testing.T) {
	var s State
	require.NoError(t, s.Apply(&Edit{NextFile: 10, LogNum: 2, LastSeq: 50, Added: []Table{table(1, 5, "m", "p"), table(1, 4, "a", "m"), table(0, 7, "a", "z"), table(0, 6, "a", "z")}}))
	require.NoError(t, s.Check())
	require.EqualValues(t, 4, s.Levels[1][0].FileNum, "by key; touching is no overlap")
	require.EqualValues(t, 6, s.Levels[0][0].FileNum, "by number")
	require.NoError(t, s.Apply(&Edit{Deleted: []Deleted{{0, 6}}}))
	require.Len(t, s.Levels[0], 1)

	var copied State
	require.NoError(t, copied.Apply(s.Snapshot()))
	require.NoError(t, copied.Check())
	require.Equal(t, s, copied)

	require.ErrorIs(t, s.Apply(&Edit{Deleted: []Deleted{{0, 6}}}), ErrCorrupt)
}

func TestImpossibleStates(t *testing.T) {
	seq := table(0, 4, "a", "b")
	seq.LargestSeq = 51
	for name, added := range map[string][]Table{
		"twice":          {table(0, 4, "a", "b"), table(1, 4, "a", "b")},
		"number":         {table(0, 10, "a", "b")},
		"number zero":    {table(0, 0, "a", "b")},
		"inverted":       {table(0, 4, "b", "a")},
		"sequence":       {seq},
		"overlap":        {table(2, 4, "a", "f"), table(2, 5, "e", "g")},
		"overlap inside": {table(2, 4, "a", "z"), table(2, 5, "e", "g")},
	} {
		var s State
		require.NoError(t, s.Apply(&Edit{NextFile: 10, LastSeq: 50, Added: added}))
		require.ErrorIs(t, s.Check(), ErrCorrupt, name)
	}
}

func TestNumbersOutOfReach(t *testing.T) {
	for _, e := range []Edit{
		{NextFile: 1 << 63, LastSeq: 50},
		{NextFile: 10, LogNum: 11},
		{NextFile: 10, LastSeq: 1 << 60},
	} {
		var s State
		require.NoError(t, s.Apply(&e))
		require.ErrorIs(t, s.Check(), ErrCorrupt, "%+v", e)
	}
}

func FuzzParse(f *testing.F) {
	e := Edit{NextFile: 12, LogNum: 3, LastSeq: 99, Added: []Table{table(0, 4, "a", "c")}, Deleted: []Deleted{{1, 2}}}
	f.Add(e.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(e.Append(nil))
		if err != nil || !bytes.Equal(again.Append(nil), e.Append(nil)) {
			t.Fatal("not stable")
		}
		var s State
		if s.Apply(&e) == nil {
			_ = s.Check()
		}
	})
}
