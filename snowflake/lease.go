package snowflake

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// A lease of a node is a record in a compare-and-set store:
//
//	{"version":1,"owner":"host-17-9F…","expires":"2026-11-26T09:00:02Z","mark":"2026-11-26T09:00:01.5Z"}
//
// Taking, renewing, marking and releasing are each one compare-and-set on it, with a look
// before and after. Two things are kept apart that leases usually mix:
//
//   - Whether somebody else may take the node is judged by clocks: by the expiry, or by a
//     record that has not changed for long. Clocks may be wrong, so this is only a guess.
//   - Whether an id is safe is not. The holder issues ids only up to the mark that it has
//     put into the record, and whoever takes the record next begins beyond. A holder that
//     was suspended, or whose clock is wrong, or whose node was taken too early, cannot put
//     another mark into a record that has changed, and what it may still issue is below
//     the mark that the next holder saw.
//
//	 first holder   ●●●●●●●●●●●| mark     ✗ ErrLeaseLost
//	 second holder             ┆   takes  |●●●●●●●●●●●| mark
//	                ───────────┴──────────┴───────────┴────▶ time in the ids
//
// Source: the fencing of leases by what they protect is Gray and Cheriton's "Leases"
// (1989) turned round: the resource here is the time itself.

// LeaseOptions configures Acquire. Only Nodes must be set.
type LeaseOptions struct {
	// Nodes is the number of nodes: 0 to Nodes-1 are leased. At most what the layout has.
	Nodes int
	// Prefer is the node to try first. A number that comes from the host's name, modulo
	// Nodes, gives a host the same node again, and spares hundreds of hosts that start at
	// once to ask for the same nodes one after the other.
	Prefer int
	// TTL is how long a lease outlives its last renewal (0: 10 s). It is renewed three
	// times in that time. Others take the node when it is over for as long again.
	TTL time.Duration
	// Timeout is how long one request to the store may take (0: TTL, at most an hour). What
	// takes longer is an ErrStalled, and asked again when the lease, or an id, needs it.
	Timeout time.Duration
	// Prefix begins the keys (empty: "snowflake-node-").
	Prefix string
	// Owner is who others see in the record (empty: host and process). A random number is
	// appended.
	Owner string
	// Now is the clock (nil: time.Now).
	Now func() time.Time
}

func (o LeaseOptions) validate() (LeaseOptions, error) {
	switch {
	case o.Nodes <= 0:
		return o, fmt.Errorf("%w: %d nodes", ErrOptions, o.Nodes)
	case o.Prefer < 0 || o.Prefer >= o.Nodes:
		return o, fmt.Errorf("%w: preferred node %d of %d", ErrOptions, o.Prefer, o.Nodes)
	case o.TTL < 0 || o.TTL > 24*time.Hour:
		return o, fmt.Errorf("%w: a TTL of %v", ErrOptions, o.TTL)
	case o.Timeout < 0 || o.Timeout > time.Hour:
		return o, fmt.Errorf("%w: a timeout of %v", ErrOptions, o.Timeout)
	}
	if o.TTL == 0 {
		o.TTL = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = min(o.TTL, time.Hour)
	}
	if o.Prefix == "" {
		o.Prefix = "snowflake-node-"
	}
	if o.Owner == "" {
		host, _ := os.Hostname() // without one, the process and the random number will do
		o.Owner = host + "-" + strconv.Itoa(os.Getpid())
	}
	o.Owner += "-" + rand.Text()
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// leaseRecord is what the store holds for a node.
type leaseRecord struct {
	Version int       `json:"version"`
	Owner   string    `json:"owner"` // empty: released
	Expires time.Time `json:"expires"`
	Mark    time.Time `json:"mark"`
}

const recordVersion = 1

// SharedLease is a lease from a Store. It renews itself until Release.
type SharedLease struct {
	o     LeaseOptions
	store Store
	node  uint64
	key   string

	turn chan struct{} // holds a token while nobody works on the record
	rec  leaseRecord   // what the store holds, as far as we know
	rev  int64
	lost error // final

	gone    chan struct{} // closed when the lease is lost
	cancel  context.CancelFunc
	renewer sync.WaitGroup
}

// Acquire leases a node: first one that is free, else one whose lease has expired. If there
// is none, or the store does not answer, it looks again until the context ends, and then
// fails with ErrNoNode, and ErrStalled if that was why. Other errors are ErrOptions, ErrStore
// and those of the store. Give the lease to New, or call Release.
func Acquire(ctx context.Context, s Store, o LeaseOptions) (*SharedLease, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	s = timed{s, o.Timeout}
	seen := map[uint64]sighting{}
	for {
		l, err := acquire(ctx, s, o, seen)
		stalled := errors.Is(err, ErrStalled)
		if l != nil || err != nil && !stalled {
			return l, err
		}
		if serr := sleep(ctx, o.TTL/4); serr != nil {
			if stalled {
				return nil, fmt.Errorf("%w: %w: %w", ErrNoNode, err, serr)
			}
			return nil, fmt.Errorf("%w: all %d are taken: %w", ErrNoNode, o.Nodes, serr)
		}
	}
}

// sighting is a revision and when it was first seen. A holder whose clock is far ahead writes
// an expiry that never comes: a record that does not change for long has no living holder.
type sighting struct {
	rev int64
	at  time.Time
}

// acquire goes over all nodes once, and takes the first free one, or the first expired one.
// Without either it returns nil.
func acquire(ctx context.Context, s Store, o LeaseOptions, seen map[uint64]sighting) (*SharedLease, error) {
	var expired []*SharedLease
	var damaged error
	taken := false
	for i := range o.Nodes {
		node := uint64((o.Prefer + i) % o.Nodes)
		l := &SharedLease{o: o, store: s, node: node, key: o.Prefix + strconv.FormatUint(node, 10)}
		err := l.read(ctx)
		if errors.Is(err, ErrCorrupt) {
			damaged = err // its mark is unknown, so nobody may have it
			continue
		}
		if err != nil {
			return nil, err
		}
		taken = taken || l.rec.Owner != ""
		if l.rec.Owner != "" {
			was, ok := seen[node]
			if !ok || was.rev != l.rev {
				was = sighting{l.rev, time.Now()}
				seen[node] = was
			}
			if o.Now().After(l.rec.Expires.Add(o.TTL)) || time.Since(was.at) > 3*o.TTL {
				expired = append(expired, l)
			}
			continue
		}
		if ok, err := l.take(ctx); ok || err != nil {
			return l.orNil(ok), err
		}
	}
	for _, l := range expired {
		if ok, err := l.take(ctx); ok || err != nil {
			return l.orNil(ok), err
		}
	}
	if damaged != nil && !taken {
		return nil, fmt.Errorf("%w: %w", ErrNoNode, damaged) // waiting will not help
	}
	return nil, nil
}

func (l *SharedLease) orNil(ok bool) *SharedLease {
	if !ok {
		return nil
	}
	return l
}

// read gets the node's record.
func (l *SharedLease) read(ctx context.Context) error {
	value, rev, err := l.store.Get(ctx, l.key)
	if err != nil {
		return err
	}
	rec := leaseRecord{Version: recordVersion}
	if rev != 0 {
		rec = leaseRecord{}
		if err := json.Unmarshal(value, &rec); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrCorrupt, l.key, err)
		}
		if rec.Version != recordVersion {
			return fmt.Errorf("%w: %s: version %d", ErrCorrupt, l.key, rec.Version)
		}
	}
	l.rec, l.rev = rec, rev
	return nil
}

// take makes the record ours, unless it has changed. Then the renewer starts.
func (l *SharedLease) take(ctx context.Context) (bool, error) {
	l.rec.Owner = l.o.Owner
	l.rec.Expires = l.o.Now().Add(l.o.TTL)
	if err := l.write(ctx, l.rec); err != nil {
		if errors.Is(err, ErrConflict) {
			return false, nil
		}
		return false, err
	}
	l.turn, l.gone = make(chan struct{}, 1), make(chan struct{})
	l.turn <- struct{}{}
	renewing, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.renewer.Go(func() { l.renew(renewing) })
	return true, nil
}

// write replaces the record at l.rev. It looks before and after: a store that lets anybody
// write at any revision, or acknowledges what it does not keep, would otherwise be found out
// only by duplicates. Next to the second that a mark is good for, the looks cost little.
func (l *SharedLease) write(ctx context.Context, rec leaseRecord) error {
	value, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRange, err) // a time beyond the year 9999
	}
	if _, at, err := l.store.Get(ctx, l.key); err != nil {
		return err
	} else if at != l.rev {
		return fmt.Errorf("%w: %s is at %d, not %d", ErrConflict, l.key, at, l.rev)
	}
	rev, err := l.store.CompareAndSet(ctx, l.key, l.rev, value)
	if err != nil {
		return err
	}
	kept, at, err := l.store.Get(ctx, l.key)
	switch {
	case err != nil:
		return err
	case rev == l.rev || at == l.rev || (at == rev && string(kept) != string(value)):
		return fmt.Errorf("%w: what was written to %s at %d is not there", ErrStore, l.key, rev)
	case at != rev:
		return fmt.Errorf("%w: %s is at %d already, not %d", ErrConflict, l.key, at, rev)
	}
	l.rec, l.rev = rec, rev
	return nil
}

// renew keeps the lease until ctx ends or it is lost. A store that does not answer is asked
// again: no id depends on it.
func (l *SharedLease) renew(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(l.o.TTL / 3):
		}
		err := l.update(ctx, func(*leaseRecord) {})
		if errors.Is(err, ErrLeaseLost) {
			return
		}
	}
}

// update changes the record and renews the lease with it.
func (l *SharedLease) update(ctx context.Context, change func(*leaseRecord)) error {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	if l.lost != nil {
		return l.lost
	}
	for try := 0; ; try++ {
		rec := l.rec
		rec.Expires = l.o.Now().Add(l.o.TTL)
		change(&rec)
		err := l.write(ctx, rec)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrStore):
			return l.lose(err)
		case !errors.Is(err, ErrConflict):
			return err
		case try > 0:
			return l.lose(err)
		}
		// Either the node was taken, or a write of ours that seemed to fail did not. It
		// cannot come true later than this: the revision has moved on.
		if err := l.read(ctx); errors.Is(err, ErrCorrupt) {
			return l.lose(err)
		} else if err != nil {
			return err
		}
		if l.rec.Owner != l.o.Owner {
			return l.lose(fmt.Errorf("%s belongs to %q", l.key, l.rec.Owner))
		}
	}
}

// lose ends the lease.
func (l *SharedLease) lose(why error) error {
	l.lost = fmt.Errorf("%w: %w", ErrLeaseLost, why)
	close(l.gone)
	return l.lost
}

// Node is the leased worker id.
func (l *SharedLease) Node() uint64 { return l.node }

// Owner is the holder as others see it in the store.
func (l *SharedLease) Owner() string { return l.o.Owner }

// Lost is closed when the lease is known to be lost. The generator finds out by itself.
func (l *SharedLease) Lost() <-chan struct{} { return l.gone }

// Load implements Mark. The record cannot have changed since it was taken, or the first
// Store will fail.
func (l *SharedLease) Load(ctx context.Context) (time.Time, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	return l.rec.Mark, l.lost
}

// Store implements Mark. Its error matches ErrLeaseLost if the node is somebody else's by
// now.
func (l *SharedLease) Store(ctx context.Context, t time.Time) error {
	return l.update(ctx, func(r *leaseRecord) { r.Mark = t })
}

// Release ends the renewal and lets others have the node. Later calls, and those after a
// loss, do nothing. If it fails, the lease expires by itself.
func (l *SharedLease) Release(ctx context.Context) error {
	l.cancel()
	l.renewer.Wait()
	err := l.update(ctx, func(r *leaseRecord) { r.Owner, r.Expires = "", time.Time{} })
	if errors.Is(err, ErrLeaseLost) {
		return nil
	}
	if err == nil {
		// Not lost by accident, but no longer ours either.
		<-l.turn
		l.lost = fmt.Errorf("%w: released", ErrLeaseLost)
		l.turn <- struct{}{}
	}
	return err
}
