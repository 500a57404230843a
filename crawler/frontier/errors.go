package frontier

import (
	"errors"
	"fmt"

	"github.com/ashlar-go/ashlar/lsm"
)

// Errors of this package match these with errors.Is; errors of the store come wrapped.
var (
	// ErrClosed: the frontier was closed.
	ErrClosed = errors.New("frontier: closed")
	// ErrDrained: nothing is queued, leased, or waiting for its time, so that Lease could
	// wait for ever. Hosts that are held or whose budget is spent do not count.
	ErrDrained = errors.New("frontier: drained")
	// ErrNotReady: no host may be visited now. Only TryLease returns it.
	ErrNotReady = errors.New("frontier: no host is ready")
	// ErrLease: the lease has expired, or was ended before.
	ErrLease = errors.New("frontier: lease is over")
	// ErrItem: an item that cannot be queued; always together with an *ItemError.
	ErrItem = errors.New("frontier: bad item")
	// ErrHost: the host is not known here, or its name cannot be one.
	ErrHost = errors.New("frontier: no such host")
	// ErrBusy: the host is leased, so that it cannot be moved.
	ErrBusy = errors.New("frontier: host is leased")
	// ErrOptions: an option out of range.
	ErrOptions = errors.New("frontier: bad options")
	// ErrForeign: the directory holds a store that no frontier wrote, or a newer one.
	ErrForeign = errors.New("frontier: not a frontier's directory")
	// ErrCorrupt: a stored or received record that cannot be read. errors.Is holds for
	// damage that the store found, too.
	ErrCorrupt = errors.New("frontier: corrupt record")
)

// ItemError says which item of an Add was refused, and why.
type ItemError struct {
	Index  int    // in the arguments of Add
	URL    string // cut to 256 bytes
	Reason string
}

// Error describes the item.
func (e *ItemError) Error() string {
	return fmt.Sprintf("frontier: item %d: %s: %.80q", e.Index, e.Reason, e.URL)
}

// Is makes errors.Is(err, ErrItem) hold.
func (e *ItemError) Is(target error) bool { return target == ErrItem }

// RecordError says which stored record cannot be read. The host that it belongs to is set
// aside: see StateDamaged.
type RecordError struct {
	Host   string // empty if it is not known
	Key    []byte
	Detail string
}

// Error describes the record.
func (e *RecordError) Error() string {
	return fmt.Sprintf("frontier: corrupt record %x of host %q: %s", e.Key, e.Host, e.Detail)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *RecordError) Is(target error) bool { return target == ErrCorrupt }

// storeError wraps an error of the store.
func storeError(doing string, err error) error {
	if errors.Is(err, lsm.ErrCorrupt) {
		return fmt.Errorf("frontier: %s: %w: %w", doing, ErrCorrupt, err)
	}
	return fmt.Errorf("frontier: %s: %w", doing, err)
}
