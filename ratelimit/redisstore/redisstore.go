// Package redisstore keeps rate limits in Redis, Valkey and servers that are compatible
// with them: one script, one round trip for any number of limits, on the server's clock.
//
//	store, err := redisstore.New(client{rdb}, redisstore.Options{})
//	limits, err := ratelimit.NewShared(store, ratelimit.SharedOptions{})
//
// It brings no client. Any that can send a command will do; for go-redis:
//
//	type client struct{ *redis.Client }
//
//	func (c client) Do(ctx context.Context, args ...any) (any, error) {
//		return c.Client.Do(ctx, args...).Result()
//	}
//
// # What lies in Redis
//
// A key for each Key, Limit name and Algorithm, and for windows their length:
//
//	ratelimit:4:user:42:hour:g    "1790000000123456 2 3"     arrival time in µs, its fraction
//	ratelimit:4:user:42:hour:w…   "1790003600000000 17 0"    end of the window, its count, the last one's
//	ratelimit:4:user:42:hour:l…   sorted set of events
//
// Each is written together with its time to live, after which it says nothing any more: no
// crash between commands leaves a key for ever, for there is only one command. Keys are
// not evicted safely: use the maxmemory policy noeviction, or accept that evicted keys
// start anew.
//
// # Exactness
//
// Time is in microseconds, the server's. The theoretical arrival time carries its fraction,
// so that rates are exact as in package ratelimit. Numbers stay below 2^53, where Lua's
// are exact. A change of a limit keeps the arrival time, and with it the time that is owed;
// windows of another length start anew. When a server that takes over has an earlier clock,
// time stands still until it has caught up: that refuses more, never less.
//
// # Clusters
//
// All keys of one request must be in one slot. Choose a prefix with a hash tag ("{rl}:") to
// have all on one node, or shard by calling different stores.
package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// ErrReply means that the server's answer was not understood.
var ErrReply = errors.New("redisstore: unexpected reply")

// Doer sends one command and returns its reply: int64, string or []byte, nil, or []any of
// these; a server's error as error, with its text. It must heed ctx and be safe for
// concurrent use.
type Doer interface {
	Do(ctx context.Context, args ...any) (any, error)
}

// Options are the options of New.
type Options struct {
	// Prefix begins all keys. Empty means "ratelimit:". A part in braces makes a Redis
	// Cluster keep all keys in one slot.
	Prefix string
}

// Store is a ratelimit.Store. It is safe for concurrent use and keeps nothing here.
type Store struct {
	client Doer
	prefix string
}

//go:embed take.lua
var script string

var scriptSHA = func() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}()

// New makes a store on a client. It sends nothing yet. ratelimit.ErrOptions if there is no
// client.
func New(client Doer, o Options) (*Store, error) {
	if client == nil {
		return nil, fmt.Errorf("%w: no client", ratelimit.ErrOptions)
	}
	if o.Prefix == "" {
		o.Prefix = "ratelimit:"
	}
	return &Store{client, o.Prefix}, nil
}

// maxLog bounds the events of a SlidingLog, each an element of a sorted set.
const maxLog = 100_000

// maxWord bounds numbers that go through Lua.
const maxWord = 1 << 52

// Take implements ratelimit.Store: one EVALSHA; one EVAL more when the server does not know
// the script yet. Beside the errors of ratelimit.Check: ratelimit.ErrLimit if a limit cannot
// be kept in microseconds (windows below 1 µs, logs of more than 100,000 events),
// ratelimit.ErrCorrupt for a key that holds something that this package did not write, and
// that Reset removes; ErrReply, and those of the client.
func (s *Store) Take(ctx context.Context, reqs []ratelimit.Request, dst []ratelimit.Decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ratelimit.Check(reqs, dst); err != nil {
		return err
	}
	paces := make([]pace, len(reqs))
	args := make([]any, 0, 3+9*len(reqs))
	args = append(args, "EVALSHA", scriptSHA, len(reqs))
	for i := range reqs {
		args = append(args, s.key(&reqs[i]))
	}
	for i := range reqs {
		p, err := newPace(&reqs[i])
		if err != nil {
			return err
		}
		paces[i] = p
		args = p.append(args, &reqs[i])
	}
	reply, err := s.client.Do(ctx, args...)
	if err != nil && strings.Contains(err.Error(), "NOSCRIPT") {
		args[0], args[1] = "EVAL", script
		reply, err = s.client.Do(ctx, args...)
	}
	if err != nil {
		if strings.Contains(err.Error(), "CORRUPT") {
			return fmt.Errorf("%w: %w", ratelimit.ErrCorrupt, err)
		}
		return err
	}
	words, err := numbers(reply, 5*len(reqs))
	if err != nil {
		return err
	}
	for i := range reqs {
		dst[i] = paces[i].tell(&reqs[i], words[5*i:5*i+5])
	}
	return nil
}

// key names the counts of a request. The length in front keeps keys and names apart.
func (s *Store) key(r *ratelimit.Request) string {
	k := s.base(r.Key) + r.Limit.Name + ":"
	switch r.Algorithm {
	case ratelimit.FixedWindow:
		return k + "w" + strconv.FormatInt(int64(r.Limit.Per), 10)
	case ratelimit.SlidingCounter:
		return k + "c" + strconv.FormatInt(int64(r.Limit.Per), 10)
	case ratelimit.SlidingLog:
		return k + "l"
	case ratelimit.LeakyBucket:
		return k + "q"
	case ratelimit.TokenBucket:
		return k + "t"
	default:
		return k + "g"
	}
}

func (s *Store) base(key string) string {
	return s.prefix + strconv.Itoa(len(key)) + ":" + key + ":"
}

// Reset implements ratelimit.Store. It looks for the keys with SCAN, which goes through the
// whole database: it is for administrators, not for requests.
func (s *Store) Reset(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		cursor := "0"
		for {
			reply, err := s.client.Do(ctx, "SCAN", cursor, "MATCH", glob(s.base(key))+"*", "COUNT", 1000)
			if err != nil {
				return err
			}
			page, ok := reply.([]any)
			if !ok || len(page) != 2 {
				return fmt.Errorf("%w: SCAN: %T", ErrReply, reply)
			}
			found, ok := page[1].([]any)
			if !ok {
				return fmt.Errorf("%w: SCAN: %T", ErrReply, page[1])
			}
			for _, k := range found { // one by one: a cluster may hold them on several nodes
				if _, err := s.client.Do(ctx, "DEL", text(k)); err != nil {
					return err
				}
			}
			if cursor = text(page[0]); cursor == "0" {
				break
			}
			if _, err := strconv.ParseUint(cursor, 10, 64); err != nil {
				return fmt.Errorf("%w: SCAN: cursor %q", ErrReply, cursor)
			}
		}
	}
	return nil
}

// glob is a pattern that matches s alone.
func glob(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(s)
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	default:
		return fmt.Sprint(v)
	}
}

// numbers reads a reply of n whole numbers.
func numbers(reply any, n int) ([]int64, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != n {
		return nil, fmt.Errorf("%w: %T, want %d numbers", ErrReply, reply, n)
	}
	out := make([]int64, n)
	for i, v := range list {
		switch v := v.(type) {
		case int64:
			out[i] = v
		case int:
			out[i] = int64(v)
		default:
			x, err := strconv.ParseInt(text(v), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: %T among numbers", ErrReply, v)
			}
			out[i] = x
		}
	}
	return out, nil
}

// pace is a limit in the units of the script: 1/e microseconds, an event being p.
type pace struct {
	p, e, tol int64
	per       int64 // µs, of windows
	quota     int64
}

func newPace(r *ratelimit.Request) (pace, error) {
	l := r.Limit
	x := pace{quota: l.Burst}
	if r.Algorithm >= ratelimit.FixedWindow {
		x.quota = l.Events
		x.per = int64(l.Per / time.Microsecond)
		if l.Per%time.Microsecond != 0 || x.quota > maxWord || r.Algorithm == ratelimit.SlidingLog && x.quota > maxLog {
			return pace{}, fmt.Errorf("%w: %v cannot be kept in Redis by %v", ratelimit.ErrLimit, l, r.Algorithm)
		}
		return x, nil
	}
	// p/e ns are p/(1000 e) µs. ratelimit.Check has bounded all products.
	g := gcd(int64(l.Per), l.Events)
	p, e := int64(l.Per)/g, l.Events/g
	g = gcd(p, 1000)
	x.p, x.e = p/g, e*(1000/g)
	x.tol = x.p * l.Burst
	if x.tol/x.e > maxWord {
		return pace{}, fmt.Errorf("%w: %v cannot be kept in Redis", ratelimit.ErrLimit, l)
	}
	return x, nil
}

// append adds what the script wants to know of a request: algorithm, mode, n, quota,
// period, the cost and the burst as µs and e-ths of one, and e.
func (x *pace) append(args []any, r *ratelimit.Request) []any {
	mode := "take"
	n := max(r.N, 1)
	switch {
	case r.N < 0 || r.N > x.quota && !r.Charge:
		mode, n = "never", 1
	case r.N == 0:
		mode = "peek"
	case r.Charge:
		mode = "charge"
		n = min(n, maxWord)
	}
	if x.e == 0 {
		return append(args, int(r.Algorithm), mode, n, x.quota, x.per, 0, 0, 0, 0, 1)
	}
	us, frac := x.split(n)
	return append(args, int(r.Algorithm), mode, n, x.quota, 0, us, frac, x.tol/x.e, x.tol%x.e, x.e)
}

// split is the time of n events.
func (x *pace) split(n int64) (us, frac int64) {
	hi, lo := bits.Mul64(uint64(n), uint64(x.p))
	if hi >= uint64(x.e) {
		return maxWord, 0
	}
	q, r := bits.Div64(hi, lo, uint64(x.e))
	return int64(min(q, maxWord)), int64(r)
}

// tell makes a decision of the script's five words: whether the limit admits, and then for
// windows what remains, when to retry and when all is there again; for the others the
// time in use as µs and fraction, and the delay.
func (x *pace) tell(r *ratelimit.Request, w []int64) ratelimit.Decision {
	us := func(v int64) time.Duration {
		return time.Duration(min(max(v, 0), int64(ratelimit.Never/time.Microsecond)-1)) * time.Microsecond
	}
	d := ratelimit.Decision{OK: w[0] == 1, Limit: r.Limit.Name, Quota: x.quota}
	if x.e == 0 {
		d.Remaining, d.RetryAfter, d.ResetAfter = w[1], us(w[2]), us(w[3])
	} else {
		// used ≤ maxWord µs; in units it may need more than 64 bits if much is owed.
		hi, lo := bits.Mul64(uint64(w[1]), uint64(x.e))
		lo, carry := bits.Add64(lo, uint64(w[2]), 0)
		if hi+carry != 0 || lo > 1<<62 {
			lo = 1 << 62
		}
		used := int64(lo)
		d.Remaining = (x.tol - used) / x.p
		if (x.tol-used)%x.p < 0 {
			d.Remaining--
		}
		d.ResetAfter, d.Delay = us(ceilDiv(used, x.e)), us(w[3])
		if over := used + max(min(r.N, x.quota), 1)*x.p - x.tol; !d.OK && over > 0 {
			d.RetryAfter = us(ceilDiv(over, x.e))
		}
	}
	switch {
	case d.OK:
		d.RetryAfter = 0
	case r.N < 0 || r.N > x.quota:
		d.RetryAfter = ratelimit.Never
	default:
		d.RetryAfter = max(d.RetryAfter, time.Microsecond)
	}
	return d
}

func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b > 0 {
		q++
	}
	return q
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
