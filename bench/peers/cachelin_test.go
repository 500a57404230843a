package peers

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/cache"
)

// call is an operation on one key of a cache that evicts nothing.
type call struct {
	op, key, v int
}

type answer struct {
	v  int
	ok bool
}

const (
	opGet = iota
	opSet
	opDelete
	opAdd
	opUpdate // adds v, stores v if there is none
	opFetch  // the source's value is -1
	ops
)

// register is what a cache must be for each key. A load that a write overtakes answers what
// it brought, but does not store it: that is why there may be two states after a Fetch.
var register = (&porcupine.NondeterministicModel{
	Partition: func(h []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range h {
			k := o.Input.(call).key
			byKey[k] = append(byKey[k], o)
		}
		var out [][]porcupine.Operation
		for _, o := range byKey {
			out = append(out, o)
		}
		return out
	},
	Init: func() []any { return []any{answer{}} },
	Step: func(state, in, out any) []any {
		s, c, a := state.(answer), in.(call), out.(answer)
		next, right := s, false
		switch c.op {
		case opGet:
			right = a == s
		case opSet:
			next, right = answer{c.v, true}, true
		case opDelete:
			next, right = answer{}, a == s
		case opAdd:
			if right = a == (answer{s.v, false}); !s.ok {
				next = answer{c.v, true}
				right = a == next
			}
		case opUpdate:
			next = answer{s.v + c.v, true}
			right = a == next
		case opFetch:
			if right = a == s; !s.ok && a.v == -1 {
				return []any{s, answer{-1, true}}
			}
		}
		if !right {
			return nil
		}
		return []any{next}
	},
}).ToModel()

// TestCacheIsLinearizable checks histories of four goroutines with porcupine.
func TestCacheIsLinearizable(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		words := must(cache.New(cache.Options[int, int]{MaxEntries: 1000, Policy: cache.Policy(round % 8), Load: func(context.Context, int) (int, error) { return -1, nil }}))
		boxed := must(cache.New(cache.Options[int, [3]int]{MaxEntries: 1000}))
		var mu sync.Mutex
		var history []porcupine.Operation
		var wg sync.WaitGroup
		began := time.Now()
		for g := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				var mine []porcupine.Operation
				for i := range 60 {
					c := call{rng.IntN(ops), rng.IntN(3), 1 + g*100 + i}
					from := time.Since(began).Nanoseconds()
					var a answer
					if round%2 == 0 {
						a = doWord(words, c)
					} else {
						if c.op == opFetch {
							c.op = opGet
						}
						a = doBoxed(boxed, c)
					}
					mine = append(mine, porcupine.Operation{ClientId: g, Input: c, Call: from, Output: a, Return: time.Since(began).Nanoseconds()})
				}
				mu.Lock()
				defer mu.Unlock()
				history = append(history, mine...)
			})
		}
		wg.Wait()
		require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(register, history, 20*time.Second), "round %d", round)
	}
}

func doWord(c *cache.Cache[int, int], in call) (a answer) {
	switch in.op {
	case opGet:
		a.v, a.ok = c.Get(in.key)
	case opSet:
		c.Set(in.key, in.v)
	case opDelete:
		a.v, a.ok = c.Delete(in.key)
	case opAdd:
		a.v, a.ok = c.Add(in.key, in.v)
	case opUpdate:
		a.v, a.ok = c.Update(in.key, func(old int, _ bool) (int, cache.Op) { return old + in.v, cache.Store })
	case opFetch:
		v, err := c.Fetch(context.Background(), in.key)
		a = answer{v, err == nil}
	}
	return a
}

func doBoxed(c *cache.Cache[int, [3]int], in call) (a answer) {
	box := [3]int{in.v, in.v, in.v}
	switch in.op {
	case opGet:
		box, a.ok = c.Get(in.key)
	case opSet:
		c.Set(in.key, box)
		box = [3]int{}
	case opDelete:
		box, a.ok = c.Delete(in.key)
	case opAdd:
		box, a.ok = c.Add(in.key, box)
	case opUpdate:
		box, a.ok = c.Update(in.key, func(old [3]int, _ bool) ([3]int, cache.Op) {
			return [3]int{old[0] + in.v, old[0] + in.v, old[0] + in.v}, cache.Store
		})
	}
	if box[0] != box[1] || box[1] != box[2] {
		return answer{-99, true}
	}
	a.v = box[0]
	return a
}
