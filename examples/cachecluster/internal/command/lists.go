package command

import (
	"bytes"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

func lpush(c *Ctx)  { c.push(true, false) }
func rpush(c *Ctx)  { c.push(false, false) }
func lpushx(c *Ctx) { c.push(true, true) }
func rpushx(c *Ctx) { c.push(false, true) }

func (c *Ctx) push(front, only bool) {
	e, ok := c.kind(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e == nil {
		if only {
			c.Out.Int(0)
			return
		}
		e = c.DB.Create(c.Args[1], keyspace.List)
	}
	q := e.List()
	for _, v := range c.Args[2:] {
		q.Push(v, front)
	}
	c.Out.Int(int64(q.Len()))
	c.DB.Changed(e)
}

func lpop(c *Ctx) { c.pop(true) }

func rpop(c *Ctx) { c.pop(false) }

func (c *Ctx) pop(front bool) {
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
	e, ok := c.kind(c.Args[1], keyspace.List)
	switch {
	case !ok:
	case e == nil && many:
		c.Out.NullArray()
	case e == nil:
		c.Out.Null()
	case !many:
		c.Out.Bulk(e.List().Pop(front))
		c.DB.Changed(e)
	default:
		n = min(n, int64(e.List().Len()))
		c.Out.Array(int(n))
		for range n {
			c.Out.Bulk(e.List().Pop(front))
		}
		if n > 0 {
			c.DB.Changed(e)
		}
	}
}

func llen(c *Ctx) {
	e, ok := c.read(c.Args[1], keyspace.List)
	switch {
	case !ok:
	case e == nil:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(e.List().Len()))
	}
}

// bounds reads two indexes. It has answered if it returns false.
func (c *Ctx) bounds(i int) (from, to int64, ok bool) {
	if from, ok = c.integer(i); ok {
		to, ok = c.integer(i + 1)
	}
	return from, to, ok
}

func lrange(c *Ctx) {
	from, to, ok := c.bounds(2)
	if !ok {
		return
	}
	e, ok := c.read(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e == nil {
		c.Out.Array(0)
		return
	}
	first, last := clamp(from, to, e.List().Len())
	c.Out.Array(max(last-first+1, 0))
	for i := first; i <= last; i++ {
		c.Out.Bulk(e.List().At(i))
	}
}

// at is the place of an index in a list, and whether it is one.
func at(q *keyspace.Deque, i int64) (int, bool) {
	if i < 0 {
		i += int64(q.Len())
	}
	return int(i), i >= 0 && i < int64(q.Len())
}

func lindex(c *Ctx) {
	i, ok := c.integer(2)
	if !ok {
		return
	}
	e, ok := c.read(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e != nil {
		if k, ok := at(e.List(), i); ok {
			c.Out.Bulk(e.List().At(k))
			return
		}
	}
	c.Out.Null()
}

func lset(c *Ctx) {
	i, ok := c.integer(2)
	if !ok {
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e == nil {
		c.fail(ErrNoKey)
		return
	}
	k, ok := at(e.List(), i)
	if !ok {
		c.fail(ErrIndex)
		return
	}
	e.List().Set(k, c.Args[3])
	c.DB.Changed(e)
	c.ok()
}

func lrem(c *Ctx) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e == nil {
		c.Out.Int(0)
		return
	}
	limit, l := e.List().Len(), int64(e.List().Len())
	switch {
	case n > 0:
		limit = int(min(n, l))
	case n < 0:
		limit = int(min(-max(n, -l), l))
	}
	removed := e.List().Remove(c.Args[3], limit, n < 0)
	if removed > 0 {
		c.DB.Changed(e)
	}
	c.Out.Int(int64(removed))
}

func ltrim(c *Ctx) {
	from, to, ok := c.bounds(2)
	if !ok {
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e != nil {
		q := e.List()
		first, last := clamp(from, to, q.Len())
		if first > last {
			first, last = q.Len(), q.Len()-1
		}
		for range q.Len() - 1 - last {
			q.Pop(false)
		}
		for range first {
			q.Pop(true)
		}
		c.DB.Changed(e)
	}
	c.ok()
}

func linsert(c *Ctx) {
	after := is(c.Args[2], "AFTER")
	if !after && !is(c.Args[2], "BEFORE") {
		c.fail(ErrSyntax)
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if e == nil {
		c.Out.Int(0)
		return
	}
	q := e.List()
	for i := range q.Len() {
		if bytes.Equal(q.At(i), c.Args[3]) {
			if after {
				i++
			}
			q.Insert(i, c.Args[4])
			c.DB.Changed(e)
			c.Out.Int(int64(q.Len()))
			return
		}
	}
	c.Out.Int(-1)
}

func rpoplpush(c *Ctx) { c.move(false, true) }

func lmove(c *Ctx) {
	var side [2]bool
	for i := range side {
		switch a := c.Args[3+i]; {
		case is(a, "LEFT"):
			side[i] = true
		case !is(a, "RIGHT"):
			c.fail(ErrSyntax)
			return
		}
	}
	c.move(side[0], side[1])
}

func (c *Ctx) move(fromFront, toFront bool) {
	src, ok := c.kind(c.Args[1], keyspace.List)
	if !ok {
		return
	}
	if src == nil {
		c.Out.Null()
		return
	}
	dst, ok := c.kind(c.Args[2], keyspace.List)
	if !ok {
		return
	}
	v := src.List().Pop(fromFront)
	if dst == nil {
		dst = c.DB.Create(c.Args[2], keyspace.List)
	}
	dst.List().Push(v, toFront)
	c.DB.Changed(dst)
	if src != dst {
		c.DB.Changed(src)
	}
	c.Out.Bulk(v)
}
