package node

import (
	"context"
	"sync"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

// mail is something for the loop: an event, or a function to call between events.
type mail struct {
	event core.Event
	reply chan<- *core.Done // of a core.Request
	call  func()
	size  int
}

// mailbox is what waits for the loop. Peers and clients wait while it is full, so that a
// node under more load than it bears slows them down instead of running out of memory;
// what the node tells itself never waits.
type mailbox struct {
	limit int // bytes and events, roughly

	mu     sync.Mutex
	items  []mail
	size   int
	closed bool
	filled chan struct{} // holds a token while there are items
	space  chan struct{} // closed when the loop has taken all
}

// eventSize is what an event costs besides its bytes.
const eventSize = 256

func newMailbox(limit int) *mailbox {
	return &mailbox{limit: limit, filled: make(chan struct{}, 1), space: make(chan struct{})}
}

// put adds mail at once. It is dropped after close.
func (b *mailbox) put(m mail) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(m)
}

func (b *mailbox) add(m mail) bool {
	if b.closed {
		return false
	}
	b.items = append(b.items, m)
	b.size += m.size + eventSize
	select {
	case b.filled <- struct{}{}:
	default:
	}
	return true
}

// wait is put for those who can wait.
func (b *mailbox) wait(ctx context.Context, m mail) error {
	for {
		b.mu.Lock()
		if b.closed {
			b.mu.Unlock()
			return errClosed
		}
		if b.size < b.limit {
			b.add(m)
			b.mu.Unlock()
			return nil
		}
		space := b.space
		b.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take returns all mail, waiting for some, if the box is not closed. spare is memory to
// use next.
func (b *mailbox) take(spare []mail) (items []mail, ok bool) {
	<-b.filled
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false
	}
	items = b.items
	clear(spare)
	b.items, b.size = spare[:0], 0
	close(b.space)
	b.space = make(chan struct{})
	return items, true
}

// close drops all mail and ends take.
func (b *mailbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.items = nil
		close(b.space)
		b.space = make(chan struct{})
		select {
		case b.filled <- struct{}{}:
		default:
		}
	}
}
