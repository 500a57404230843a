package merkle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// reseal gives a frame that was tampered with a right number and checksum again.
func reseal(f []byte, seq int) []byte {
	if len(f) < headerLen+sumLen {
		return f
	}
	f = slices.Clone(f[:len(f)-sumLen])
	f[2] = byte(seq)
	return seal(f)
}

// small returns two replicas whose exchange has every kind of frame.
func small() (a, b *replica) {
	return twins(SyncOptions{Levels: 3, Fanout: 4, Seed: [2]uint64{1, 2}}, rand.New(rand.NewPCG(8, 8)), 120, 30)
}

// requireBadFrame holds an error to those that a frame may cause.
func requireBadFrame(t require.TestingT, err error) {
	require.True(t, errors.Is(err, ErrFrame) || errors.Is(err, ErrVersion) || errors.Is(err, ErrGeometry), "%v", err)
}

// replay runs an exchange up to its n-th frame and returns that frame and the session it is for.
func replay(t require.TestingT, n int) (to *Session, frame []byte) {
	a, b := small()
	from, to := a.session(SessionOptions{}), b.session(SessionOptions{})
	frame = from.Start()
	for range n {
		var err error
		frame, err = to.Step(frame)
		require.NoError(t, err)
		from, to = to, from
		if frame == nil {
			return nil, nil
		}
	}
	return to, frame
}

// TestDamagedFrames flips every bit of every frame, and cuts it at every byte.
func TestDamagedFrames(t *testing.T) {
	frames := 0
	for ; ; frames++ {
		to, frame := replay(t, frames)
		if to == nil {
			break
		}
		for bit := range len(frame) * 8 {
			if testing.Short() && bit%7 != 0 {
				continue
			}
			damaged := slices.Clone(frame)
			damaged[bit/8] ^= 1 << (bit % 8)
			victim := *to
			out, err := victim.Step(damaged)
			requireBadFrame(t, err)
			require.Nil(t, out)
			_, again := victim.Step(frame)
			require.Equal(t, err, again, "a failed session stays failed")
		}
		for n := range frame {
			victim := *to
			_, err := victim.Step(frame[:n])
			requireBadFrame(t, err)
			victim = *to
			_, err = victim.Step(append(slices.Clone(frame), frame[:n+1]...))
			requireBadFrame(t, err)
		}
	}
	require.Equal(t, 6, frames)
}

// TestFramesOutOfTurn hands every frame of an exchange to every state but its own, with its own
// number and with the one that the state waits for.
func TestFramesOutOfTurn(t *testing.T) {
	for i := 0; ; i++ {
		to, _ := replay(t, i)
		if to == nil {
			break
		}
		for j := 0; ; j++ {
			other, frame := replay(t, j)
			if other == nil {
				break
			}
			if i == j {
				continue
			}
			victim, _ := replay(t, i)
			_, err := victim.Step(frame)
			requireBadFrame(t, err)
			victim, own := replay(t, i)
			if own[1] != frame[1] { // of the same kind, it may be believable
				_, err = victim.Step(reseal(frame, victim.seq))
				requireBadFrame(t, err)
			}
		}
	}
}

// TestBadBodies is what a hostile peer can say in an intact frame.
func TestBadBodies(t *testing.T) {
	u64 := binary.LittleEndian.AppendUint64
	uv := binary.AppendUvarint
	hello := func(levels, width byte, tag uint32, frame, diffs uint64) []byte {
		f := binary.LittleEndian.AppendUint32([]byte{levels, width}, tag)
		f = append(f, make([]byte, 24)...)
		return uv(uv(f, frame), diffs)
	}
	a, _ := small()
	tag := a.View().geo.tag()
	folds := make([]byte, 4*8)

	for name, c := range map[string]struct {
		frame int // of the exchange that is replaced
		kind  kind
		body  []byte
		err   error
	}{
		"levels":                       {0, kindHello, hello(2, 2, tag, stdFrame, 9), ErrGeometry},
		"fan-out":                      {0, kindHello, hello(3, 4, tag, stdFrame, 9), ErrGeometry},
		"seed":                         {0, kindHello, hello(3, 2, tag+1, stdFrame, 9), ErrGeometry},
		"frame of nothing":             {0, kindHello, hello(3, 2, tag, 0, 9), ErrFrame},
		"frame too small":              {0, kindHello, hello(3, 2, tag, minFrame-1, 9), ErrFrame},
		"no diffs":                     {0, kindHello, hello(3, 2, tag, stdFrame, 0), ErrFrame},
		"empty hello":                  {0, kindHello, nil, ErrFrame},
		"long varint":                  {0, kindHello, append(hello(3, 2, tag, stdFrame, 0), 0x80, 0), ErrFrame},
		"endless varint":               {0, kindHello, append(hello(3, 2, tag, stdFrame, 9), bytes.Repeat([]byte{0xff}, 12)...), ErrFrame},
		"varint with zeros":            {0, kindHello, append(hello(3, 2, tag, stdFrame, 9)[:33], 0x89, 0x00), ErrFrame},
		"kind 0":                       {0, 0, nil, ErrFrame},
		"kind 99":                      {0, 99, nil, ErrFrame},
		"sums first":                   {0, kindSums, nil, ErrFrame},
		"equal with a body":            {1, kindEqual, []byte{1}, ErrFrame},
		"welcome without folds":        {1, kindWelcome, uv(uv(nil, stdFrame), 9), ErrFrame},
		"welcome with no node":         {1, kindWelcome, append(uv(uv(uv(nil, stdFrame), 9), 0), folds...), ErrFrame},
		"welcome with two nodes":       {1, kindWelcome, append(uv(uv(uv(nil, stdFrame), 9), 2), bytes.Repeat(folds, 2)...), ErrFrame},
		"welcome with 2^64 nodes":      {1, kindWelcome, append(uv(uv(uv(nil, stdFrame), 9), math.MaxUint64), folds...), ErrFrame},
		"welcome and more":             {1, kindWelcome, append(append(uv(uv(uv(nil, stdFrame), 9), 1), folds...), 0), ErrFrame},
		"verdict missing":              {2, kindSums, nil, ErrFrame},
		"verdict of no child":          {2, kindSums, append(uv([]byte{0}, 1), folds...), ErrFrame},
		"verdict on others":            {2, kindSums, append(uv([]byte{0x11}, 1), folds...), ErrFrame},
		"sums of a node not open":      {2, kindSums, append(uv([]byte{0x01}, 2), bytes.Repeat(folds, 2)...), ErrFrame},
		"items before the leaves":      {2, kindItems, []byte{0x01, 1}, ErrFrame},
		"diffs before the items":       {2, kindDiffs, []byte{answerRun}, ErrFrame},
		"more before the items":        {2, kindMore, nil, ErrFrame},
		"answer 9":                     {5, kindDiffs, []byte{9}, ErrFrame},
		"no answer":                    {5, kindDiffs, nil, ErrFrame},
		"part without progress":        {5, kindDiffs, []byte{answerPart}, ErrFrame},
		"skip beyond the run":          {5, kindDiffs, uv([]byte{answerRun}, 5000<<2|entryAbsent), ErrFrame},
		"skip beyond all":              {5, kindDiffs, uv([]byte{answerRun}, math.MaxUint64&^3|entryAbsent), ErrFrame},
		"entry of kind 3":              {5, kindDiffs, uv([]byte{answerRun}, 3), ErrFrame},
		"other version 0":              {5, kindDiffs, u64(uv([]byte{answerRun}, entryOther), 0), ErrFrame},
		"other without version":        {5, kindDiffs, uv([]byte{answerRun}, entryOther), ErrFrame},
		"claim without version":        {5, kindDiffs, u64(u64(uv([]byte{answerRun}, entryMine), 1), 0), ErrFrame},
		"claim of what is below":       {5, kindDiffs, u64(u64(uv([]byte{answerRun}, 3<<2|entryMine), 0), 1), ErrFrame},
		"claim of what is above":       {5, kindDiffs, u64(u64(uv([]byte{answerRun}, entryMine), math.MaxUint64), 1), ErrFrame},
		"claim twice":                  {5, kindDiffs, bytes.Repeat(u64(u64(uv(nil, entryMine), 1), 1), 2)[:], ErrFrame},
		"claims in the wrong order":    {5, kindDiffs, u64(u64(uv(u64(u64(uv([]byte{answerRun}, entryMine), 9), 1), entryMine), 8), 1), ErrFrame},
		"more in place of an answer":   {5, kindMore, nil, ErrFrame},
		"a second run in its place":    {5, kindItems, []byte{1}, ErrFrame},
		"hello again":                  {5, kindHello, hello(3, 2, tag, stdFrame, 9), ErrFrame},
		"hello in place of a verdict":  {3, kindHello, hello(3, 2, tag, stdFrame, 9), ErrFrame},
		"greeting the greeter":         {1, kindHello, hello(3, 2, tag, stdFrame, 9), ErrFrame},
		"verdict of ones, sums of all": {3, kindSums, append(bytes.Repeat([]byte{0xff}, 3), folds...), ErrFrame},
	} {
		to, _ := replay(t, c.frame)
		require.NotNil(t, to, name)
		_, err := to.Step(seal(append(begin(c.kind, to.seq, 0), c.body...)))
		require.ErrorIs(t, err, c.err, name)
		require.False(t, to.Done(), name)
	}
}

// TestBadRuns puts every kind of malformed run behind an intact verdict.
func TestBadRuns(t *testing.T) {
	u64 := binary.LittleEndian.AppendUint64
	uv := binary.AppendUvarint
	_, good := replay(t, 4)
	require.Equal(t, byte(kindItems), good[1])
	for name, run := range map[string][]byte{
		"flag missing":          {},
		"flag 2":                {2},
		"not last, and empty":   {0},
		"cut":                   append([]byte{1}, good[len(good)-sumLen-5:]...),
		"version 0":             u64(uv([]byte{1}, 1), 0),
		"distance over the top": u64(uv(u64(uv([]byte{1}, math.MaxUint64), 1), 0), 1),
		"two at the top":        u64(uv(u64(uv([]byte{1}, math.MaxUint64), 1), math.MaxUint64), 1),
		"top, and not last":     u64(uv([]byte{0}, math.MaxUint64), 1),
		"wrap":                  u64(uv(u64(uv([]byte{1}, 1<<63), 1), 1<<63), 1),
	} {
		to, _ := replay(t, 4)
		verdict := (to.walk.batch*to.view.geo.Fanout + 7) / 8
		f := append(slices.Clone(good[:headerLen+verdict]), run...)
		_, err := to.Step(seal(f))
		require.ErrorIs(t, err, ErrFrame, name)
	}
}

// TestMisuse is what the owner of a session can do wrong.
func TestMisuse(t *testing.T) {
	a, b := small()
	for _, s := range []*Session{NewSession(nil, a, SessionOptions{}), NewSession(&View{}, a, SessionOptions{}), NewSession(a.View(), nil, SessionOptions{})} {
		require.Nil(t, s.Start())
		_, err := s.Step(nil)
		require.ErrorIs(t, err, ErrSession)
	}
	s := a.session(SessionOptions{})
	require.NotNil(t, s.Start())
	require.Nil(t, s.Start())
	_, err := s.Step(nil)
	require.ErrorIs(t, err, ErrSession)

	s = a.session(SessionOptions{})
	_, err = s.Step(nil)
	require.ErrorIs(t, err, ErrFrame, "the peer hung up")

	sa, sb := a.session(SessionOptions{MaxFrame: -1, MaxDiffs: -1}), b.session(SessionOptions{MaxFrame: math.MaxInt, MaxDiffs: math.MaxInt})
	require.NoError(t, exchange(sa, sb))
	require.Equal(t, 1, sa.Stats().Diffs)
	_, err = sa.Step(nil)
	require.NoError(t, err, "nothing, after the end")
	_, err = sa.Step([]byte{1})
	require.ErrorIs(t, err, ErrFrame)
	require.True(t, sa.Done(), "which takes nothing from what was found")
	for range sb.Diffs() {
		break
	}

	big := a.session(SessionOptions{})
	_, err = big.Step(make([]byte, stdFrame+1))
	require.ErrorIs(t, err, ErrFrame)
	for _, o := range []SyncOptions{{Levels: 2, Fanout: 4}, {Levels: 3, Fanout: 8}, {Levels: 3, Fanout: 4}} {
		require.ErrorIs(t, exchange(a.session(SessionOptions{}), newReplica(o).session(SessionOptions{})), ErrGeometry)
	}
}

// TestCountAlone differs in nothing but the count, as sums that were forged might.
func TestCountAlone(t *testing.T) {
	a, b := NewSync(SyncOptions{}), NewSync(SyncOptions{})
	b.add(7, Sum{N: 1})
	none := newReplica(SyncOptions{})
	sa, sb := NewSession(a.View(), none, SessionOptions{}), NewSession(b.View(), none, SessionOptions{})
	require.NoError(t, exchange(sa, sb))
	require.Equal(t, 1, sa.Stats().Leaves, "the leaf is opened, and found to be no different")
	require.Zero(t, sa.Stats().Diffs)
}

// footprint is what a session holds on behalf of its peer, the differences aside.
func (s *Session) footprint() int {
	n := 4 * (cap(s.walk.open) + cap(s.walk.next))
	if s.cmp != nil {
		n += 16 * cap(s.cmp.run)
	}
	return n
}

// TestHostileMemory has a peer that calls every node different and every hash its own.
func TestHostileMemory(t *testing.T) {
	for _, frame := range []int{minFrame, stdFrame} {
		tree := NewSync(SyncOptions{})
		none := newReplica(SyncOptions{})
		victim := NewSession(tree.View(), none, SessionOptions{MaxFrame: frame, MaxDiffs: 100_000})
		bound := 2*frame + 5*tree.Leaves()
		require.NotEmpty(t, victim.Start())
		// The peer's walk has the same lists, and folds of noise.
		f := begin(kindWelcome, 1, 0)
		f = binary.AppendUvarint(binary.AppendUvarint(f, uint64(frame)), 1<<40)
		f = binary.AppendUvarint(f, 1)
		f = append(f, bytes.Repeat([]byte{0xa5}, 16*8)...)
		steps, err := 0, error(nil)
		for f = seal(f); victim.phase == greeted || victim.phase == walking; steps++ {
			var out []byte
			out, err = victim.Step(f)
			require.NoError(t, err)
			require.LessOrEqual(t, len(out), frame)
			require.LessOrEqual(t, victim.footprint(), bound)
			if victim.phase != walking {
				break
			}
			// All that it asked about differs; then noise for as much as is open.
			f = append(begin(kindSums, victim.seq, 0), bytes.Repeat([]byte{0xff}, victim.walk.batch*2)...)
			w := victim.walk
			for range w.batch {
				w.settle(16, func(int) bool { return true })
			}
			w.descend(victim.opts.MaxDiffs)
			if w.level == 4 {
				f[1] = byte(kindItems)
				f = append(f, 0)
				for leaf := uint64(0); len(f)+20 < frame; leaf++ {
					f = binary.AppendUvarint(f, 0) // hashes 0, 1, 2 …
					f = binary.LittleEndian.AppendUint64(f, 1)
				}
			} else {
				room := (frame - len(f) - 20) / 128
				n := min(room, len(w.open)-w.settled)
				f = binary.AppendUvarint(f, uint64(n))
				f = append(f, bytes.Repeat([]byte{0xa5}, n*128)...)
			}
			f = seal(f)
		}
		// Then runs, or answers, of inventions without end: MaxDiffs is the end.
		for next := uint64(0); victim.phase == offering || victim.phase == comparing; steps++ {
			require.Less(t, steps, 100_000)
			if victim.phase == offering {
				f = append(begin(kindDiffs, victim.seq, 0), answerPart)
				for ; len(f)+30 < frame; next++ {
					f = binary.AppendUvarint(f, entryMine)
					f = binary.LittleEndian.AppendUint64(f, next)
					f = binary.LittleEndian.AppendUint64(f, 1)
				}
			} else {
				f = append(begin(kindItems, victim.seq, 0), 0)
				for len(f)+30 < frame {
					f = binary.AppendUvarint(f, 0)
					f = binary.LittleEndian.AppendUint64(f, 1)
				}
			}
			_, err = victim.Step(seal(f))
			require.LessOrEqual(t, victim.footprint(), bound)
			if err != nil {
				require.ErrorIs(t, err, ErrFrame)
			}
		}
		require.LessOrEqual(t, victim.Stats().Diffs, 100_000)
		require.Greater(t, victim.Stats().Diffs, 50_000, "the attack got as far as it could")
	}
}

// TestMutatedExchanges runs random mutations behind right checksums through whole exchanges.
func TestMutatedExchanges(t *testing.T) {
	rounds := 2000
	if testing.Short() || raceEnabled {
		rounds = 400
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 9))
		mutation := make([]byte, 1+rng.IntN(24))
		for i := range mutation {
			mutation[i] = byte(rng.Uint32())
		}
		mutatedExchange(t, uint8(rng.Uint32()), mutation)
	}
}

// mutatedExchange runs an exchange in which one frame has been altered by somebody who knows the
// protocol. Both sides must end, within bounds, in an error or in a result.
func mutatedExchange(t require.TestingT, which uint8, mutation []byte) {
	rng := rand.New(rand.NewPCG(uint64(which), 10))
	o := SyncOptions{Levels: 1 + rng.IntN(3), Fanout: 1 << (1 + rng.IntN(4))}
	a, b := twins(o, rng, 400, int(which)*2)
	limit := SessionOptions{MaxFrame: minFrame, MaxDiffs: 200}
	from, to := a.session(limit), b.session(limit)
	frame := from.Start()
	for n := 0; frame != nil; n++ {
		require.Less(t, n, 1000, "no end")
		if n == int(which)%9 {
			frame = mutate(frame, mutation, n)
		}
		next, err := to.Step(frame)
		if err != nil {
			requireBadFrame(t, err)
			return
		}
		require.LessOrEqual(t, len(next), minFrame)
		require.LessOrEqual(t, to.Stats().Diffs, 200)
		require.LessOrEqual(t, to.footprint(), 2*minFrame+5*4096)
		frame, from, to = next, to, from
	}
}

// mutate reads a mutation as edits (position, byte) of a frame's kind and body, and seals it again.
func mutate(frame, mutation []byte, seq int) []byte {
	f := slices.Clone(frame)
	for len(mutation) >= 3 {
		pos := 1 + int(binary.LittleEndian.Uint16(mutation))%(len(f)-sumLen)
		switch v := mutation[2]; {
		case pos >= len(f)-sumLen:
			f = slices.Insert(f, len(f)-sumLen, v)
		case v == 0xfe && len(f) > headerLen+sumLen+1:
			f = slices.Delete(f, pos, pos+1)
		default:
			f[pos] ^= v
		}
		mutation = mutation[3:]
	}
	return reseal(f, seq)
}
