package merkle

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
)

// at returns a session in a state of the end of an exchange: its items have the given hashes and
// version 1, and of the two leaves the lower is open, or both.
func at(p phase, open []uint32, hashes ...uint64) *Session {
	s := newReplica(SyncOptions{Levels: 1, Fanout: 2}).session(SessionOptions{MaxDiffs: 5})
	s.phase, s.walk = p, walk{level: 1, open: open}
	s.cmp = &compare{}
	for _, h := range hashes {
		s.cmp.items = append(s.cmp.items, held{entry: entry{h, 1}})
	}
	if p == offering {
		s.sendRun(nil)
	}
	return s
}

// says hands over an intact frame.
func (s *Session) says(k kind, body []byte) ([]byte, error) {
	return s.Step(seal(append(begin(k, s.seq, len(body)), body...)))
}

// told is one entry of an answer.
func told(skip, kind uint64, words ...uint64) []byte {
	b := binary.AppendUvarint(nil, skip<<2|kind)
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// TestAnswersAreHeldToTheRun lists what a peer may say about the run 10 20 30, and what not.
func TestAnswersAreHeldToTheRun(t *testing.T) {
	const top = math.MaxUint64
	lower, both := []uint32{0}, []uint32{0, 1}
	for name, c := range map[string]struct {
		open    []uint32
		entries [][]byte
		diffs   int // -1: refused
	}{
		"nothing":                      {lower, nil, 0},
		"all absent":                   {lower, [][]byte{told(0, entryAbsent), told(0, entryAbsent), told(0, entryAbsent)}, 3},
		"the last is another":          {lower, [][]byte{told(2, entryOther, 7)}, 1},
		"claims between all":           {lower, [][]byte{told(0, entryMine, 9, 1), told(1, entryMine, 11, 1), told(2, entryMine, 31, 1)}, 3},
		"claims beside each other":     {lower, [][]byte{told(0, entryMine, 0, 1), told(0, entryMine, 1, 1)}, 2},
		"claim at the top":             {both, [][]byte{told(3, entryMine, top, 1)}, 1},
		"and then another":             {both, [][]byte{told(3, entryMine, top, 1), told(0, entryMine, 40, 1)}, -1},
		"and then the same":            {both, [][]byte{told(3, entryMine, top, 1), told(0, entryMine, top, 1)}, -1},
		"claim in a leaf that is shut": {lower, [][]byte{told(3, entryMine, top, 1)}, -1},
		"claim of what we have":        {lower, [][]byte{told(0, entryMine, 10, 1)}, -1},
		"claim of what we had":         {lower, [][]byte{told(1, entryMine, 10, 1)}, -1},
		"claim behind the next":        {lower, [][]byte{told(0, entryMine, 15, 1)}, -1},
		"claim before the last":        {lower, [][]byte{told(2, entryMine, 15, 1)}, -1},
		"claims out of order":          {lower, [][]byte{told(0, entryMine, 5, 1), told(0, entryMine, 3, 1)}, -1},
		"claim told twice":             {lower, [][]byte{told(0, entryMine, 5, 1), told(0, entryMine, 5, 1)}, -1},
		"claim without a version":      {lower, [][]byte{told(0, entryMine, 5, 0)}, -1},
		"claim cut short":              {lower, [][]byte{told(0, entryMine, 5)}, -1},
		"one too many":                 {lower, [][]byte{told(3, entryAbsent)}, -1},
		"skip too far":                 {lower, [][]byte{told(4, entryMine, 50, 1)}, -1},
		"the same version":             {lower, [][]byte{told(0, entryOther, 1)}, -1},
		"no version":                   {lower, [][]byte{told(0, entryOther, 0)}, -1},
		"a kind that is none":          {lower, [][]byte{told(0, 3)}, -1},
		"as many as may be": {lower, [][]byte{
			told(0, entryMine, 1, 1), told(0, entryMine, 2, 1), told(0, entryMine, 3, 1), told(0, entryMine, 4, 1), told(0, entryMine, 5, 1),
		}, 5},
		"more than may be": {lower, [][]byte{
			told(0, entryMine, 1, 1), told(0, entryMine, 2, 1), told(0, entryMine, 3, 1), told(0, entryMine, 4, 1), told(0, entryMine, 5, 1), told(0, entryMine, 6, 1),
		}, -1},
	} {
		body := []byte{answerRun}
		for _, e := range c.entries {
			body = append(body, e...)
		}
		s := at(offering, c.open, 10, 20, 30)
		out, err := s.says(kindDiffs, body)
		require.Nil(t, out, name)
		if c.diffs < 0 {
			require.ErrorIs(t, err, ErrFrame, name)
			continue
		}
		require.NoError(t, err, name)
		require.True(t, s.Done(), name)
		require.Equal(t, c.diffs, s.Stats().Diffs, name)
	}
}

// TestRunsHaveEnds keeps an answer within the stretch of a run that is not the last.
func TestRunsHaveEnds(t *testing.T) {
	hashes := make([]uint64, 2000)
	for i := range hashes {
		hashes[i] = uint64(i+1) * 10
	}
	s := at(offering, []uint32{0}, hashes...)
	s.opts.MaxFrame = minFrame
	s.sendRun(nil)
	require.False(t, s.cmp.last)
	end := s.cmp.high
	_, err := s.says(kindDiffs, append([]byte{answerRun}, told(uint64(s.cmp.to), entryMine, end+1, 1)...))
	require.ErrorIs(t, err, ErrFrame)

	s = at(offering, []uint32{0}, hashes...)
	s.opts.MaxFrame = minFrame
	s.sendRun(nil)
	out, err := s.says(kindDiffs, []byte{answerRun})
	require.NoError(t, err)
	require.Equal(t, byte(kindItems), out[1])
	_, err = s.says(kindDiffs, append([]byte{answerRun}, told(0, entryMine, end-1, 1)...))
	require.ErrorIs(t, err, ErrFrame, "what an earlier run covered")
}

// TestRunsAreStrict lists runs that no honest side sends.
func TestRunsAreStrict(t *testing.T) {
	const top = math.MaxUint64
	item := func(distance, version uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.AppendUvarint(nil, distance), version)
	}
	both := []uint32{0, 1}
	for name, c := range map[string]struct {
		open  []uint32
		last  byte
		items [][]byte
		good  bool
	}{
		"empty":             {both, 1, nil, true},
		"top":               {both, 1, [][]byte{item(top, 1)}, true},
		"neighbours":        {both, 1, [][]byte{item(0, 1), item(0, 1)}, true},
		"not the last":      {both, 0, [][]byte{item(0, 1)}, true},
		"empty, and more":   {both, 0, nil, false},
		"top, and more":     {both, 0, [][]byte{item(top, 1)}, false},
		"beyond the top":    {both, 1, [][]byte{item(top, 1), item(0, 1)}, false},
		"round the top":     {both, 1, [][]byte{item(9, 1), item(top-3, 1)}, false},
		"version 0":         {both, 1, [][]byte{item(0, 0)}, false},
		"leaf that is shut": {[]uint32{1}, 1, [][]byte{item(0, 1)}, false},
	} {
		s := at(comparing, c.open)
		body := []byte{c.last}
		for _, it := range c.items {
			body = append(body, it...)
		}
		_, err := s.says(kindItems, body)
		if c.good {
			require.NoError(t, err, name)
			require.Equal(t, len(c.items), s.Stats().Diffs, name)
			require.Equal(t, c.last == 1, s.Done(), name)
		} else {
			require.ErrorIs(t, err, ErrFrame, name)
		}
	}
	// A run while the last is not settled, and a word to go on when it is.
	s := at(comparing, both)
	s.cmp.partial = true
	_, err := s.says(kindItems, []byte{1})
	require.ErrorIs(t, err, ErrFrame)
	_, err = at(comparing, both).says(kindMore, nil)
	require.ErrorIs(t, err, ErrFrame)
}

// TestFrameNumbers refuses a frame that is intact and comes at another time.
func TestFrameNumbers(t *testing.T) {
	f := seal(begin(kindMore, 300, 0))
	_, _, err := unseal(f, 300)
	require.NoError(t, err)
	_, _, err = unseal(f, 301)
	require.ErrorIs(t, err, ErrFrame)
}

// TestWalkStopsAtTheLimit has each open node stand for one difference at least.
func TestWalkStopsAtTheLimit(t *testing.T) {
	w := walk{level: 1, open: []uint32{1, 2, 3}, next: []uint32{16, 17, 18, 33}, settled: 2}
	early, full, all := w, w, w
	require.True(t, early.descend(3), "with one unsettled, and one dropped")
	require.Equal(t, walk{level: 2, open: []uint32{16, 17, 18}}, early)
	require.False(t, full.descend(5), "not yet")
	require.Equal(t, w, full)
	all.settled = 3
	require.False(t, all.descend(4), "as many as may be, and no more were there")
	require.Equal(t, 2, all.level)
}

// TestGoldenExchange freezes the wire: replicas of different releases compare with each other, so
// another trace needs another protocol number.
func TestGoldenExchange(t *testing.T) {
	var trace []string
	all := xxhash.New()
	for i := 0; ; i++ {
		to, frame := replay(t, i)
		if to == nil {
			break
		}
		trace = append(trace, fmt.Sprintf("%d:%d", frame[1], len(frame)))
		all.Write(frame)
	}
	require.Equal(t, "1:43 3:46 4:137 4:490 5:994 6:270", strings.Join(trace, " "))
	require.Equal(t, uint64(0xd0de4e7aebf7c4ca), all.Sum64())
}
