package frontier

import (
	"fmt"
	"iter"
	"time"
	"unsafe"

	"github.com/ashlar-go/ashlar/lsm"
)

// Stats is what the frontier holds now, and what happened since Open.
type Stats struct {
	Hosts   int // known
	Ready   int // that may be visited now
	Live    int // that are ready, leased, or wait for their time
	Queued  int64
	Leased  int64
	Waiting int64 // items held back: retries, revisits, NotBefore
	Dead    int64 // dead letters

	Added     int64
	Known     int64 // items of Add whose URL was known
	Leases    int64
	Done      int64 // not to be visited again
	HeldBack  int64 // visits that ended in another one later
	Released  int64
	Expired   int64
	Trapped   int64 // URLs that were passed over
	Throttled int64
	Rested    int64 // times that a breaker opened
	Damaged   int64 // hosts set aside

	Templates int  // of which URLs are passed over
	Filling   bool // the filter is not complete, Add looks every URL up

	HostBytes     int64 // memory of all hosts
	FilterBytes   int64
	PrefetchBytes int64
	Store         lsm.Stats
}

// Stats returns a snapshot; the zero Stats after Close. What is held back and dead is
// complete soon after Open, when it has been counted.
func (f *Frontier) Stats() Stats {
	templates := f.traps.suspected()
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return Stats{}
	}
	f.advance()
	s := f.stats
	s.Waiting, s.Dead = max(s.Waiting, 0), max(s.Dead, 0)
	s.Hosts, s.Ready, s.Live = f.hosts.count, f.ready.count, f.live
	s.Templates, s.Filling = templates, !f.seen.complete.Load()
	s.HostBytes, s.FilterBytes, s.PrefetchBytes = f.hosts.bytes(), f.seen.bytes(), f.loaded
	f.wakeUp()
	f.unlock()
	s.Store = f.db.Stats()
	return s
}

// bytes is the memory that hosts take; a queue is counted for each of them.
func (hs *hosts) bytes() int64 {
	blocks := 0
	for _, b := range hs.blocks {
		if b != nil {
			blocks++
		}
	}
	return int64(blocks)*int64(unsafe.Sizeof(host{}))<<blockBits + int64(len(hs.index))*4 + hs.names + int64(hs.count)*int64(unsafe.Sizeof(queue{}))
}

// String is a small table for people.
func (s Stats) String() string {
	return fmt.Sprintf(`hosts    %d known  %d ready  %d live  (%d bytes)
items    %d queued  %d leased  %d waiting  %d dead
added    %d new  %d known  (filter %d bytes, filling %v)
leases   %d given  %d done  %d again  %d released  %d expired
trouble  %d throttled  %d rested  %d trapped by %d templates  %d damaged
`, s.Hosts, s.Ready, s.Live, s.HostBytes, s.Queued, s.Leased, s.Waiting, s.Dead, s.Added, s.Known, s.FilterBytes, s.Filling,
		s.Leases, s.Done, s.HeldBack, s.Released, s.Expired, s.Throttled, s.Rested, s.Trapped, s.Templates, s.Damaged)
}

// HostInfo describes a host.
type HostInfo struct {
	Name     string
	State    State
	Queued   int
	Waiting  int       // items held back
	Priority float64   // of the most urgent queue; 5 if there is none
	Next     time.Time // when it may be visited, by delays, blocks and rests; past if it may be now
	Delay    time.Duration
	Latency  time.Duration // moving mean
	Failures int           // in a row
	Resting  bool          // the breaker is open
	Visits   int
	Budget   int // 0: none
}

// Host describes a host; ok is false if it is not known.
func (f *Frontier) Host(name string) (i HostInfo, ok bool) {
	f.mu.Lock()
	defer f.unlock()
	if f.closed {
		return i, false
	}
	now := f.advance()
	f.wakeUp()
	h := f.hosts.find(name)
	if h == nil {
		return i, false
	}
	return f.info(h, now), true
}

func (f *Frontier) info(h *host, now int64) HostInfo {
	i := HostInfo{
		Name: h.name, State: h.state, Queued: int(h.queued), Waiting: int(int32(h.waiting)), Priority: 5,
		Next: time.Unix(0, max(h.fence, h.block)), Delay: time.Duration(f.delay(h)), Latency: time.Duration(h.latency) * time.Millisecond,
		Failures: int(h.fails), Resting: h.trips > 0 && h.block > now, Visits: int(h.visits), Budget: int(h.budget),
	}
	for _, q := range h.levels {
		i.Priority = min(i.Priority, priority(q.level))
	}
	return i
}

// Hosts ranges over all known hosts in the order in which they became known. It holds no
// lock between steps: each host is described as it is when its turn comes, or a little
// before.
func (f *Frontier) Hosts() iter.Seq[HostInfo] {
	return func(yield func(HostInfo) bool) {
		const step = 256
		list := make([]HostInfo, 0, step)
		for from := uint32(1); ; from += step {
			f.mu.Lock()
			if f.closed || from > f.hosts.top {
				f.mu.Unlock()
				return
			}
			list = list[:0]
			for id := from; id < from+step; id++ {
				if h := f.hosts.known(id); h != nil {
					list = append(list, f.info(h, f.clock.now))
				}
			}
			f.mu.Unlock()
			for _, i := range list {
				if !yield(i) {
					return
				}
			}
		}
	}
}
