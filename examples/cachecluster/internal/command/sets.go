package command

import (
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

func sadd(c *Ctx) {
	e, ok := c.kind(c.Args[1], keyspace.Set)
	if !ok {
		return
	}
	if e == nil {
		e = c.DB.Create(c.Args[1], keyspace.Set)
	}
	n := int64(0)
	for _, m := range c.Args[2:] {
		if e.Dict().Put(m, nil) {
			n++
		}
	}
	if n > 0 {
		c.DB.Changed(e)
	}
	c.Out.Int(n)
}

func srem(c *Ctx) { c.unfield(keyspace.Set) }

// unfield removes members of a set or fields of a hash.
func (c *Ctx) unfield(k keyspace.Kind) {
	e, ok := c.kind(c.Args[1], k)
	if !ok {
		return
	}
	n := int64(0)
	if e != nil {
		for _, m := range c.Args[2:] {
			if e.Dict().Delete(m) {
				n++
			}
		}
		if n > 0 {
			c.DB.Changed(e)
		}
	}
	c.Out.Int(n)
}

// dict reads the dict of a key, an empty one if there is none.
func (c *Ctx) dict(key []byte, k keyspace.Kind) (*keyspace.Dict, bool) {
	e, ok := c.read(key, k)
	if !ok {
		return nil, false
	}
	if e == nil {
		return &keyspace.Dict{}, true
	}
	return e.Dict(), true
}

func smembers(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Set)
	if !ok {
		return
	}
	c.Out.Set(d.Len())
	for i := range d.Len() {
		c.Out.BulkString(d.At(i).Name)
	}
}

func sismember(c *Ctx) {
	if d, ok := c.dict(c.Args[1], keyspace.Set); ok {
		_, there := d.Get(c.Args[2])
		c.Out.Bool(there)
	}
}

func smismember(c *Ctx) {
	d, ok := c.dict(c.Args[1], keyspace.Set)
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, m := range c.Args[2:] {
		_, there := d.Get(m)
		c.Out.Bool(there)
	}
}

func scard(c *Ctx) {
	if d, ok := c.dict(c.Args[1], keyspace.Set); ok {
		c.Out.Int(int64(d.Len()))
	}
}

func spop(c *Ctx) {
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
	e, ok := c.kind(c.Args[1], keyspace.Set)
	if !ok {
		return
	}
	if e == nil || n == 0 {
		if many {
			c.Out.Set(0)
		} else {
			c.Out.Null()
		}
		return
	}
	d := e.Dict()
	n = min(n, int64(d.Len()))
	if many {
		c.Out.Set(int(n))
	}
	gone := []string{"SREM", e.Key()}
	for range n {
		name := d.At(c.DB.Rand(d.Len())).Name
		d.Delete([]byte(name))
		gone = append(gone, name)
		c.Out.BulkString(name)
	}
	c.DB.Changed(e)
	c.Instead(gone...)
}

func srandmember(c *Ctx) {
	if len(c.Args) > 3 {
		c.fail(ErrSyntax)
		return
	}
	d, ok := c.dict(c.Args[1], keyspace.Set)
	if !ok {
		return
	}
	if len(c.Args) == 2 {
		if d.Len() == 0 {
			c.Out.Null()
			return
		}
		c.Out.BulkString(d.At(c.DB.Rand(d.Len())).Name)
		return
	}
	n, ok := c.integer(2)
	switch {
	case !ok:
	case n < -1<<20:
		c.fail(ErrRange)
	case d.Len() == 0:
		c.Out.Array(0)
	case n < 0: // with repetitions
		c.Out.Array(int(-n))
		for range -n {
			c.Out.BulkString(d.At(c.DB.Rand(d.Len())).Name)
		}
	default:
		// A window that begins anywhere is different members; a full shuffle is not promised.
		n = min(n, int64(d.Len()))
		c.Out.Array(int(n))
		for i, at := 0, c.DB.Rand(d.Len()); i < int(n); i++ {
			c.Out.BulkString(d.At((at + i) % d.Len()).Name)
		}
	}
}

func smove(c *Ctx) {
	src, ok := c.kind(c.Args[1], keyspace.Set)
	if !ok {
		return
	}
	if src == nil {
		c.Out.Bool(false)
		return
	}
	dst, ok := c.kind(c.Args[2], keyspace.Set)
	if !ok {
		return
	}
	if _, there := src.Dict().Get(c.Args[3]); !there || src == dst {
		c.Out.Bool(there)
		return
	}
	src.Dict().Delete(c.Args[3])
	if dst == nil {
		dst = c.DB.Create(c.Args[2], keyspace.Set)
	}
	dst.Dict().Put(c.Args[3], nil)
	c.DB.Changed(dst)
	c.DB.Changed(src)
	c.Out.Bool(true)
}

// combine is the intersection, union or difference of sets.
func (c *Ctx) combine(op byte, keys [][]byte) (*keyspace.Dict, bool) {
	var dicts []*keyspace.Dict
	for _, k := range keys {
		d, ok := c.dict(k, keyspace.Set)
		if !ok {
			return nil, false
		}
		dicts = append(dicts, d)
	}
	out := &keyspace.Dict{}
	for i, d := range dicts {
		if i > 0 && op != 'u' {
			break
		}
		for j := range d.Len() {
			name := []byte(d.At(j).Name)
			if op == 'u' || everywhere(dicts[1:], name, op == 'i') {
				out.Put(name, nil)
			}
		}
	}
	return out, true
}

// everywhere tells whether a name is in all dicts, or in none if in is not set.
func everywhere(dicts []*keyspace.Dict, name []byte, in bool) bool {
	for _, d := range dicts {
		if _, there := d.Get(name); there != in {
			return false
		}
	}
	return true
}

func sinter(c *Ctx)      { c.combined('i') }
func sunion(c *Ctx)      { c.combined('u') }
func sdiff(c *Ctx)       { c.combined('d') }
func sinterstore(c *Ctx) { c.storeCombined('i') }
func sunionstore(c *Ctx) { c.storeCombined('u') }
func sdiffstore(c *Ctx)  { c.storeCombined('d') }

func (c *Ctx) combined(op byte) {
	d, ok := c.combine(op, c.Args[1:])
	if !ok {
		return
	}
	c.Out.Set(d.Len())
	for i := range d.Len() {
		c.Out.BulkString(d.At(i).Name)
	}
}

func (c *Ctx) storeCombined(op byte) {
	d, ok := c.combine(op, c.Args[2:])
	if !ok {
		return
	}
	c.DB.Delete(c.Args[1])
	if d.Len() > 0 {
		e := c.DB.Create(c.Args[1], keyspace.Set)
		for i := range d.Len() {
			e.Dict().Put([]byte(d.At(i).Name), nil)
		}
		c.DB.Changed(e)
	}
	c.Out.Int(int64(d.Len()))
}

func sscan(c *Ctx) { c.scanDict(keyspace.Set) }

func hscan(c *Ctx) { c.scanDict(keyspace.Hash) }

func (c *Ctx) scanDict(k keyspace.Kind) {
	o, ok := c.scan(2)
	if !ok {
		return
	}
	d, ok := c.dict(c.Args[1], k)
	if !ok {
		return
	}
	var found []string
	next := d.Scan(o.cursor, o.count, func(f keyspace.Field) {
		if !o.takes(f.Name) {
			return
		}
		found = append(found, f.Name)
		if k == keyspace.Hash {
			found = append(found, string(f.Value))
		}
	})
	c.page(next, found)
}

func zscan(c *Ctx) {
	o, ok := c.scan(2)
	if !ok {
		return
	}
	z, ok := c.sorted(c.Args[1])
	if !ok {
		return
	}
	// All at once: in an order by score a member may move past any cursor.
	var found []string
	if z != nil {
		z.Range(0, z.Len(), false, func(name string, score float64) bool {
			if o.takes(name) {
				found = append(found, name, resp.FormatDouble(score))
			}
			return true
		})
	}
	c.page(0, found)
}
