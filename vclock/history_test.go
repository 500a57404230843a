package vclock

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// The oracle of Set. Every write of a history is one bit, and a state is two words: the
// writes that somebody knows of, and those among them that a known write replaced. A write
// replaces what its writer had read; states join by "or"; what is alive is what is known
// and not replaced. No dots, no vectors, no gaps to close.

type truth struct{ known, replaced uint64 }

func (t truth) alive() uint64 { return t.known &^ t.replaced }

func (t truth) or(u truth) truth { return truth{t.known | u.known, t.replaced | u.replaced} }

// state is a set beside the truth about it.
type state struct {
	set Set[int]
	truth
}

// read is what a client keeps of a read: the context, and the truth about what it covers.
type read struct {
	ctx   Vector
	known uint64
}

// history is a key on three replicas.
type history struct {
	rng      *rand.Rand
	replicas [3]state
	tenures  [3]tenure
	actors   Actor
	writes   int
	byDot    map[Dot]int // for deletes, which have no value to tell them apart
	past     []state     // states that were: messages under way, hints, backups
	reads    []read
	// keepActor is the planted bug: a replica that lost its state goes on as before.
	keepActor bool
}

// tenure is an actor and the last number it used.
type tenure struct {
	actor   Actor
	counter uint64
}

func newHistory(rng *rand.Rand) *history {
	h := &history{rng: rng, byDot: map[Dot]int{}, past: []state{{}}, reads: []read{{}}}
	for i := range h.tenures {
		h.newTenure(i)
	}
	return h
}

func (h *history) newTenure(i int) {
	if h.keepActor {
		h.tenures[i].counter = 0
		return
	}
	// Actors that are not in the order of their drawing.
	h.actors++
	h.tenures[i] = tenure{actor: 1 + h.actors*7%31}
}

// step does one thing to one replica and checks it.
func (h *history) step() error {
	i := h.rng.IntN(len(h.replicas))
	r := &h.replicas[i]
	switch n := h.rng.IntN(20); {
	case n < 5:
		h.reads = append(h.reads, read{r.set.Context(), r.known})
		h.past = append(h.past, *r)
	case n < 13:
		if err := h.write(i); err != nil {
			return err
		}
	case n < 18: // what another replica holds, or held when the message was sent
		o := h.replicas[h.rng.IntN(len(h.replicas))]
		if h.rng.IntN(2) == 0 {
			o = h.past[h.rng.IntN(len(h.past))]
		}
		r.set.Merge(o.set)
		r.truth = r.or(o.truth)
	case n < 19: // the disk is lost
		*r = state{}
		h.newTenure(i)
	default: // an old backup is restored
		*r = h.past[h.rng.IntN(len(h.past))]
		h.newTenure(i)
	}
	return h.check(*r)
}

// write puts or deletes with any context that was read so far, at any replica.
func (h *history) write(i int) error {
	r, rd := &h.replicas[i], h.reads[h.rng.IntN(len(h.reads))]
	if h.rng.IntN(3) == 0 {
		rd = h.reads[len(h.reads)-1]
	}
	// The actor writes to other keys, too: numbers are skipped.
	h.tenures[i].counter += 1 + h.rng.Uint64N(3)
	d := Dot{h.tenures[i].actor, h.tenures[i].counter}
	var err error
	if h.rng.IntN(4) == 0 {
		err = r.set.Delete(rd.ctx, d)
	} else {
		err = r.set.Put(rd.ctx, d, h.writes)
	}
	if err != nil {
		return err
	}
	h.byDot[d] = h.writes
	r.truth = r.or(truth{rd.known | 1<<h.writes, rd.known})
	h.writes++
	return nil
}

// errOracle is matched by the error about a set that is not what it should be.
var errOracle = errors.New("the set differs from the oracle")

func (h *history) check(r state) error {
	var got uint64
	for v := range r.set.All() {
		w := h.byDot[v.Dot]
		if !v.Deleted && v.V != w {
			return fmt.Errorf("%w: %v holds write %d, not %d", errOracle, v.Dot, v.V, w)
		}
		got |= 1 << w
	}
	if want := r.alive(); got != want {
		return fmt.Errorf("%w: alive %b, want %b, in %v", errOracle, got, want, r.set.Context())
	}
	return nil
}

func encode(s Set[int]) []byte { return AppendSet(nil, &s, encodeInt) }

func join(s Set[int], others ...Set[int]) Set[int] {
	for _, o := range others {
		s.Merge(o)
	}
	return s
}

// laws checks what a join must be, on three states that were or are.
func (h *history) laws() error {
	pick := func() Set[int] {
		if h.rng.IntN(3) == 0 {
			return h.replicas[h.rng.IntN(len(h.replicas))].set
		}
		return h.past[h.rng.IntN(len(h.past))].set
	}
	x, y, z := pick(), pick(), pick()
	all, both := encode(join(x, y, z)), join(x, y)
	switch {
	case !bytes.Equal(encode(join(x, x)), encode(x)):
		return errors.New("merge is not idempotent")
	case !bytes.Equal(encode(join(x, y)), encode(join(y, x))):
		return errors.New("merge is not commutative")
	case !bytes.Equal(encode(join(x, join(y, z))), all):
		return errors.New("merge is not associative")
	case both.Compare(x) != Equal && both.Compare(x) != After:
		return errors.New("merge forgets")
	case (x.Compare(y) == Equal) != bytes.Equal(encode(x), encode(y)):
		return errors.New("equal knowledge, different bytes")
	}
	got, err := DecodeSet(all, decodeInt)
	if err != nil || !bytes.Equal(encode(got), all) {
		return fmt.Errorf("round trip: %w", err)
	}
	return nil
}

// run plays a history of some steps.
func (h *history) run() error {
	for range 10 + h.rng.IntN(40) {
		if err := h.step(); err != nil {
			return err
		}
	}
	return nil
}

// TestSetAgainstHistories drives three replicas through random histories: puts and deletes
// with any context read before, merges with what is and what was, lost disks and restored
// backups, after which a replica goes on under a new actor.
func TestSetAgainstHistories(t *testing.T) {
	histories := 100_000
	if testing.Short() {
		histories = 5_000
	}
	seed := testkit.Seed(t)
	for n := range uint64(histories) {
		h := newHistory(rand.New(rand.NewPCG(seed, n)))
		err := h.run()
		if err == nil {
			err = h.laws()
		}
		if err != nil {
			t.Fatalf("history %d: %v", n, err)
		}
	}
}

// The same histories without the rule that makes them safe: a replica that lost its state
// keeps its actor. Some dots are refused, which is how a store notices; others vanish in a
// merge, which is what the rule is for. An oracle that sees neither would be blind.
func TestKeptActorsLoseWrites(t *testing.T) {
	var refused, lost int
	seed := testkit.Seed(t)
	for n := range uint64(2000) {
		h := newHistory(rand.New(rand.NewPCG(seed, n)))
		h.keepActor = true
		switch err := h.run(); {
		case errors.Is(err, ErrDotUsed):
			refused++
		case errors.Is(err, errOracle):
			lost++
		default:
			require.NoError(t, err)
		}
	}
	t.Logf("refused %d, lost %d of 2000", refused, lost)
	require.Greater(t, refused, 100)
	require.Greater(t, lost, 100)
}
