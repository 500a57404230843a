package gate

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Histogram counts times in buckets that are at most an eighth wide of what they hold:
// from a microsecond up to over an hour. It is safe for concurrent use and never locks.
type Histogram struct{ counts [buckets]atomic.Uint64 }

const (
	fine    = 8 // buckets of each power of two
	buckets = 32 * fine
)

func bucket(d time.Duration) int {
	us := uint64(max(d/time.Microsecond, 0))
	if us < fine {
		return int(us)
	}
	e := bits.Len64(us) - 4 // us>>e is in 8…15
	return min((e+1)*fine+int(us>>e)-fine, buckets-1)
}

// upper is the first time that is beyond a bucket.
func upper(i int) time.Duration {
	if i < fine {
		return time.Duration(i+1) * time.Microsecond
	}
	e := i/fine - 1
	return time.Duration(uint64(i%fine+fine+1)<<e) * time.Microsecond
}

// Add counts one.
func (h *Histogram) Add(d time.Duration) { h.counts[bucket(d)].Add(1) }

// Times are the counts of a Histogram at one moment.
type Times [buckets]uint64

// Times copies the counts.
func (h *Histogram) Times() *Times {
	var t Times
	for i := range t {
		t[i] = h.counts[i].Load()
	}
	return &t
}

// Since is what came after old was taken.
func (t *Times) Since(old *Times) *Times {
	d := *t
	for i := range d {
		d[i] -= old[i]
	}
	return &d
}

// Count is how many there are.
func (t *Times) Count() (n uint64) {
	for _, c := range t {
		n += c
	}
	return n
}

// Quantile is a time that q of all are below; 0 if there are none.
func (t *Times) Quantile(q float64) time.Duration {
	need, n := uint64(q*float64(t.Count())), uint64(0)
	for i, c := range t {
		if n += c; c > 0 && n >= need {
			return upper(i)
		}
	}
	return 0
}

// Below is how many are below d, give or take a bucket.
func (t *Times) Below(d time.Duration) (n uint64) {
	for i, c := range t {
		if upper(i) > d {
			break
		}
		n += c
	}
	return n
}

// Counts are what became of requests.
type Counts struct {
	Classes  [6]atomic.Uint64 // by status/100; [0]: the client left
	Refused  atomic.Uint64    // 429: beyond a limit
	Degraded atomic.Uint64    // decided without the shared store
	Cached   atomic.Uint64    // answered from the cache
	Bytes    atomic.Uint64    // of answers' bodies
	Took     Histogram
}

func (c *Counts) add(status int, bytes int64, took time.Duration) {
	class := status / 100
	if class >= len(c.Classes) || status == statusClientGone {
		class = 0
	}
	c.Classes[class].Add(1)
	c.Bytes.Add(uint64(max(bytes, 0)))
	c.Took.Add(took)
}

// Requests is their number.
func (c *Counts) Requests() (n uint64) {
	for i := range c.Classes {
		n += c.Classes[i].Load()
	}
	return n
}

// Client is what is known of one client: a key, or an address without one.
type Client struct {
	Name     string // "key k1" or "10.0.0.1/32"
	Tier     string
	Admitted uint64
	Refused  uint64
	Limit    string    // that decided last
	Left     int64     // of it
	Seen     time.Time // last
}

// mostClients bounds the clients that are told apart.
const mostClients = 1000

// clients remembers who came lately.
type clients struct {
	mu  sync.Mutex
	all map[string]*Client // guarded by mu
}

func (c *clients) saw(name, tier string, ok bool, limit string, left int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.all[name]
	if one == nil {
		if len(c.all) >= mostClients {
			c.forget()
		}
		one = &Client{Name: name}
		c.all[name] = one
	}
	one.Tier, one.Limit, one.Left, one.Seen = tier, limit, left, time.Now()
	if ok {
		one.Admitted++
	} else {
		one.Refused++
	}
}

// forget makes room: who came least lately of some that the map yields goes. The caller
// holds mu.
func (c *clients) forget() {
	var oldest *Client
	n := 0
	for _, one := range c.all {
		if oldest == nil || one.Seen.Before(oldest.Seen) {
			oldest = one
		}
		if n++; n == 16 {
			break
		}
	}
	delete(c.all, oldest.Name)
}

func (c *clients) list() []Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Client, 0, len(c.all))
	for _, one := range c.all {
		out = append(out, *one)
	}
	return out
}
