package snowflake

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrOptions is matched by the error of a constructor for options that contradict one
	// another or are out of range.
	ErrOptions = errors.New("snowflake: bad options")
	// ErrLayout is matched by the error of Layout.Validate.
	ErrLayout = errors.New("snowflake: bad layout")
	// ErrEpoch is matched when a layout's epoch is later than the clock. It is also an
	// ErrClock, for one of the two is wrong.
	ErrEpoch = errors.New("snowflake: the epoch lies in the future")
	// ErrNode is matched when a node does not fit into its bits.
	ErrNode = errors.New("snowflake: node out of range")
	// ErrExhausted is returned when the time field has no later value.
	ErrExhausted = errors.New("snowflake: time field exhausted")
	// ErrClock is matched when the clock is further back than Options.MaxBack allows, or
	// stands still. See ClockError.
	ErrClock = errors.New("snowflake: clock went back")
	// ErrMark is matched when a high-water mark cannot be read or made durable.
	ErrMark = errors.New("snowflake: high-water mark")
	// ErrCorrupt is matched when a mark or a store's record is damaged.
	ErrCorrupt = errors.New("snowflake: corrupt record")
	// ErrBusy is matched when another process, or another part of this one, holds the lock.
	ErrBusy = errors.New("snowflake: in use")
	// ErrLeaseLost is matched when somebody else has, or may have, the leased node. It is
	// final: close the generator and lease again.
	ErrLeaseLost = errors.New("snowflake: lease lost")
	// ErrNoNode is matched when every node is taken.
	ErrNoNode = errors.New("snowflake: no free node")
	// ErrConflict is what a Store returns when the record is not at the revision named.
	ErrConflict = errors.New("snowflake: revision conflict")
	// ErrStore is matched when a store's answers contradict one another.
	ErrStore = errors.New("snowflake: store is not linearizable")
	// ErrStalled is matched when a store or a mark takes longer than it may. The call may
	// still come true.
	ErrStalled = errors.New("snowflake: no answer in time")
	// ErrTickets is matched when no source has a block. The sources' errors are wrapped
	// with it.
	ErrTickets = errors.New("snowflake: no tickets")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("snowflake: closed")
	// ErrSyntax is matched by the error for a text that no id has.
	ErrSyntax = errors.New("snowflake: not an id")
	// ErrRange is matched by the error for a number that no id has.
	ErrRange = errors.New("snowflake: out of range")
	// ErrKey is matched by the error for a secret that is too short.
	ErrKey = errors.New("snowflake: secret too short")
)

// ClockError tells how far the clock is behind the ids that were issued. It matches
// ErrClock. The next call tries again: it succeeds when the clock has caught up.
type ClockError struct {
	Back    time.Duration // how far the clock is behind, MaxAhead not counted
	Max     time.Duration // how far it may be: Options.MaxBack
	Stalled bool          // the clock did not move for Back while a call waited for it
}

// Error says by how much.
func (e *ClockError) Error() string {
	if e.Stalled {
		return fmt.Sprintf("%v: it stood still for %v", ErrClock, e.Back)
	}
	return fmt.Sprintf("%v: by %v, at most %v", ErrClock, e.Back, e.Max)
}

// Unwrap is ErrClock.
func (e *ClockError) Unwrap() error { return ErrClock }
