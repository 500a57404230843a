// Package redisapi serves ids in the Redis protocol, so that redis-cli and every Redis client
// can take them:
//
//	INCR key                  an id as an integer, whatever the key is called: a service that
//	                          counted with INCR gets ids without a change
//	GET NEXT                  an id as a string
//	ID.NEXT [encoding]        the same, in plain, decimal, base32, base62 or hex
//	ID.FILL n [encoding]      n increasing ids, at most 10,000, as an array of strings
//	ID.DECODE id [encoding]   its time (RFC 3339), node, sequence number and encodings
//	INFO                      the node
//
// and of the connection PING, ECHO, HELLO, CLIENT, COMMAND, SELECT, RESET, QUIT. Integers
// are for clients that keep 64 bits of them; those of JavaScript round.
//
// An error begins with ERR if the command is wrong, with CLOCK if the node's clock is, and
// with TRYAGAIN if the node has no worker id or no mark at the moment.
package redisapi

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Limits are of one command: none is longer than a few words.
var Limits = resp.Limits{Args: 16, Bulk: 4096, Command: 16384, Inline: 4096}

// Options configures a Handler.
type Options struct {
	Service api.Service   // required
	Info    func() string // what INFO says, in lines of "key:value"; nil: little
	Logger  *slog.Logger  // nil: silent
}

// Handler answers commands; its Handle is a resp.Handler.
type Handler struct{ o Options }

// New makes a handler.
func New(o Options) *Handler {
	if o.Info == nil {
		o.Info = func() string { return "# Server\r\nredis_mode:standalone\r\n" }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{o}
}

// command says how to answer and how many arguments there may be.
type command struct {
	least, most int
	run         func(h *Handler, c *resp.Conn, args []string) error
}

var commands = map[string]command{
	"INCR":      {1, 1, (*Handler).incr},
	"GET":       {1, 1, (*Handler).get},
	"ID.NEXT":   {0, 1, (*Handler).next},
	"ID.FILL":   {1, 2, (*Handler).fill},
	"ID.DECODE": {1, 2, (*Handler).decode},
	"INFO":      {0, 8, (*Handler).info},
}

// Handle answers one command with one reply.
func (h *Handler) Handle(c *resp.Conn, args [][]byte) {
	cmd, ok := commands[string(args[0])]
	switch n := len(args) - 1; {
	case !ok:
		resp.Unknown(c, args[0])
		return
	case n < cmd.least || n > cmd.most:
		resp.WrongArgs(c, args[0])
		return
	}
	words := make([]string, len(args)-1)
	for i, a := range args[1:] {
		words[i] = string(a)
	}
	if err := cmd.run(h, c, words); err != nil {
		c.Error(code(err) + " " + err.Error())
	}
}

var errKey = errors.New("idservice: the only key that can be read is NEXT")

// code is the first word of the reply to an error.
func code(err error) string {
	switch {
	case errors.Is(err, snowflake.ErrClock) && !errors.Is(err, api.ErrNoLease):
		return "CLOCK"
	case errors.Is(err, api.ErrNoLease), errors.Is(err, snowflake.ErrMark), errors.Is(err, snowflake.ErrLeaseLost):
		return "TRYAGAIN"
	}
	return "ERR"
}

func (h *Handler) one() (snowflake.ID, error) {
	var ids [1]snowflake.ID
	err := h.o.Service.Fill(ids[:])
	return ids[0], err
}

func (h *Handler) incr(c *resp.Conn, _ []string) error {
	id, err := h.one()
	if err == nil {
		c.Int(int64(id))
	}
	return err
}

func (h *Handler) get(c *resp.Conn, args []string) error {
	if !strings.EqualFold(args[0], "NEXT") {
		return errKey
	}
	return h.next(c, nil)
}

func (h *Handler) next(c *resp.Conn, args []string) error {
	f, err := format(args)
	if err != nil {
		return err
	}
	id, err := h.one()
	if err == nil {
		c.Bulk(f.Append(nil, id))
	}
	return err
}

func (h *Handler) fill(c *resp.Conn, args []string) error {
	n, err := api.ParseCount(args[0])
	if err != nil {
		return err
	}
	f, err := format(args[1:])
	if err != nil {
		return err
	}
	ids := make([]snowflake.ID, n)
	if err := h.o.Service.Fill(ids); err != nil {
		return err
	}
	c.Array(n)
	var buf []byte
	for _, id := range ids {
		buf = f.Append(buf[:0], id)
		c.Bulk(buf)
	}
	return nil
}

func (h *Handler) decode(c *resp.Conn, args []string) error {
	name := ""
	if len(args) > 1 {
		name = strings.ToLower(args[1])
	}
	d, err := api.Decode(h.o.Service.Layout(), args[0], name)
	if err != nil {
		return err
	}
	c.Map(3 + len(d.Encodings))
	pair := func(k, v string) { c.BulkString(k); c.BulkString(v) }
	pair("time", d.Time.Format(time.RFC3339Nano))
	pair("node", fmt.Sprint(d.Node))
	pair("sequence", fmt.Sprint(d.Sequence))
	for _, e := range d.Encodings {
		pair(e.Encoding, e.Text)
	}
	return nil
}

func (h *Handler) info(c *resp.Conn, _ []string) error {
	c.BulkString(h.o.Info())
	return nil
}

// format reads the name of an encoding, if there is one.
func format(args []string) (api.Format, error) {
	if len(args) == 0 {
		return api.ParseFormat("")
	}
	if args[0] == "" {
		return api.Format{}, api.ErrEncoding
	}
	return api.ParseFormat(strings.ToLower(args[0]))
}
