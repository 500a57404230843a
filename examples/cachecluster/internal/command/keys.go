package command

import (
	"math"
	"strconv"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/snapshot"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// timeOption is the unit of SET's EX ('S'), PX ('M'), EXAT ('s') and PXAT ('m'), 0 for
// another word; small letters are times of the clock.
func timeOption(word []byte) byte {
	for w, unit := range map[string]byte{"EX": 'S', "PX": 'M', "EXAT": 's', "PXAT": 'm'} {
		if is(word, w) {
			return unit
		}
	}
	return 0
}

// deadline reads a time to live, or a time, in a unit of timeOption, as Unix milliseconds
// above 0. It has answered if it returns false.
func (c *Ctx) deadline(arg []byte, unit byte) (int64, bool) {
	n, ok := resp.ParseInt(arg)
	if !ok {
		c.fail(ErrNotInt)
		return 0, false
	}
	at, ok := c.moment(n, unit)
	if !ok || n <= 0 {
		c.fail(ErrExpire)
		return 0, false
	}
	return at, true
}

// moment is the time n units from now, or at n, and whether it can be told.
func (c *Ctx) moment(n int64, unit byte) (int64, bool) {
	if unit == 'S' || unit == 's' {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			return 0, false
		}
		n *= 1000
	}
	if unit == 'S' || unit == 'M' {
		now := c.DB.Now()
		if n > math.MaxInt64-now {
			return 0, false
		}
		n += now
	}
	return n, true
}

func expire(c *Ctx)    { c.expireIn('S') }
func pexpire(c *Ctx)   { c.expireIn('M') }
func expireat(c *Ctx)  { c.expireIn('s') }
func pexpireat(c *Ctx) { c.expireIn('m') }

func (c *Ctx) expireIn(unit byte) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	at, ok := c.moment(n, unit)
	if !ok {
		c.fail(ErrExpire)
		return
	}
	var nx, xx, gt, lt bool
	for _, a := range c.Args[3:] {
		switch {
		case is(a, "NX"):
			nx = true
		case is(a, "XX"):
			xx = true
		case is(a, "GT"):
			gt = true
		case is(a, "LT"):
			lt = true
		default:
			c.fail(ErrSyntax)
			return
		}
	}
	if nx && (xx || gt || lt) || gt && lt {
		c.Out.Error("ERR NX and XX, GT or LT options at the same time are not compatible")
		return
	}
	e := c.DB.Find(c.Args[1])
	if e == nil {
		c.Out.Bool(false)
		return
	}
	old := e.Expire()
	if nx && old != 0 || xx && old == 0 || gt && (old == 0 || at <= old) || lt && old != 0 && at >= old {
		c.Out.Bool(false)
		return
	}
	if at <= c.DB.Now() {
		c.DB.Delete(c.Args[1])
		c.Instead("DEL", string(c.Args[1]))
	} else {
		c.DB.SetExpire(e, at)
		c.Instead("PEXPIREAT", string(c.Args[1]), strconv.FormatInt(at, 10))
	}
	c.Out.Bool(true)
}

func ttl(c *Ctx) { c.left(1000, true) }

func pttl(c *Ctx) { c.left(1, true) }

func expiretime(c *Ctx) { c.left(1000, false) }

func pexpiretime(c *Ctx) { c.left(1, false) }

func (c *Ctx) left(unit int64, fromNow bool) {
	e := c.DB.Peek(c.Args[1])
	switch {
	case e == nil:
		c.Out.Int(-2)
	case e.Expire() == 0:
		c.Out.Int(-1)
	case fromNow:
		left := e.Expire() - c.DB.Now()
		c.Out.Int(left/unit + (left%unit+unit/2)/unit)
	default:
		c.Out.Int(e.Expire() / unit)
	}
}

func persist(c *Ctx) {
	e := c.DB.Find(c.Args[1])
	if e == nil || e.Expire() == 0 {
		c.Out.Bool(false)
		return
	}
	c.DB.SetExpire(e, 0)
	c.Out.Bool(true)
}

func del(c *Ctx) {
	n := int64(0)
	for _, k := range c.Args[1:] {
		if c.DB.Delete(k) {
			n++
		}
	}
	c.Out.Int(n)
}

func exists(c *Ctx) {
	n := int64(0)
	for _, k := range c.Args[1:] {
		if c.DB.Read(k) != nil {
			n++
		}
	}
	c.Out.Int(n)
}

func typeOf(c *Ctx) {
	if e := c.DB.Peek(c.Args[1]); e != nil {
		c.Out.Status(e.Kind().String())
	} else {
		c.Out.Status("none")
	}
}

func keys(c *Ctx) {
	var found []string
	c.DB.All(func(e *keyspace.Entry) bool {
		if Match(string(c.Args[1]), e.Key()) {
			found = append(found, e.Key())
		}
		return true
	})
	c.Out.Array(len(found))
	for _, k := range found {
		c.Out.BulkString(k)
	}
}

func randomkey(c *Ctx) {
	if e := c.DB.Random(); e != nil {
		c.Out.BulkString(e.Key())
	} else {
		c.Out.Null()
	}
}

func rename(c *Ctx) {
	e := c.DB.Find(c.Args[1])
	if e == nil {
		c.fail(ErrNoKey)
		return
	}
	c.DB.Rename(e, c.Args[2])
	c.ok()
}

func renamenx(c *Ctx) {
	e := c.DB.Find(c.Args[1])
	if e == nil {
		c.fail(ErrNoKey)
		return
	}
	if c.DB.Find(c.Args[2]) != nil {
		c.Out.Bool(false)
		return
	}
	c.DB.Rename(e, c.Args[2])
	c.Out.Bool(true)
}

func copyKey(c *Ctx) {
	replace := false
	for _, a := range c.Args[3:] {
		if !is(a, "REPLACE") {
			c.fail(ErrSyntax)
			return
		}
		replace = true
	}
	if string(c.Args[1]) == string(c.Args[2]) {
		c.Out.Error("ERR source and destination objects are the same")
		return
	}
	e := c.DB.Find(c.Args[1])
	if e == nil || !replace && c.DB.Find(c.Args[2]) != nil {
		c.Out.Bool(false)
		return
	}
	b := snapshot.AppendEntry(nil, e)
	at := e.Expire()
	c.DB.Delete(c.Args[2])
	if err := snapshot.Restore(c.DB, c.Args[2], b, at); err != nil {
		c.fail(ErrPayload)
		return
	}
	c.Out.Bool(true)
}

func dbsize(c *Ctx) { c.Out.Int(int64(c.DB.Len())) }

func flush(c *Ctx) {
	if len(c.Args) > 2 || len(c.Args) == 2 && !is(c.Args[1], "ASYNC") && !is(c.Args[1], "SYNC") {
		c.fail(ErrSyntax)
		return
	}
	c.DB.Clear()
	c.DB.Dirty++
	c.ok()
}

func touch(c *Ctx) {
	n := int64(0)
	for _, k := range c.Args[1:] {
		if c.DB.Find(k) != nil {
			n++
		}
	}
	c.Out.Int(n)
}

func object(c *Ctx) {
	e := c.DB.Peek(c.Args[2])
	switch {
	case e == nil:
		c.fail(ErrNoKey)
	case is(c.Args[1], "ENCODING"):
		c.Out.BulkString(encoding(e))
	case is(c.Args[1], "FREQ"):
		c.Out.Int(int64(e.Freq()))
	case is(c.Args[1], "REFCOUNT"):
		c.Out.Int(1)
	default:
		c.fail(ErrSyntax)
	}
}

func encoding(e *keyspace.Entry) string {
	switch e.Kind() {
	case keyspace.List:
		return "ring"
	case keyspace.Set, keyspace.Hash:
		return "dict"
	case keyspace.ZSet:
		return "skiplist"
	}
	return "raw"
}

func memory(c *Ctx) {
	if !is(c.Args[1], "USAGE") || len(c.Args) < 3 {
		c.fail(ErrSyntax)
		return
	}
	if e := c.DB.Peek(c.Args[2]); e != nil {
		c.Out.Int(e.Size())
	} else {
		c.Out.Null()
	}
}

func dump(c *Ctx) {
	if e := c.DB.Read(c.Args[1]); e != nil {
		c.Out.Bulk(snapshot.AppendEntry(nil, e))
	} else {
		c.Out.Null()
	}
}

func restore(c *Ctx) {
	n, ok := c.integer(2)
	if !ok {
		return
	}
	replace, unit := false, byte('M')
	for _, a := range c.Args[4:] {
		switch {
		case is(a, "REPLACE"):
			replace = true
		case is(a, "ABSTTL"):
			unit = 'm'
		default:
			c.fail(ErrSyntax)
			return
		}
	}
	at := int64(0)
	if n != 0 {
		if at, ok = c.moment(n, unit); !ok || n < 0 {
			c.fail(ErrExpire)
			return
		}
	}
	key := c.Args[1]
	there := c.DB.Find(key) != nil
	if there && !replace {
		c.fail(ErrBusy)
		return
	}
	// It is read beside the keyspace first: what cannot be read must not cost the old value.
	scratch, err := keyspace.New(keyspace.Options{})
	if err == nil {
		err = snapshot.Restore(scratch, key, c.Args[3], 0)
	}
	if err != nil {
		c.fail(ErrPayload)
		return
	}
	c.DB.Delete(key)
	if at != 0 && at <= c.DB.Now() {
		c.Instead("DEL", string(key))
		c.ok()
		return
	}
	if err := snapshot.Restore(c.DB, key, c.Args[3], at); err != nil {
		c.fail(ErrPayload)
		return
	}
	c.Instead("RESTORE", string(key), strconv.FormatInt(at, 10), string(c.Args[3]), "ABSTTL", "REPLACE")
	c.ok()
}

// scanOptions are MATCH, COUNT and TYPE.
type scanOptions struct {
	cursor uint64
	match  string // empty: everything
	count  int
	kind   string
}

// scan reads the arguments of the SCAN family from the i-th on.
func (c *Ctx) scan(i int) (o scanOptions, ok bool) {
	n, err := strconv.ParseUint(string(c.Args[i]), 10, 64)
	if err != nil {
		c.fail(ErrCursor)
		return o, false
	}
	o = scanOptions{cursor: n, count: 10}
	for i++; i < len(c.Args); i += 2 {
		if i+1 == len(c.Args) {
			c.fail(ErrSyntax)
			return o, false
		}
		switch v := c.Args[i+1]; {
		case is(c.Args[i], "MATCH"):
			o.match = string(v)
		case is(c.Args[i], "TYPE"):
			o.kind = string(v)
		case is(c.Args[i], "COUNT"):
			n, ok := resp.ParseInt(v)
			if !ok {
				c.fail(ErrNotInt)
				return o, false
			}
			if n < 1 {
				c.fail(ErrSyntax)
				return o, false
			}
			o.count = int(min(n, 1<<20))
		default:
			c.fail(ErrSyntax)
			return o, false
		}
	}
	return o, true
}

func (o scanOptions) takes(name string) bool { return o.match == "" || Match(o.match, name) }

// page answers a page of a scan.
func (c *Ctx) page(cursor uint64, items []string) {
	c.Out.Array(2)
	c.Out.BulkString(strconv.FormatUint(cursor, 10))
	c.Out.Array(len(items))
	for _, s := range items {
		c.Out.BulkString(s)
	}
}

func scan(c *Ctx) {
	o, ok := c.scan(1)
	if !ok {
		return
	}
	var found []string
	next := c.DB.Scan(o.cursor, o.count, func(e *keyspace.Entry) {
		if o.takes(e.Key()) && (o.kind == "" || is([]byte(o.kind), e.Kind().String())) {
			found = append(found, e.Key())
		}
	})
	c.page(next, found)
}

// Match tells whether a name fits a pattern of *, ?, [classes] and \escapes, in time that
// grows with the product of their lengths at most.
func Match(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0 // where to go on after a failure: one more byte for the last star
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, n
			p++
			continue
		}
		if p < len(pattern) {
			if size, ok := matchOne(pattern[p:], name[n]); ok {
				p += size
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches the first element of a pattern with a byte, and returns its length.
func matchOne(p string, b byte) (size int, ok bool) {
	switch {
	case p[0] == '?':
		return 1, true
	case p[0] == '\\' && len(p) > 1:
		return 2, p[1] == b
	case p[0] == '[':
		return matchClass(p, b)
	}
	return 1, p[0] == b
}

func matchClass(p string, b byte) (size int, ok bool) {
	i, not := 1, false
	if i < len(p) && p[i] == '^' {
		not = true
		i++
	}
	for i < len(p) && p[i] != ']' {
		if p[i] == '\\' && i+1 < len(p) {
			i++
		}
		lo, hi := p[i], p[i]
		if i+2 < len(p) && p[i+1] == '-' {
			hi = p[i+2]
			i += 2
		}
		if min(lo, hi) <= b && b <= max(lo, hi) {
			ok = true
		}
		i++
	}
	return min(i+1, len(p)), ok != not
}
