package redisapi

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// Redis's cursors are numbers, ours are keys: a cursor is a ticket for the key at which
// the scan goes on. Tickets are kept in a ring; one that has been overwritten by later
// scans is refused, rather than taken for another place.

const maxCursors = 1 << 14

type cursors struct {
	mu   sync.Mutex
	last uint64              // guarded by mu
	keys [maxCursors]*ticket // guarded by mu
}

type ticket struct {
	number uint64
	after  []byte
}

func (c *cursors) issue(after []byte) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.keys[c.last%maxCursors] = &ticket{c.last, after}
	return c.last
}

func (c *cursors) redeem(number uint64) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.keys[number%maxCursors]
	if t == nil || t.number != number {
		return nil, false
	}
	return t.after, true
}

func scan(x *call) error {
	cursor, err := strconv.ParseUint(string(x.args[0]), 10, 64)
	if err != nil {
		return errReply("ERR invalid cursor")
	}
	pattern, none := []byte("*"), false // none: of the type that was asked for
	o := api.ScanOptions{ReadOptions: api.ReadOptions{Level: x.level}, KeysOnly: true, Limit: 10}
	for i := 1; i < len(x.args); i++ {
		switch opt := strings.ToUpper(string(x.args[i])); opt {
		case "MATCH":
			if i++; i >= len(x.args) {
				return errSyntax
			}
			pattern = x.args[i]
		case "COUNT":
			n, err := x.option(&i)
			if err != nil {
				return err
			}
			if n < 1 {
				return errSyntax
			}
			o.Limit = int(min(n, api.MaxPage))
		case "TYPE":
			if i++; i >= len(x.args) {
				return errSyntax
			}
			none = !strings.EqualFold(string(x.args[i]), "string")
		default:
			return errSyntax
		}
	}
	if none {
		x.c.Array(2)
		x.c.BulkString("0")
		x.c.Array(0)
		return nil
	}
	if cursor != 0 {
		after, ok := x.h.cursors.redeem(cursor)
		if !ok {
			return errReply("ERR invalid cursor")
		}
		o.After = after
	}
	p, err := x.h.o.Store.Scan(x.ctx, literal(pattern), o)
	if err != nil {
		return err
	}
	var keys [][]byte
	for _, e := range p.Entries {
		if match(pattern, e.Key) {
			keys = append(keys, e.Key)
		}
	}
	next := uint64(0)
	if p.Next != nil {
		next = x.h.cursors.issue(bytes.Clone(p.Next))
	}
	x.c.Array(2)
	x.c.BulkString(fmt.Sprint(next))
	x.c.Array(len(keys))
	for _, k := range keys {
		x.c.Bulk(k)
	}
	return nil
}

// literal is the prefix of a pattern that stands for itself: the store scans no further.
func literal(pattern []byte) []byte {
	if i := bytes.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// match reports whether s matches a Redis pattern: * any bytes, ? any one, [abc], [^a],
// [a-z] one of a class, \x the byte x. It takes time in len(pattern) × len(s) at most: on
// a mismatch it returns to the last star only.
func match(pattern, s []byte) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			star, from = p, i
			p++
			continue
		}
		if n, ok := one(pattern[p:], s[i]); ok {
			p += n
			i++
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star+1, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// one matches a single byte against the start of a pattern and returns how much of the
// pattern that took.
func one(pattern []byte, c byte) (int, bool) {
	if len(pattern) == 0 {
		return 0, false
	}
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		if n, ok, closed := class(pattern, c); closed {
			return n, ok
		}
	}
	return 1, pattern[0] == c
}

// class matches one byte against a class; closed is false if the pattern has no closing
// bracket, which then stands for itself.
func class(pattern []byte, c byte) (n int, ok, closed bool) {
	i, not := 1, false
	if i < len(pattern) && pattern[i] == '^' {
		not = true
		i++
	}
	for ; i < len(pattern); i++ {
		switch {
		case pattern[i] == ']':
			return i + 1, ok != not, true
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || pattern[i] == c
		case i+2 < len(pattern) && pattern[i+1] == '-' && pattern[i+2] != ']':
			lo, hi := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
			ok = ok || lo <= c && c <= hi
			i += 2
		default:
			ok = ok || pattern[i] == c
		}
	}
	return 0, false, false
}
