package command

import (
	"math"
	"strconv"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// MaxString bounds a string that commands can make.
const MaxString = 64 << 20

func get(c *Ctx) {
	e, ok := c.read(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	c.value(e)
}

// value answers a string, or that there is none.
func (c *Ctx) value(e *keyspace.Entry) {
	if e == nil {
		c.Out.Null()
		return
	}
	c.Out.Bulk(e.Str)
}

func set(c *Ctx) {
	if len(c.Args) == 3 {
		c.DB.SetString(c.Args[1], c.Args[2], false)
		c.ok()
		return
	}
	var nx, xx, keep, old bool
	at, timed := int64(0), false
	for i := 3; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case is(a, "NX") && !xx:
			nx = true
		case is(a, "XX") && !nx:
			xx = true
		case is(a, "KEEPTTL") && !timed:
			keep = true
		case is(a, "GET"):
			old = true
		default:
			unit := timeOption(a)
			if unit == 0 || timed || keep || i+1 == len(c.Args) {
				c.fail(ErrSyntax)
				return
			}
			i++
			var ok bool
			if at, ok = c.deadline(c.Args[i], unit); !ok {
				return
			}
			timed = true
		}
	}
	e := c.DB.Find(c.Args[1])
	if old {
		if _, ok := c.checked(e, keyspace.String); !ok {
			return
		}
		c.value(e)
	}
	if nx && e != nil || xx && e == nil {
		c.Instead()
		if !old {
			c.Out.Null()
		}
		return
	}
	c.store(c.Args[1], c.Args[2], at, keep)
	if !old {
		c.ok()
	}
}

// store sets a string that ends at a time, 0 being never, and has replicas do just that.
func (c *Ctx) store(key, value []byte, at int64, keep bool) {
	e := c.DB.SetString(key, value, keep)
	switch {
	case at != 0:
		c.DB.SetExpire(e, at)
		c.Instead("SET", string(key), string(value), "PXAT", strconv.FormatInt(at, 10))
	case keep:
		c.Instead("SET", string(key), string(value), "KEEPTTL")
	default:
		c.Instead("SET", string(key), string(value))
	}
}

func setnx(c *Ctx) {
	if c.DB.Find(c.Args[1]) != nil {
		c.Out.Bool(false)
		return
	}
	c.DB.SetString(c.Args[1], c.Args[2], false)
	c.Out.Bool(true)
}

func setex(c *Ctx) { c.setFor('S') }

func psetex(c *Ctx) { c.setFor('M') }

func (c *Ctx) setFor(unit byte) {
	at, ok := c.deadline(c.Args[2], unit)
	if !ok {
		return
	}
	c.store(c.Args[1], c.Args[3], at, false)
	c.ok()
}

func getset(c *Ctx) {
	e, ok := c.kind(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	c.value(e)
	c.DB.SetString(c.Args[1], c.Args[2], false)
}

func getdel(c *Ctx) {
	e, ok := c.kind(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	c.value(e)
	if e != nil {
		c.DB.Delete(c.Args[1])
	}
}

func getex(c *Ctx) {
	at, change := int64(0), false
	switch len(c.Args) {
	case 2:
	case 3:
		if !is(c.Args[2], "PERSIST") {
			c.fail(ErrSyntax)
			return
		}
		change = true
	case 4:
		unit := timeOption(c.Args[2])
		if unit == 0 {
			c.fail(ErrSyntax)
			return
		}
		var ok bool
		if at, ok = c.deadline(c.Args[3], unit); !ok {
			return
		}
		change = true
	default:
		c.fail(ErrSyntax)
		return
	}
	e, ok := c.read(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	c.value(e)
	if e != nil && change && e.Expire() != at {
		c.DB.SetExpire(e, at)
		if at == 0 {
			c.Instead("PERSIST", e.Key())
		} else {
			c.Instead("PEXPIREAT", e.Key(), strconv.FormatInt(at, 10))
		}
	}
}

func mget(c *Ctx) {
	c.Out.Array(len(c.Args) - 1)
	for _, k := range c.Args[1:] {
		if e := c.DB.Read(k); e != nil && e.Kind() == keyspace.String {
			c.Out.Bulk(e.Str)
		} else {
			c.Out.Null()
		}
	}
}

func mset(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.Out.Error("ERR wrong number of arguments for 'mset' command")
		return
	}
	for i := 1; i < len(c.Args); i += 2 {
		c.DB.SetString(c.Args[i], c.Args[i+1], false)
	}
	c.ok()
}

func msetnx(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.Out.Error("ERR wrong number of arguments for 'msetnx' command")
		return
	}
	for i := 1; i < len(c.Args); i += 2 {
		if c.DB.Find(c.Args[i]) != nil {
			c.Out.Bool(false)
			return
		}
	}
	for i := 1; i < len(c.Args); i += 2 {
		c.DB.SetString(c.Args[i], c.Args[i+1], false)
	}
	c.Out.Bool(true)
}

func appendTo(c *Ctx) {
	e, ok := c.kind(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	if e != nil && len(e.Str)+len(c.Args[2]) > MaxString {
		c.fail(ErrTooLong)
		return
	}
	if e == nil {
		e = c.DB.Create(c.Args[1], keyspace.String)
	}
	e.Str = append(e.Str, c.Args[2]...)
	c.DB.Changed(e)
	c.Out.Int(int64(len(e.Str)))
}

func strlen(c *Ctx) {
	e, ok := c.read(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	if e == nil {
		c.Out.Int(0)
		return
	}
	c.Out.Int(int64(len(e.Str)))
}

func getrange(c *Ctx) {
	from, ok1 := resp.ParseInt(c.Args[2])
	to, ok2 := resp.ParseInt(c.Args[3])
	if !ok1 || !ok2 {
		c.fail(ErrNotInt)
		return
	}
	e, ok := c.read(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	if e == nil {
		c.Out.Bulk(nil)
		return
	}
	first, last := clamp(from, to, len(e.Str))
	if to < 0 && (from >= 0 || from <= to) {
		last = max(last, 0) // an end before the begin of the string is its first byte
	}
	if first > last || len(e.Str) == 0 {
		c.Out.Bulk(nil)
		return
	}
	c.Out.Bulk(e.Str[first : last+1])
}

func setrange(c *Ctx) {
	at, ok := c.integer(2)
	if !ok {
		return
	}
	if at < 0 {
		c.Out.Error("ERR offset is out of range")
		return
	}
	e, ok := c.kind(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	v := c.Args[3]
	if len(v) == 0 {
		n := 0
		if e != nil {
			n = len(e.Str)
		}
		c.Out.Int(int64(n))
		return
	}
	if at > MaxString || at+int64(len(v)) > MaxString {
		c.fail(ErrTooLong)
		return
	}
	if e == nil {
		e = c.DB.Create(c.Args[1], keyspace.String)
	}
	if end := int(at) + len(v); end > len(e.Str) {
		e.Str = append(e.Str, make([]byte, end-len(e.Str))...)
	}
	copy(e.Str[at:], v)
	c.DB.Changed(e)
	c.Out.Int(int64(len(e.Str)))
}

func incr(c *Ctx) { c.add(1) }

func decr(c *Ctx) { c.add(-1) }

func incrby(c *Ctx) {
	if n, ok := c.integer(2); ok {
		c.add(n)
	}
}

func decrby(c *Ctx) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	if n == math.MinInt64 {
		c.Out.Error("ERR decrement would overflow")
		return
	}
	c.add(-n)
}

func (c *Ctx) add(by int64) {
	e, ok := c.kind(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	n := int64(0)
	if e != nil {
		if n, ok = resp.ParseInt(e.Str); !ok {
			c.fail(ErrNotInt)
			return
		}
	}
	if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
		c.fail(ErrOverflow)
		return
	}
	n += by
	if e == nil {
		e = c.DB.Create(c.Args[1], keyspace.String)
	}
	e.Str = strconv.AppendInt(e.Str[:0], n, 10)
	c.DB.Changed(e)
	c.Out.Int(n)
}

func incrbyfloat(c *Ctx) {
	e, ok := c.kind(c.Args[1], keyspace.String)
	if !ok {
		return
	}
	by, ok := c.number(2)
	if !ok {
		return
	}
	f := 0.0
	if e != nil {
		if f, ok = parseFloat(e.Str); !ok {
			c.fail(ErrNotFloat)
			return
		}
	}
	if f += by; math.IsNaN(f) || math.IsInf(f, 0) {
		c.fail(ErrNaN)
		return
	}
	text := resp.FormatDouble(f)
	c.DB.SetString(c.Args[1], []byte(text), true)
	c.Instead("SET", string(c.Args[1]), text, "KEEPTTL")
	c.Out.BulkString(text)
}
