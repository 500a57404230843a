// Package ratelimit limits how often things happen, and how many at once: in one process,
// for millions of keys, or shared by many processes; exactly, and without surprises when
// something fails.
//
//	limiter, err := ratelimit.New(ratelimit.PerSecond(100))
//	…
//	if !limiter.Allow() {
//		return errTooMany
//	}
//
// # Which one
//
//	Limiter      one rate in this process               lock-free; may wait, reserve, give back
//	Keyed        a rate for each user, address, …       at most 39 bytes beside the key
//	Concurrency  work in flight, not a rate             fixed, or found from latency
//	Shared       limits of several processes            one round trip to a Store (redisstore)
//	Edge         the same, without the round trip       synchronises later, with a stated error
//	Middleware   any of them before an http.Handler     the IETF's RateLimit fields, problem+json
//
// A rate protects against too much; it does not know what the thing behind can bear today.
// When it is load that hurts, bound the work in flight ([Concurrency]).
//
// # Limits
//
// A [Limit] is Events per Per in the long run, and Burst at once. [Algorithm] says how a
// [Keyed] and stores count; take the default, GCRA, unless a contract says "each calendar
// hour" (FixedWindow), "in any 60 minutes" (SlidingLog), or output must be even
// (LeakyBucket). GCRA decides exactly as a token bucket does, and keeps one number.
//
// Several limits on one key ("10 a second, 1,000 an hour") are taken together or not at
// all, and the tightest is told in the [Decision]: what is left, when to come back, when
// all is there again. RetryAfter is exact: the same request is admitted then, and not a
// nanosecond before, if nothing else comes in between.
//
// Tiers are named lists of limits ("free", "premium") and can be changed while everything
// runs; what is in use stays in use, and every change is audited.
//
// # What is guaranteed
//
//   - Arithmetic is on integers and exact: seven a minute is not 8.571428571 seconds. In any
//     time w a GCRA limit admits at most Burst + Events×w/Per, from however many goroutines.
//     What could not be kept exactly is refused by [Limit.Validate].
//   - No input admits by accident: zero, negative and huge costs are refused, or [ErrLimit]
//     and [ErrOptions] say what is wrong. Nothing panics but a nil [Taker] or KeyFunc.
//   - A clock that goes back, or callers whose time is old, see less, never more: time stands
//     still until the clock has caught up.
//   - Memory is bounded: [KeyedOptions].MaxKeys, and idle keys cost nothing to forget, for
//     their state is that of a key never seen. No sweeper runs, nothing stops the world.
//   - Who waits is served in order, and a wait that cannot succeed in time fails at once.
//     Cancelled reservations give back exactly what nobody can have used.
//   - A store that is slow or dead costs one timeout, then nothing until it is back; its
//     absence is told in Decision.Degraded.
//
// # What is not
//
// State does not survive the process but in a store. Keyed does not put the waiters of a key
// in order but under LeakyBucket. SlidingCounter is an approximation. With Evict, who can
// make up keys can free himself of limits: the default is DenyNew.
//
// # What it costs
//
// Limiter: a clock reading (most of it), one compare-and-swap to admit, no write to refuse;
// nothing is allocated. Keyed: a hash, a short lock of one of many shards, one or two cache
// lines. Shared: a round trip, but none for those who are known to be refused, nor for
// events that were leased. All methods are O(1) but where they say otherwise.
//
// # Concurrency and time
//
// Everything is safe for concurrent use. Goroutines run only in Shared (one for a call of
// the store) and Edge (one); Close waits for them. Time is read from the monotonic clock;
// options have a Now for tests, Limiter takes times as arguments, and all of it works in
// testing/synctest.
//
// Sources: ITU-T I.371 (the generic cell rate algorithm); Turner, "New directions in
// communications" (1986) for the leaky bucket; Brakmo, Peterson, "TCP Vegas" (1995);
// draft-ietf-httpapi-ratelimit-headers-11; RFC 9110 (Retry-After), RFC 9457 (problem
// details).
package ratelimit
