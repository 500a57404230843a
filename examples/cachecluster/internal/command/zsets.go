package command

import (
	"math"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// sorted reads a sorted set, nil if there is none.
func (c *Ctx) sorted(key []byte) (*keyspace.Sorted, bool) {
	e, ok := c.read(key, keyspace.ZSet)
	if e == nil {
		return nil, ok
	}
	return e.Sorted(), true
}

func zadd(c *Ctx) {
	var nx, xx, gt, lt, ch, incr bool
	i := 2
options:
	for ; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case is(a, "NX"):
			nx = true
		case is(a, "XX"):
			xx = true
		case is(a, "GT"):
			gt = true
		case is(a, "LT"):
			lt = true
		case is(a, "CH"):
			ch = true
		case is(a, "INCR"):
			incr = true
		default:
			break options
		}
	}
	pairs := c.Args[i:]
	if len(pairs) == 0 || len(pairs)%2 != 0 || incr && len(pairs) != 2 || nx && (xx || gt || lt) || gt && lt {
		c.fail(ErrSyntax)
		return
	}
	scores := make([]float64, len(pairs)/2)
	for i := range scores {
		var ok bool
		if scores[i], ok = parseFloat(pairs[2*i]); !ok {
			c.fail(ErrNotFloat)
			return
		}
	}
	e, ok := c.kind(c.Args[1], keyspace.ZSet)
	if !ok {
		return
	}
	if e == nil {
		if xx {
			c.zadded(incr, 0, 0, false)
			return
		}
		e = c.DB.Create(c.Args[1], keyspace.ZSet)
	}
	z := e.Sorted()
	added, changed, applied := int64(0), int64(0), false
	for i, score := range scores {
		name := pairs[2*i+1]
		old, there := z.Score(name)
		if incr && there {
			score += old
			if math.IsNaN(score) {
				c.Out.Error("ERR resulting score is not a number (NaN)")
				return
			}
			scores[i] = score
		}
		if there && (nx || gt && score <= old || lt && score >= old) || !there && xx {
			continue
		}
		applied = true
		if z.Put(name, score) {
			added++
		} else if there && old != score {
			changed++
		}
	}
	if added+changed > 0 || z.Len() == 0 {
		c.DB.Changed(e)
	}
	if ch {
		added += changed
	}
	c.zadded(incr, added, scores[0], applied)
}

func (c *Ctx) zadded(incr bool, n int64, score float64, applied bool) {
	switch {
	case !incr:
		c.Out.Int(n)
	case applied:
		c.Out.Double(score)
	default:
		c.Out.Null()
	}
}

func zincrby(c *Ctx) {
	by, ok := c.number(2)
	if !ok {
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.ZSet)
	if !ok {
		return
	}
	if e != nil {
		old, _ := e.Sorted().Score(c.Args[3])
		by += old
	}
	if math.IsNaN(by) {
		c.Out.Error("ERR resulting score is not a number (NaN)")
		return
	}
	if e == nil {
		e = c.DB.Create(c.Args[1], keyspace.ZSet)
	}
	e.Sorted().Put(c.Args[3], by)
	c.DB.Changed(e)
	c.Out.Double(by)
}

func zrem(c *Ctx) {
	e, ok := c.kind(c.Args[1], keyspace.ZSet)
	if !ok {
		return
	}
	n := int64(0)
	if e != nil {
		for _, m := range c.Args[2:] {
			if e.Sorted().Delete(m) {
				n++
			}
		}
		if n > 0 {
			c.DB.Changed(e)
		}
	}
	c.Out.Int(n)
}

func zscore(c *Ctx) {
	if z, ok := c.sorted(c.Args[1]); ok {
		c.score(z, c.Args[2])
	}
}

func (c *Ctx) score(z *keyspace.Sorted, name []byte) {
	if z != nil {
		if f, there := z.Score(name); there {
			c.Out.Double(f)
			return
		}
	}
	c.Out.Null()
}

func zmscore(c *Ctx) {
	z, ok := c.sorted(c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, m := range c.Args[2:] {
		c.score(z, m)
	}
}

func zcard(c *Ctx) {
	z, ok := c.sorted(c.Args[1])
	switch {
	case !ok:
	case z == nil:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(z.Len()))
	}
}

func zrank(c *Ctx) { c.rank(false) }

func zrevrank(c *Ctx) { c.rank(true) }

func (c *Ctx) rank(reverse bool) {
	z, ok := c.sorted(c.Args[1])
	if !ok {
		return
	}
	if z != nil {
		if r, there := z.Rank(c.Args[2]); there {
			if reverse {
				r = z.Len() - 1 - r
			}
			c.Out.Int(int64(r))
			return
		}
	}
	c.Out.Null()
}

// scoreBound reads "1.5", "(1.5", "-inf".
func scoreBound(b []byte) (o keyspace.Bound, ok bool) {
	if len(b) > 0 && b[0] == '(' {
		o.Open = true
		b = b[1:]
	}
	o.Score, ok = parseFloat(b)
	return o, ok
}

// lexBound reads "[a", "(a", "-" and "+".
func lexBound(b []byte) (o keyspace.Lex, ok bool) {
	switch {
	case string(b) == "-":
		return keyspace.Lex{Inf: -1}, true
	case string(b) == "+":
		return keyspace.Lex{Inf: 1}, true
	case len(b) > 0 && (b[0] == '[' || b[0] == '('):
		return keyspace.Lex{Name: string(b[1:]), Open: b[0] == '('}, true
	}
	return o, false
}

// Ways to say which members are meant.
const (
	byRank = iota
	byScore
	byLex
)

// span turns two arguments into ranks, counted from the end of the order if reverse is set;
// the greater bound comes first then. It has answered if it returns false.
func (c *Ctx) span(z *keyspace.Sorted, by int, a, b []byte, reverse bool) (first, last int, ok bool) {
	n := 0
	if z != nil {
		n = z.Len()
	}
	if by == byRank {
		from, ok1 := resp.ParseInt(a)
		to, ok2 := resp.ParseInt(b)
		if !ok1 || !ok2 {
			c.fail(ErrNotInt)
			return 0, 0, false
		}
		first, last = clamp(from, to, n)
		return first, last, true
	}
	if reverse {
		a, b = b, a
	}
	if by == byScore {
		lo, ok1 := scoreBound(a)
		hi, ok2 := scoreBound(b)
		if !ok1 || !ok2 {
			c.fail(ErrMinMax)
			return 0, 0, false
		}
		if n > 0 {
			first, last = z.RanksByScore(lo, hi)
		}
	} else {
		lo, ok1 := lexBound(a)
		hi, ok2 := lexBound(b)
		if !ok1 || !ok2 {
			c.fail(ErrLex)
			return 0, 0, false
		}
		if n > 0 {
			first, last = z.RanksByLex(lo, hi)
		}
	}
	if n == 0 {
		return 0, -1, true
	}
	if reverse {
		first, last = n-1-last, n-1-first
	}
	return first, last, true
}

// spans tells whether a command's bounds can be read: a bad bound is answered before a bad
// key is.
func (c *Ctx) spans(by int) bool {
	_, _, ok := c.span(nil, by, c.Args[2], c.Args[3], false)
	return ok
}

func zrange(c *Ctx) {
	by, reverse := byRank, false
	rest := c.Args[4:]
	var keep [][]byte
	for _, a := range rest {
		switch {
		case is(a, "BYSCORE"):
			by = byScore
		case is(a, "BYLEX"):
			by = byLex
		case is(a, "REV"):
			reverse = true
		default:
			keep = append(keep, a)
		}
	}
	c.ranged(by, reverse, keep)
}

func zrevrange(c *Ctx)        { c.ranged(byRank, true, c.Args[4:]) }
func zrangebyscore(c *Ctx)    { c.ranged(byScore, false, c.Args[4:]) }
func zrevrangebyscore(c *Ctx) { c.ranged(byScore, true, c.Args[4:]) }
func zrangebylex(c *Ctx)      { c.ranged(byLex, false, c.Args[4:]) }
func zrevrangebylex(c *Ctx)   { c.ranged(byLex, true, c.Args[4:]) }

func (c *Ctx) ranged(by int, reverse bool, options [][]byte) {
	scores, limited := false, false
	offset, count := int64(0), int64(-1)
	for i := 0; i < len(options); i++ {
		switch a := options[i]; {
		case is(a, "WITHSCORES") && by != byLex:
			scores = true
		case is(a, "LIMIT") && by != byRank && i+2 < len(options):
			var ok1, ok2 bool
			offset, ok1 = resp.ParseInt(options[i+1])
			count, ok2 = resp.ParseInt(options[i+2])
			if !ok1 || !ok2 {
				c.fail(ErrNotInt)
				return
			}
			i += 2
			limited = true
		default:
			c.fail(ErrSyntax)
			return
		}
	}
	if !c.spans(by) {
		return
	}
	z, ok := c.sorted(c.Args[1])
	if !ok {
		return
	}
	first, last, ok := c.span(z, by, c.Args[2], c.Args[3], reverse)
	if !ok {
		return
	}
	if limited {
		if offset < 0 || offset > int64(last) {
			first, last = 0, -1
		} else {
			first += int(offset)
			if count >= 0 {
				last = int(min(int64(last), int64(first)-1+min(count, math.MaxInt32)))
			}
		}
	}
	c.members(z, first, last, reverse, scores)
}

// members answers those of some ranks.
func (c *Ctx) members(z *keyspace.Sorted, first, last int, reverse, scores bool) {
	n := max(last-first+1, 0)
	pairs := scores && c.Out.Proto == 3
	if scores && !pairs {
		n *= 2
	}
	c.Out.Array(n)
	if n == 0 {
		return
	}
	z.Range(first, last, reverse, func(name string, score float64) bool {
		if pairs {
			c.Out.Array(2)
		}
		c.Out.BulkString(name)
		if scores {
			c.Out.Double(score)
		}
		return true
	})
}

func zcount(c *Ctx) { c.counted(byScore) }

func zlexcount(c *Ctx) { c.counted(byLex) }

func (c *Ctx) counted(by int) {
	if !c.spans(by) {
		return
	}
	z, ok := c.sorted(c.Args[1])
	if !ok {
		return
	}
	if first, last, ok := c.span(z, by, c.Args[2], c.Args[3], false); ok {
		c.Out.Int(int64(max(last-first+1, 0)))
	}
}

func zremrangebyrank(c *Ctx)  { c.unranged(byRank) }
func zremrangebyscore(c *Ctx) { c.unranged(byScore) }
func zremrangebylex(c *Ctx)   { c.unranged(byLex) }

func (c *Ctx) unranged(by int) {
	if !c.spans(by) {
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.ZSet)
	if !ok {
		return
	}
	var z *keyspace.Sorted
	if e != nil {
		z = e.Sorted()
	}
	first, last, ok := c.span(z, by, c.Args[2], c.Args[3], false)
	if !ok {
		return
	}
	c.Out.Int(int64(len(c.take(e, first, last, false))))
}
