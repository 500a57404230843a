package router

import (
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// question is a request that everybody gets the same answer to.
type question struct {
	prefix string
	limit  int
	edits  int
}

// kept is an answer for a hot prefix, so that what a thousand people type is asked of the
// nodes once. What is too old to be an answer is kept as well, while there is room: it is
// better than nothing when the nodes that know are away. So the cache has no time to
// live, and the answer has.
type kept struct {
	generation uint64
	found      []Suggestion // not to be changed
	until      time.Time
}

func newCache(entries int) (*cache.Cache[question, *kept], error) {
	return cache.New(cache.Options[question, *kept]{MaxEntries: entries})
}

// maxClients is of how many clients it is known what they asked for.
const maxClients = 100_000

// newLimiter lets each client ask so many times a second, and a burst at once; nil: as often
// as it wants. A flood from more addresses than are known is not to be held back by
// address: each that is new takes the place of one that owes little.
func newLimiter(perSecond float64, burst, clients int, now func() time.Time) (*ratelimit.Keyed[string], error) {
	if perSecond < 0 {
		return nil, nil
	}
	l := ratelimit.Limit{Events: 1, Per: time.Duration(float64(time.Second) / perSecond), Burst: int64(burst)}
	return ratelimit.NewKeyed[string](ratelimit.KeyedOptions{
		Limits: []ratelimit.Limit{l}, MaxKeys: clients, OnFull: ratelimit.Evict, Now: now,
	})
}

// LimitError refuses a client that asks too often.
type LimitError struct{ Wait time.Duration }

func (e *LimitError) Error() string { return fmt.Sprintf("%v; come back in %v", ErrLimited, e.Wait) }

// Is makes errors.Is(err, ErrLimited) true.
func (e *LimitError) Is(target error) bool { return target == ErrLimited }

// Take asks whether a client may ask n times. The error matches ErrLimited, or ErrRequest if
// that is more than anybody may at once.
func (r *Router) Take(client string, n int) error {
	if r.limit == nil {
		return nil
	}
	d := r.limit.Take(client, int64(n))
	if d.OK {
		return nil
	}
	r.Counters.Limited.Add(1)
	if d.RetryAfter == ratelimit.Never {
		return fmt.Errorf("%w: %d questions at once, of at most %d", ErrRequest, n, d.Quota)
	}
	return &LimitError{d.RetryAfter}
}
