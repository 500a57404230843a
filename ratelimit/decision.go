package ratelimit

import (
	"fmt"
	"time"
)

// Decision says what was decided and when to come back.
type Decision struct {
	OK bool
	// Degraded says that the decision was taken without the shared store.
	Degraded bool
	// Limit is the name of the limit that decided: of those that refused, the one with
	// the longest RetryAfter; if all admitted, the one with the smallest share left.
	Limit string
	// Quota is the most that this limit ever holds: Burst, or Events of a window.
	Quota int64
	// Remaining is how much more would be admitted now. It is negative while more is owed
	// than the limit ever holds (see Charge).
	Remaining int64
	// Delay is how long an admitted event has to wait for its turn; only a LeakyBucket
	// gives one.
	Delay time.Duration
	// RetryAfter is 0 if OK; else the time after which the same request is admitted if
	// nothing else is meanwhile; Never if it costs more than Quota, or nothing at all.
	RetryAfter time.Duration
	// ResetAfter is the time until the limit holds its whole Quota again.
	ResetAfter time.Duration
}

// String is for logs.
func (d Decision) String() string {
	if d.OK {
		return fmt.Sprintf("admitted by %q: %d of %d left, full in %v", d.Limit, d.Remaining, d.Quota, d.ResetAfter)
	}
	if d.RetryAfter == Never {
		return fmt.Sprintf("refused by %q: never fits %d", d.Limit, d.Quota)
	}
	return fmt.Sprintf("refused by %q: %d of %d left, retry in %v", d.Limit, d.Remaining, d.Quota, d.RetryAfter)
}

// tighter says that d decides rather than o.
func (d *Decision) tighter(o *Decision) bool {
	if d.OK != o.OK {
		return !d.OK
	}
	if !d.OK {
		return d.RetryAfter > o.RetryAfter
	}
	// Shares left, compared without division: quotas are positive.
	return float64(d.Remaining)*float64(o.Quota) < float64(o.Remaining)*float64(d.Quota)
}
