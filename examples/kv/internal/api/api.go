// Package api is what a client may ask of any node of the store, whatever it speaks:
// the HTTP and the Redis front end translate to it, the coordinator implements it.
package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of what is stored.
const (
	MaxKey   = 64 << 10 // bytes of a key
	MaxValue = 16 << 20 // bytes of a value
)

// Every error of a Store matches one of these. Bad requests first, then what the
// cluster could not do.
var (
	ErrEmptyKey      = errors.New("kv: empty key")
	ErrKeyTooLarge   = fmt.Errorf("kv: key over %d bytes", MaxKey)
	ErrValueTooLarge = fmt.Errorf("kv: value over %d bytes", MaxValue)
	ErrLevel         = errors.New("kv: unknown consistency level")
	ErrQuorum        = errors.New("kv: r or w out of range")
	ErrTTL           = errors.New("kv: bad time to live")
	ErrContext       = errors.New("kv: context is malformed or forged")
	ErrToken         = errors.New("kv: bad scan token")
	ErrCondition     = errors.New("kv: condition does not hold")
	ErrSiblings      = errors.New("kv: too many siblings; write again with the context of a read")

	ErrUnavailable = errors.New("kv: too few replicas answer")        // nothing was written by this request
	ErrUnknown     = errors.New("kv: outcome unknown")                // the write may or may not have happened
	ErrNoSpace     = errors.New("kv: disk full")                      // nothing was written by this request
	ErrDamaged     = errors.New("kv: a replica cannot read its data") // never reported as "not found"; nothing was written by this request
	ErrClosed      = errors.New("kv: node is closing")
)

// Level says how many of a key's N owners must take part.
type Level uint8

// Quorum, the zero Level, is a majority of the owners for reads and writes both, so that
// a read meets every write acknowledged before it.
const (
	Quorum Level = iota
	One          // a single owner
	All          // every owner
)

// ParseLevel reads a level's name; the empty string is Quorum.
func ParseLevel(s string) (Level, error) {
	switch strings.ToLower(s) {
	case "", "quorum":
		return Quorum, nil
	case "one":
		return One, nil
	case "all":
		return All, nil
	}
	return 0, fmt.Errorf("%w %q: one, quorum or all", ErrLevel, s)
}

// String is the level's name.
func (l Level) String() string {
	switch l {
	case One:
		return "one"
	case All:
		return "all"
	}
	return "quorum"
}

// Count is the number of owners out of n that the level asks for.
func (l Level) Count(n int) int {
	switch l {
	case One:
		return 1
	case All:
		return n
	}
	return n/2 + 1
}

// ContextMode says where the causal context of a write comes from: which of the stored
// values it replaces.
type ContextMode uint8

const (
	// ReadFirst lets the coordinator read at the request's level and replace what it
	// found: what a plain PUT means to people. Writes that are truly concurrent still
	// end up as siblings.
	ReadFirst ContextMode = iota
	// Given uses the context of an earlier read, as the client handed it back.
	Given
	// Blind replaces nothing: the value becomes a sibling of what is there.
	Blind
)

// Condition restricts a write. It is judged by what the coordinator reads, not locked:
// two that race may both pass and end up as siblings.
type Condition uint8

// The conditions; the zero one is none.
const (
	Always Condition = iota
	IfAbsent
	IfPresent
)

// ReadOptions of one request.
type ReadOptions struct {
	Level Level
	R     int // owners that must answer; 0: by Level
}

// WriteOptions of one request.
type WriteOptions struct {
	Level   Level
	W       int // owners that must have the write on disk; 0: by Level
	Mode    ContextMode
	Context []byte        // for mode Given; opaque
	TTL     time.Duration // 0: for ever
	Sloppy  bool          // let other nodes stand in for owners that are down
	If      Condition
}

// ScanOptions of one request.
type ScanOptions struct {
	ReadOptions
	After    []byte // only keys greater than this; nil: from the start
	Limit    int    // keys in a page; 0: 100, at most MaxPage
	KeysOnly bool   // leave the values out
}

// MaxPage is the most keys that one page of a scan holds.
const MaxPage = 1000

// Value is one of a key's siblings.
type Value struct {
	Data    []byte
	Expires time.Time // zero: never
	Written time.Time // by the clock of the replica that took the write; for display and tie-breaks only
}

// Read is the answer to a Get. No values: not found (or deleted, or expired).
type Read struct {
	Values  []Value // siblings, in a fixed order
	Context []byte  // hand it back with the write that replaces them
	Answers int     // owners that answered
	Epoch   uint64  // of the partition table
}

// Newest is the sibling written last by the replicas' clocks, for protocols that know
// one value only.
func (r *Read) Newest() (Value, bool) {
	if len(r.Values) == 0 {
		return Value{}, false
	}
	best := r.Values[0]
	for _, v := range r.Values[1:] {
		if v.Written.After(best.Written) {
			best = v
		}
	}
	return best, true
}

// Written is the answer to a Put or Delete.
type Written struct {
	Context   []byte // covers this write and all it replaced; nil if siblings remain that its writer has not seen
	Primaries int    // owners that have it on disk
	Fallbacks int    // stand-ins that have it on disk, for a sloppy write
	Epoch     uint64
}

// Entry is one key of a page.
type Entry struct {
	Key []byte
	Read
}

// Page is one page of a scan, in key order.
type Page struct {
	Entries []Entry
	Next    []byte // hand it back as After; nil: this was the last page
}

// Store is one node, which may coordinate any request. It is safe for concurrent use.
// Keys and values are the caller's again when a call returns.
type Store interface {
	Get(ctx context.Context, key []byte, o ReadOptions) (*Read, error)
	Put(ctx context.Context, key, value []byte, o WriteOptions) (*Written, error)
	Delete(ctx context.Context, key []byte, o WriteOptions) (*Written, error)
	Scan(ctx context.Context, prefix []byte, o ScanOptions) (*Page, error)
	Status() any // what GET /status shows; encodes as JSON
}

// CheckKey judges a key's size.
func CheckKey(key []byte) error {
	switch {
	case len(key) == 0:
		return ErrEmptyKey
	case len(key) > MaxKey:
		return ErrKeyTooLarge
	}
	return nil
}

// CheckWrite judges all that can be judged without the cluster.
func CheckWrite(key, value []byte, o WriteOptions) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return ErrValueTooLarge
	}
	if o.TTL < 0 {
		return ErrTTL
	}
	return nil
}

// Need turns a level and an explicit count into the number of owners out of n.
func Need(l Level, count, n int) (int, error) {
	switch {
	case count == 0:
		return l.Count(n), nil
	case count < 0 || count > n:
		return 0, fmt.Errorf("%w: %d of %d owners", ErrQuorum, count, n)
	}
	return count, nil
}
