package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

// Clients use a key in one way each, named by its first letter:
//
//	s  sets: read, put back with the context and one element more
//	b  blind puts, so that siblings pile up; now and then resolved by s's way
//	r  registers: plain puts and deletes, where the coordinator reads first
//	d  put and delete with contexts
//	t  plain puts with a time to live
//	l  as s, but loosely: sloppy quorums, W = 1
var kinds = "sbrdtl"

// outcome of a request.
type outcome int

const (
	unknown outcome = iota
	acked
	refused // surely nothing happened
)

// op is one request as its client knows it.
type op struct {
	key        string
	kind       core.Action
	strict     bool // at a quorum, of owners alone
	value      string
	all        bool     // covers whatever the coordinator read
	covers     []string // values whose context it carried
	ttl        int64
	start, end int64 // in the order of the run
	at, until  int64 // world time
	outcome    outcome
	saw        []string // by a read
	page       bool     // a read that was part of a scan
}

type client struct {
	s     *sim
	name  string
	count int
	held  map[string]*api.Read // what it read last, by key; contexts are kept for long
}

func (s *sim) makeClients() {
	for i := range 16 {
		s.keys = append(s.keys, fmt.Sprintf("%c%d", kinds[i%len(kinds)], i))
	}
	for i := range 6 {
		c := &client{s: s, name: string(rune('A' + i)), held: map[string]*api.Read{}}
		s.clients = append(s.clients, c)
		s.w.After(s.w.Between(0, 200), c.next)
	}
}

func (s *sim) tickOrder() int64 { s.order++; return s.order }

// next does one thing and then the next.
func (c *client) next() {
	s := c.s
	if s.over {
		return
	}
	again := func() { s.w.After(s.w.Between(0, 150), c.next) }
	key := s.keys[s.w.Rand.IntN(len(s.keys))]
	switch x := s.w.Rand.IntN(20); {
	case x == 0:
		c.scan(again)
	case x < 5:
		c.read(key, again)
	case x < 8:
		// Again at once, hardly from the same node: time must not go back between.
		c.read(key, func() { c.read(key, again) })
	default:
		c.write(key, again)
	}
}

func (c *client) request(r core.Request, then func(*core.Done)) {
	r.Timeout = c.s.w.Between(200, 2000)
	c.s.anybody().ask(r, then)
}

func (c *client) begin(o op) *op {
	p := &o
	p.start, p.at = c.s.tickOrder(), c.s.w.Now()
	if o.kind != core.Scan {
		c.s.history[o.key] = append(c.s.history[o.key], p)
	}
	return p
}

func (c *client) finish(o *op, d *core.Done) {
	o.end, o.until = c.s.tickOrder(), c.s.w.Now()
	switch {
	case d == nil:
		c.s.res.Failed++
	case d.Err == nil:
		o.outcome = acked
		if o.kind != core.Get {
			c.s.res.Acked++
		}
	default:
		c.s.res.Failed++
		for _, sure := range []error{api.ErrCondition, api.ErrContext, api.ErrSiblings, api.ErrUnavailable, api.ErrNoSpace, api.ErrDamaged} {
			if errors.Is(d.Err, sure) {
				o.outcome = refused
			}
		}
		if errors.Is(d.Err, api.ErrContext) {
			c.s.fail("context of %s refused: %v", o.key, d.Err)
		}
	}
	if d != nil && d.Err != nil {
		c.s.note("client %s: %v (%v)", c.name, o, d.Err)
	} else {
		c.s.note("client %s: %v", c.name, o)
	}
}

func (c *client) read(key string, then func()) {
	o := c.begin(op{key: key, kind: core.Get, strict: c.s.w.Chance(0.9)})
	r := core.Request{Action: core.Get, Key: []byte(key)}
	if !o.strict {
		r.Read.Level = api.One
	}
	c.request(r, func(d *core.Done) {
		if d != nil && d.Err == nil {
			o.saw = values(d.Read)
			c.held[key] = d.Read
			if o.strict {
				c.s.res.Reads++
			}
		}
		c.finish(o, d)
		then()
	})
}

func values(r *api.Read) (vs []string) {
	for _, v := range r.Values {
		vs = append(vs, string(v.Data))
	}
	return vs
}

func (c *client) write(key string, then func()) {
	s := c.s
	kind := key[0]
	loose := kind == 'l' && s.w.Chance(0.7)
	c.count++
	o := op{key: key, kind: core.Put, strict: !loose, value: fmt.Sprintf("%s%d", c.name, c.count)}
	var w api.WriteOptions
	if loose {
		w.Sloppy = s.w.Chance(0.7)
		if !s.lossy && s.w.Chance(0.5) {
			w.Level = api.One // a single copy is as safe as its disk
		}
	}
	switch {
	case kind == 'r' || kind == 't':
		o.all = true
		if kind == 't' {
			w.TTL = time.Duration(s.w.Between(1000, 20_000)) * time.Millisecond
			o.ttl = w.TTL.Milliseconds()
		} else if s.w.Chance(0.3) {
			o.kind = core.Delete
		} else if s.w.Chance(0.2) {
			w.If = api.IfAbsent
		}
	case kind == 'b' && s.w.Chance(0.8):
		w.Mode = api.Blind
	default:
		w.Mode = api.Given
		held := c.held[key]
		if held == nil || s.w.Chance(0.7) {
			c.read(key, func() {
				if c.held[key] == nil {
					then()
					return
				}
				c.put(o, w, then)
			})
			return
		}
	}
	c.put(o, w, then)
}

func (c *client) put(o op, w api.WriteOptions, then func()) {
	if w.Mode == api.Given {
		held := c.held[o.key]
		w.Context, o.covers = held.Context, values(held)
		if o.key[0] == 'd' && c.s.w.Chance(0.5) {
			o.kind = core.Delete
		}
	}
	if o.kind == core.Delete {
		o.value = ""
	}
	p := c.begin(o)
	c.request(core.Request{Action: p.kind, Key: []byte(p.key), Value: []byte(p.value), Write: w}, func(d *core.Done) {
		c.finish(p, d)
		then()
	})
}

// scan reads the whole store by pages.
func (c *client) scan(then func()) {
	pages := []*op{}
	all := c.begin(op{kind: core.Scan})
	var after []byte
	seen := map[string]bool{}
	var next func()
	next = func() {
		start, at := c.s.tickOrder(), c.s.w.Now()
		c.request(core.Request{Action: core.Scan, Scan: api.ScanOptions{After: after, Limit: int(c.s.w.Between(1, 8))}}, func(d *core.Done) {
			if d == nil || d.Err != nil {
				c.s.res.Failed++
				then()
				return
			}
			for _, e := range d.Page.Entries {
				k := string(e.Key)
				if seen[k] || k <= string(after) {
					c.s.fail("a scan shows %s twice or out of order", k)
				}
				seen[k] = true
				pages = append(pages, &op{
					key: k, kind: core.Get, strict: true, page: true, outcome: acked, saw: values(&e.Read),
					start: start, end: c.s.tickOrder(), at: at, until: c.s.w.Now(),
				})
			}
			if after = d.Page.Next; after != nil {
				next()
				return
			}
			for _, key := range c.s.keys {
				if !seen[key] {
					// An empty read, as of the whole scan.
					pages = append(pages, &op{
						key: key, kind: core.Get, strict: true, page: true, outcome: acked,
						start: all.start, end: c.s.tickOrder(), at: all.at, until: c.s.w.Now(),
					})
				}
			}
			for _, p := range pages {
				c.s.history[p.key] = append(c.s.history[p.key], p)
			}
			c.s.note("client %s: scan of %d keys", c.name, len(seen))
			then()
		})
	}
	next()
}

// String shows an op in the log.
func (o *op) String() string {
	how := [...]string{"unknown", "ok", "refused"}[o.outcome]
	strict := map[bool]string{true: "", false: " loose"}[o.strict]
	switch {
	case o.kind == core.Get:
		return fmt.Sprintf("[%d,%d] get %s%s: %v %s", o.start, o.end, o.key, strict, o.saw, how)
	case o.all:
		return fmt.Sprintf("[%d,%d] put %s %q over what is there%s: %s", o.start, o.end, o.key, o.value, strict, how)
	default:
		return fmt.Sprintf("[%d,%d] put %s %q over %v%s: %s", o.start, o.end, o.key, o.value, o.covers, strict, how)
	}
}
