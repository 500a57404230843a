package command

import (
	"math"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// hash finds a hash to write to, a new one if there is none. It has answered if it returns
// false.
func (c *Ctx) hash() (*keyspace.Entry, bool) {
	e, ok := c.kind(c.Args[1], keyspace.Hash)
	if ok && e == nil {
		e = c.DB.Create(c.Args[1], keyspace.Hash)
	}
	return e, ok
}

func hset(c *Ctx) {
	if n, ok := c.fields(); ok {
		c.Out.Int(n)
	}
}

func hmset(c *Ctx) {
	if _, ok := c.fields(); ok {
		c.ok()
	}
}

func (c *Ctx) fields() (added int64, ok bool) {
	if len(c.Args)%2 != 0 {
		c.Out.Error("ERR wrong number of arguments for '" + strings.ToLower(string(c.Args[0])) + "' command")
		return 0, false
	}
	e, ok := c.hash()
	if !ok {
		return 0, false
	}
	for i := 2; i < len(c.Args); i += 2 {
		if e.Dict().Put(c.Args[i], c.Args[i+1]) {
			added++
		}
	}
	c.DB.Changed(e)
	return added, true
}

func hsetnx(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	if _, there := d.Get(c.Args[2]); there {
		c.Out.Bool(false)
		return
	}
	e, _ := c.hash()
	e.Dict().Put(c.Args[2], c.Args[3])
	c.DB.Changed(e)
	c.Out.Bool(true)
}

func hget(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	if v, there := d.Get(c.Args[2]); there {
		c.Out.Bulk(v)
	} else {
		c.Out.Null()
	}
}

func hmget(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, f := range c.Args[2:] {
		if v, there := d.Get(f); there {
			c.Out.Bulk(v)
		} else {
			c.Out.Null()
		}
	}
}

func hgetall(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	c.Out.Map(d.Len())
	for i := range d.Len() {
		f := d.At(i)
		c.Out.BulkString(f.Name)
		c.Out.Bulk(f.Value)
	}
}

func hkeys(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	c.Out.Array(d.Len())
	for i := range d.Len() {
		c.Out.BulkString(d.At(i).Name)
	}
}

func hvals(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	c.Out.Array(d.Len())
	for i := range d.Len() {
		c.Out.Bulk(d.At(i).Value)
	}
}

func hdel(c *Ctx) { c.unfield(keyspace.Hash) }

func hexists(c *Ctx) {
	if d, ok := c.dict(c.Args[1], keyspace.Hash); ok {
		_, there := d.Get(c.Args[2])
		c.Out.Bool(there)
	}
}

func hlen(c *Ctx) {
	if d, ok := c.dict(c.Args[1], keyspace.Hash); ok {
		c.Out.Int(int64(d.Len()))
	}
}

func hstrlen(c *Ctx) {
	if d, ok := c.dict(c.Args[1], keyspace.Hash); ok {
		v, _ := d.Get(c.Args[2])
		c.Out.Int(int64(len(v)))
	}
}

func hincrby(c *Ctx) {
	by, ok := c.integer(3)
	if !ok {
		return
	}
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	n := int64(0)
	if v, there := d.Get(c.Args[2]); there {
		if n, ok = resp.ParseInt(v); !ok {
			c.Out.Error("ERR hash value is not an integer")
			return
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		c.fail(ErrOverflow)
		return
	}
	e, _ := c.hash()
	e.Dict().Put(c.Args[2], strconv.AppendInt(nil, n+by, 10))
	c.DB.Changed(e)
	c.Out.Int(n + by)
}

func hincrbyfloat(c *Ctx) {
	by, ok := c.number(3)
	if !ok {
		return
	}
	d, ok := c.dict(c.Args[1], keyspace.Hash)
	if !ok {
		return
	}
	f := 0.0
	if v, there := d.Get(c.Args[2]); there {
		if f, ok = parseFloat(v); !ok {
			c.Out.Error("ERR hash value is not a float")
			return
		}
	}
	if f += by; math.IsNaN(f) || math.IsInf(f, 0) {
		c.fail(ErrNaN)
		return
	}
	e, _ := c.hash()
	text := resp.FormatDouble(f)
	e.Dict().Put(c.Args[2], []byte(text))
	c.DB.Changed(e)
	c.Instead("HSET", e.Key(), string(c.Args[2]), text)
	c.Out.BulkString(text)
}
