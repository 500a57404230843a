// Package redisapi serves a node in the Redis protocol, so that redis-cli and every Redis
// client work: GET, SET (EX, PX, NX, XX, KEEPTTL, GET), DEL, EXISTS, MGET, SCAN (MATCH,
// COUNT), TTL, PTTL, EXPIRE, PEXPIRE, PERSIST, TYPE, STRLEN, INFO, and of the connection
// PING, ECHO, HELLO, CLIENT, COMMAND, SELECT, RESET, QUIT.
//
// Redis knows one value to a key. Where a key has siblings, GET returns the one that was
// written last by the replicas' clocks, and SET replaces all that its coordinator reads.
// Clients that want more have
//
//	KV.GET key                    all siblings: the context, then each value
//	KV.PUT key value context      replaces what the context has seen; "" replaces nothing
//	KV.LEVEL one|quorum|all       the consistency of this connection's commands from now on
//
// NX and XX are judged by what the coordinator reads: two that race may both succeed and
// end up as siblings.
package redisapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// Options configures a Handler.
type Options struct {
	Store   api.Store        // required
	Info    func() string    // what INFO says, in sections of "key:value" lines; nil: little
	Timeout time.Duration    // of one command (5 s)
	Now     func() time.Time // for TTL (time.Now)
	Logger  *slog.Logger     // nil: silent
}

// Handler answers commands; its Handle is a resp.Handler.
type Handler struct {
	o       Options
	cursors cursors

	mu     sync.Mutex
	levels map[*resp.Conn]api.Level // guarded by mu: connections that chose one
}

// New makes a handler.
func New(o Options) *Handler {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Info == nil {
		o.Info = func() string { return "# Server\r\nredis_mode:standalone\r\n" }
	}
	return &Handler{o: o, levels: map[*resp.Conn]api.Level{}}
}

// Close forgets a connection; the server calls it when the connection ends.
func (h *Handler) Close(c *resp.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.levels, c)
}

func (h *Handler) level(c *resp.Conn) api.Level {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.levels[c]
}

// call is one command at work.
type call struct {
	h     *Handler
	c     *resp.Conn
	ctx   context.Context
	args  [][]byte // without the name
	level api.Level
}

// command says how to answer and how many arguments there may be; most of -1 is no limit.
type command struct {
	least, most int
	run         func(*call) error
}

var commands = map[string]command{
	"GET":      {1, 1, get},
	"SET":      {2, -1, set},
	"DEL":      {1, -1, del},
	"UNLINK":   {1, -1, del},
	"EXISTS":   {1, -1, exists},
	"MGET":     {1, -1, mget},
	"SCAN":     {1, -1, scan},
	"TTL":      {1, 1, func(x *call) error { return ttl(x, time.Second) }},
	"PTTL":     {1, 1, func(x *call) error { return ttl(x, time.Millisecond) }},
	"EXPIRE":   {2, 2, func(x *call) error { return expire(x, time.Second) }},
	"PEXPIRE":  {2, 2, func(x *call) error { return expire(x, time.Millisecond) }},
	"PERSIST":  {1, 1, persist},
	"TYPE":     {1, 1, typ},
	"STRLEN":   {1, 1, strlen},
	"INFO":     {0, -1, info},
	"KV.GET":   {1, 1, kvGet},
	"KV.PUT":   {3, 3, kvPut},
	"KV.LEVEL": {1, 1, kvLevel},
}

// Handle answers one command with one reply.
func (h *Handler) Handle(c *resp.Conn, args [][]byte) {
	cmd, ok := commands[string(args[0])]
	switch n := len(args) - 1; {
	case !ok:
		resp.Unknown(c, args[0])
		return
	case n < cmd.least || cmd.most >= 0 && n > cmd.most:
		resp.WrongArgs(c, args[0])
		return
	}
	ctx, cancel := context.WithTimeout(c.Context(), h.o.Timeout)
	defer cancel()
	x := &call{h: h, c: c, ctx: ctx, args: args[1:], level: h.level(c)}
	if err := cmd.run(x); err != nil {
		h.fail(c, args[0], err)
	}
}

// errReply is an error whose text is the reply as it stands.
type errReply string

func (e errReply) Error() string { return string(e) }

const (
	errSyntax  = errReply("ERR syntax error")
	errInteger = errReply("ERR value is not an integer or out of range")
)

// codes are the first words of replies to errors of the store.
var codes = []struct {
	err  error
	code string
}{
	{api.ErrUnavailable, "UNAVAILABLE"},
	{api.ErrUnknown, "UNKNOWN"},
	{context.DeadlineExceeded, "UNKNOWN"},
	{api.ErrNoSpace, "OOM"},
	{api.ErrDamaged, "IOERR"},
	{api.ErrSiblings, "SIBLINGS"},
}

// fail replies with an error. What is the client's fault is not logged; the rest is, once.
func (h *Handler) fail(c *resp.Conn, name []byte, err error) {
	if r, ok := errors.AsType[errReply](err); ok {
		c.Error(string(r))
		return
	}
	for _, e := range codes {
		if errors.Is(err, e.err) {
			h.o.Logger.Warn("kv: command failed", "command", string(name), "err", err)
			c.Error(e.code + " " + err.Error())
			return
		}
	}
	c.Error("ERR " + err.Error())
}

// read gets a key at the connection's level.
func (x *call) read(key []byte) (*api.Read, error) {
	return x.h.o.Store.Get(x.ctx, key, api.ReadOptions{Level: x.level})
}

// bulk replies with a value or its absence.
func (x *call) bulk(r *api.Read) {
	if v, ok := r.Newest(); ok {
		x.c.Bulk(v.Data)
		return
	}
	x.c.Null()
}

func get(x *call) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	x.bulk(r)
	return nil
}

func mget(x *call) error {
	// All first: an error half-way through an array could not be told any more.
	found := make([]*api.Read, len(x.args))
	for i, k := range x.args {
		var err error
		if found[i], err = x.read(k); err != nil {
			return err
		}
	}
	x.c.Array(len(found))
	for _, r := range found {
		x.bulk(r)
	}
	return nil
}

// each counts the keys for which f holds.
func (x *call) each(f func(key []byte) (bool, error)) error {
	n := int64(0)
	for _, k := range x.args {
		ok, err := f(k)
		if err != nil {
			return err
		}
		if ok {
			n++
		}
	}
	x.c.Int(n)
	return nil
}

func exists(x *call) error {
	return x.each(func(key []byte) (bool, error) {
		r, err := x.read(key)
		return err == nil && len(r.Values) > 0, err
	})
}

func del(x *call) error {
	return x.each(func(key []byte) (bool, error) {
		_, err := x.h.o.Store.Delete(x.ctx, key, api.WriteOptions{Level: x.level, If: api.IfPresent})
		if errors.Is(err, api.ErrCondition) {
			return false, nil
		}
		return err == nil, err
	})
}

func typ(x *call) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	if len(r.Values) == 0 {
		x.c.Status("none")
	} else {
		x.c.Status("string")
	}
	return nil
}

func strlen(x *call) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	v, _ := r.Newest()
	x.c.Int(int64(len(v.Data)))
	return nil
}

func info(x *call) error {
	x.c.BulkString(x.h.o.Info())
	return nil
}

func kvGet(x *call) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	x.c.Array(1 + len(r.Values))
	x.c.Bulk(r.Context)
	for _, v := range r.Values {
		x.c.Bulk(v.Data)
	}
	return nil
}

func kvPut(x *call) error {
	o := api.WriteOptions{Level: x.level, Mode: api.Given, Context: x.args[2]}
	if len(x.args[2]) == 0 {
		o.Mode = api.Blind
	}
	w, err := x.h.o.Store.Put(x.ctx, x.args[0], x.args[1], o)
	if err != nil {
		return err
	}
	x.c.Bulk(w.Context)
	return nil
}

func kvLevel(x *call) error {
	l, err := api.ParseLevel(string(x.args[0]))
	if err != nil {
		return err
	}
	x.h.mu.Lock()
	x.h.levels[x.c] = l
	x.h.mu.Unlock()
	x.c.Status("OK")
	return nil
}

// option reads the number behind an option that takes one.
func (x *call) option(i *int) (int64, error) {
	if *i++; *i >= len(x.args) {
		return 0, errSyntax
	}
	n, ok := resp.ParseInt(x.args[*i])
	if !ok {
		return 0, errInteger
	}
	return n, nil
}

func set(x *call) error {
	key, value := x.args[0], x.args[1]
	o := api.WriteOptions{Level: x.level}
	keep, old, timed := false, false, false
	for i := 2; i < len(x.args); i++ {
		switch opt := strings.ToUpper(string(x.args[i])); opt {
		case "NX", "XX":
			if o.If != api.Always {
				return errSyntax
			}
			if o.If = api.IfAbsent; opt == "XX" {
				o.If = api.IfPresent
			}
		case "EX", "PX":
			n, err := x.option(&i)
			if err != nil {
				return err
			}
			if timed {
				return errSyntax
			}
			timed = true
			if o.TTL, err = duration(n, opt == "EX"); err != nil {
				return errReply("ERR invalid expire time in 'set' command")
			}
		case "KEEPTTL":
			keep = true
		case "GET":
			old = true
		default:
			return errSyntax
		}
	}
	if keep && timed {
		return errSyntax
	}
	var before *api.Read
	if keep || old {
		var err error
		if before, err = x.read(key); err != nil {
			return err
		}
		if keep {
			o.TTL = x.left(before)
		}
	}
	_, err := x.h.o.Store.Put(x.ctx, key, value, o)
	failed := errors.Is(err, api.ErrCondition)
	switch {
	case err != nil && !failed:
		return err
	case old:
		x.bulk(before)
	case failed:
		x.c.Null()
	default:
		x.c.Status("OK")
	}
	return nil
}

// duration is n seconds or milliseconds, more than none.
func duration(n int64, seconds bool) (time.Duration, error) {
	unit := time.Millisecond
	if seconds {
		unit = time.Second
	}
	if n <= 0 || n > int64(1<<62/unit) {
		return 0, fmt.Errorf("%w: %d", api.ErrTTL, n)
	}
	return time.Duration(n) * unit, nil
}

// left is how long the value has to live; 0 for ever.
func (x *call) left(r *api.Read) time.Duration {
	v, ok := r.Newest()
	if !ok || v.Expires.IsZero() {
		return 0
	}
	return max(v.Expires.Sub(x.h.o.Now()), time.Millisecond)
}

func ttl(x *call, unit time.Duration) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	switch left := x.left(r); {
	case len(r.Values) == 0:
		x.c.Int(-2)
	case left == 0:
		x.c.Int(-1)
	default:
		x.c.Int(int64((left + unit/2) / unit))
	}
	return nil
}

// expire gives a key another time to live: it writes the value anew, replacing what it
// read. A time that has passed deletes the key, as in Redis.
func expire(x *call, unit time.Duration) error {
	n, ok := resp.ParseInt(x.args[1])
	if !ok {
		return errInteger
	}
	if n <= 0 {
		return del(&call{h: x.h, c: x.c, ctx: x.ctx, args: x.args[:1], level: x.level})
	}
	d, err := duration(n, unit == time.Second)
	if err != nil {
		return errReply("ERR invalid expire time in 'expire' command")
	}
	return rewrite(x, d)
}

func persist(x *call) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	if x.left(r) == 0 {
		x.c.Int(0)
		return nil
	}
	return rewrite(x, 0)
}

func rewrite(x *call, d time.Duration) error {
	r, err := x.read(x.args[0])
	if err != nil {
		return err
	}
	v, ok := r.Newest()
	if !ok {
		x.c.Int(0)
		return nil
	}
	o := api.WriteOptions{Level: x.level, Mode: api.Given, Context: r.Context, TTL: d}
	if _, err := x.h.o.Store.Put(x.ctx, x.args[0], v.Data, o); err != nil {
		return err
	}
	x.c.Int(1)
	return nil
}
