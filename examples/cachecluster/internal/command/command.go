// Package command is what clients can ask of a node's keys: a table of commands with name,
// number of arguments, flags and places of keys, and the functions that carry them out on a
// keyspace.
//
// A command that writes is replicated as it came, unless running it again could do something
// else: what depends on the time or on chance tells through [Ctx.Instead] what replicas run.
// A replica therefore never draws, and never looks at a clock.
//
// Commands of the connection, of the cluster and of the server itself have no function here;
// the server carries them out.
package command

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// What commands answer when they refuse; the first word is what clients look at.
var (
	ErrWrongType = errors.New("WRONGTYPE Operation against a key holding the wrong kind of value")
	ErrSyntax    = errors.New("ERR syntax error")
	ErrNotInt    = errors.New("ERR value is not an integer or out of range")
	ErrNotFloat  = errors.New("ERR value is not a valid float")
	ErrNaN       = errors.New("ERR increment would produce NaN or Infinity")
	ErrOverflow  = errors.New("ERR increment or decrement would overflow")
	ErrNoKey     = errors.New("ERR no such key")
	ErrIndex     = errors.New("ERR index out of range")
	ErrTooLong   = errors.New("ERR string exceeds maximum allowed size")
	ErrExpire    = errors.New("ERR invalid expire time")
	ErrRange     = errors.New("ERR value is out of range, must be positive")
	ErrCursor    = errors.New("ERR invalid cursor")
	ErrBusy      = errors.New("BUSYKEY Target key name already exists")
	ErrPayload   = errors.New("ERR DUMP payload version or checksum are wrong")
	ErrMinMax    = errors.New("ERR min or max is not a float")
	ErrLex       = errors.New("ERR min or max not valid string range item")
)

// Flag is a property of a command.
type Flag uint16

// The flags.
const (
	Write   Flag = 1 << iota // changes keys
	Read                     // looks at keys
	Grows                    // is refused when the memory's bound is reached
	Admin                    // of the server; not replicated
	PubSub                   // allowed while subscribed, in protocol 2
	NoMulti                  // not allowed within MULTI
	Always                   // carried out at once also within MULTI
)

// Spec is a command of the table.
type Spec struct {
	Name  string
	Arity int // of arguments, the name included; negative: at least
	Flags Flag
	// First, Last and Step say which arguments are keys; 0: none. A Last below 0 counts from
	// the end.
	First, Last, Step int
	Run               func(*Ctx)
	Calls             int64 // kept by the server, under its lock
}

// Has tells whether a command has any of some flags.
func (s *Spec) Has(f Flag) bool { return s.Flags&f != 0 }

// Fits tells whether so many arguments are allowed.
func (s *Spec) Fits(args int) bool {
	if s.Arity < 0 {
		return args >= -s.Arity
	}
	return args == s.Arity
}

// Table is a set of commands by upper-case name. Each server has one, for it counts calls.
type Table map[string]*Spec

// Keys calls visit with each key among the arguments until it returns false.
func (s *Spec) Keys(args [][]byte, visit func(key []byte) bool) {
	if s.First == 0 {
		if s.Name == "ZUNIONSTORE" || s.Name == "ZINTERSTORE" {
			numbered(args, visit)
		}
		return
	}
	last := s.Last
	if last < 0 {
		last += len(args)
	}
	for i := s.First; i <= last && i < len(args); i += s.Step {
		if !visit(args[i]) {
			return
		}
	}
}

// numbered are the keys of commands that say how many there are.
func numbered(args [][]byte, visit func(key []byte) bool) {
	if len(args) < 4 || !visit(args[1]) {
		return
	}
	n, ok := resp.ParseInt(args[2])
	for i := int64(0); ok && i < n && 3+i < int64(len(args)); i++ {
		if !visit(args[3+i]) {
			return
		}
	}
}

// Ctx is one call.
type Ctx struct {
	DB   *keyspace.DB
	Out  *resp.Buffer
	Args [][]byte
	// Effect is what replicas run instead of the arguments, if Replaced is set.
	Effect   [][][]byte
	Replaced bool
}

// Instead has replicas run other commands than the one that came: those of all calls, or
// none if args is empty.
func (c *Ctx) Instead(args ...string) {
	c.Replaced = true
	if len(args) == 0 {
		return
	}
	cmd := make([][]byte, len(args))
	for i, a := range args {
		cmd[i] = []byte(a)
	}
	c.Effect = append(c.Effect, cmd)
}

func (c *Ctx) fail(err error) { c.Out.Error(err.Error()) }

func (c *Ctx) ok() { c.Out.B = append(c.Out.B, "+OK\r\n"...) }

// kind finds a key of a kind for a writer. It has answered if it returns false.
func (c *Ctx) kind(key []byte, k keyspace.Kind) (*keyspace.Entry, bool) {
	return c.checked(c.DB.Find(key), k)
}

// read is kind for a reader.
func (c *Ctx) read(key []byte, k keyspace.Kind) (*keyspace.Entry, bool) {
	return c.checked(c.DB.Read(key), k)
}

func (c *Ctx) checked(e *keyspace.Entry, k keyspace.Kind) (*keyspace.Entry, bool) {
	if e != nil && e.Kind() != k {
		c.fail(ErrWrongType)
		return nil, false
	}
	return e, true
}

// integer reads an argument. It has answered if it returns false.
func (c *Ctx) integer(i int) (int64, bool) {
	n, ok := resp.ParseInt(c.Args[i])
	if !ok {
		c.fail(ErrNotInt)
	}
	return n, ok
}

// number reads an argument as a floating-point number.
func (c *Ctx) number(i int) (float64, bool) {
	f, ok := parseFloat(c.Args[i])
	if !ok {
		c.fail(ErrNotFloat)
	}
	return f, ok
}

// parseFloat reads a number that is one.
func parseFloat(b []byte) (float64, bool) {
	if len(b) == 0 || len(b) > 64 || strings.ContainsAny(string(b), "xX_pP") {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	return f, (err == nil || errors.Is(err, strconv.ErrRange) && math.IsInf(f, 0) && isInfWord(b)) && !math.IsNaN(f)
}

func isInfWord(b []byte) bool { return strings.Contains(strings.ToLower(string(b)), "inf") }

// is tells whether an argument is a word, whatever its case.
func is(arg []byte, word string) bool {
	return len(arg) == len(word) && strings.EqualFold(string(arg), word)
}

// clamp turns a pair of indexes, negative ones counting from the end, into a range of n
// elements; it is empty if from is above to.
func clamp(from, to int64, n int) (int, int) {
	l := int64(n)
	if from < 0 {
		from = max(from+l, 0)
	}
	if to < 0 {
		to += l
	}
	return int(min(from, l)), int(min(to, l-1))
}
