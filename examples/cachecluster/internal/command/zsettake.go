package command

import (
	"math"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

type member struct {
	name  string
	score float64
}

// take removes the members of some ranks and returns them.
func (c *Ctx) take(e *keyspace.Entry, first, last int, reverse bool) (gone []member) {
	if e == nil || first > last {
		return nil
	}
	z := e.Sorted()
	z.Range(first, last, reverse, func(name string, score float64) bool {
		gone = append(gone, member{name, score})
		return true
	})
	for _, m := range gone {
		z.Delete([]byte(m.name))
	}
	if len(gone) > 0 {
		c.DB.Changed(e)
	}
	return gone
}

func zpopmin(c *Ctx) { c.zpop(false) }

func zpopmax(c *Ctx) { c.zpop(true) }

func (c *Ctx) zpop(reverse bool) {
	n, many := int64(1), len(c.Args) == 3
	if len(c.Args) > 3 {
		c.fail(ErrSyntax)
		return
	}
	if many {
		var ok bool
		if n, ok = c.integer(2); !ok {
			return
		}
		if n < 0 {
			c.fail(ErrRange)
			return
		}
	}
	e, ok := c.kind(c.Args[1], keyspace.ZSet)
	if !ok {
		return
	}
	gone := c.take(e, 0, int(min(n, math.MaxInt32))-1, reverse)
	pairs := many && c.Out.Proto == 3
	if pairs {
		c.Out.Array(len(gone))
	} else {
		c.Out.Array(2 * len(gone))
	}
	for _, m := range gone {
		if pairs {
			c.Out.Array(2)
		}
		c.Out.BulkString(m.name)
		c.Out.Double(m.score)
	}
}

func zunionstore(c *Ctx) { c.zcombine(true) }

func zinterstore(c *Ctx) { c.zcombine(false) }

// zcombine stores the union or the intersection of sorted sets and sets.
func (c *Ctx) zcombine(union bool) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	if n < 1 || n > int64(len(c.Args)-3) {
		c.fail(ErrSyntax)
		return
	}
	keys, rest := c.Args[3:3+n], c.Args[3+n:]
	weights, fold, ok := c.zoptions(rest, int(n))
	if !ok {
		return
	}
	sum, times := map[string]float64{}, map[string]int{}
	for i, k := range keys {
		e := c.DB.Read(k)
		if e == nil {
			continue
		}
		add := func(name string, score float64) bool {
			score *= weights[i]
			if math.IsNaN(score) { // 0 × ∞
				score = 0
			}
			if times[name]++; times[name] > 1 {
				score = fold(sum[name], score)
			}
			sum[name] = score
			return true
		}
		switch e.Kind() {
		case keyspace.ZSet:
			e.Sorted().Range(0, e.Sorted().Len(), false, add)
		case keyspace.Set:
			for j := range e.Dict().Len() {
				add(e.Dict().At(j).Name, 1)
			}
		default:
			c.fail(ErrWrongType)
			return
		}
	}
	c.DB.Delete(c.Args[1])
	e := c.DB.Create(c.Args[1], keyspace.ZSet)
	for name, score := range sum {
		if union || times[name] == len(keys) {
			e.Sorted().Put([]byte(name), score)
		}
	}
	c.Out.Int(int64(e.Sorted().Len()))
	c.DB.Changed(e)
}

// zoptions reads WEIGHTS and AGGREGATE. It has answered if it returns false.
func (c *Ctx) zoptions(args [][]byte, n int) (weights []float64, fold func(a, b float64) float64, ok bool) {
	weights = make([]float64, n)
	for i := range weights {
		weights[i] = 1
	}
	fold = func(a, b float64) float64 {
		if s := a + b; !math.IsNaN(s) {
			return s
		}
		return 0 // ∞ − ∞
	}
	for len(args) > 0 {
		switch {
		case is(args[0], "WEIGHTS") && len(args) > n:
			for i := range weights {
				if weights[i], ok = parseFloat(args[1+i]); !ok {
					c.Out.Error("ERR weight value is not a float")
					return nil, nil, false
				}
			}
			args = args[1+n:]
		case is(args[0], "AGGREGATE") && len(args) > 1 && is(args[1], "SUM"):
			args = args[2:]
		case is(args[0], "AGGREGATE") && len(args) > 1 && is(args[1], "MIN"):
			fold = math.Min
			args = args[2:]
		case is(args[0], "AGGREGATE") && len(args) > 1 && is(args[1], "MAX"):
			fold = math.Max
			args = args[2:]
		default:
			c.fail(ErrSyntax)
			return nil, nil, false
		}
	}
	return weights, fold, true
}
