package dash

import (
	"slices"
	"sync"
)

// MaxEvents is how many events a page shows.
const MaxEvents = 60

// Recent keeps the newest MaxEvents events, for a state. The zero Recent is empty and ready;
// it is safe for concurrent use.
type Recent[E any] struct {
	mu     sync.Mutex
	events []E // guarded by mu
}

// Add adds an event, and forgets the oldest if there are too many.
func (r *Recent[E]) Add(e E) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.events = append(r.events, e); len(r.events) > MaxEvents {
		r.events = slices.Delete(r.events, 0, 1)
	}
}

// Events is a copy of what is kept, the newest last.
func (r *Recent[E]) Events() []E {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}
