package local

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/gate"
)

// Client makes requests as clients of the gateways do. It is safe for concurrent use.
type Client struct {
	http  *http.Client
	addrs []string
}

// NewClient makes a client of the gateways at addrs.
func NewClient(addrs ...string) *Client {
	return &Client{addrs: addrs, http: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// Close closes its connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Ask is a request.
type Ask struct {
	Path  string
	Key   string // empty: none
	Token string // empty: none
	// From is the address that the proxy in front of the gateways, for which this client
	// poses, forwards it for; empty: its own.
	From    string
	Gateway int // by place; beyond the last: round robin
	Cookie  string
}

// Answer is what came of it.
type Answer struct {
	Status int
	Body   []byte
	Header http.Header
	Took   time.Duration
}

// Do makes a request.
func (c *Client) Do(ctx context.Context, a Ask) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addrs[a.Gateway%len(c.addrs)]+a.Path, nil)
	if err != nil {
		return Answer{}, err
	}
	for name, value := range map[string]string{"X-Api-Key": a.Key, "X-Forwarded-For": a.From, "Cookie": a.Cookie} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if a.Token != "" {
		r.Header.Set("Authorization", "Bearer "+a.Token)
	}
	begun := time.Now()
	res, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	return Answer{Status: res.StatusCode, Body: b, Header: res.Header, Took: time.Since(begun)}, err
}

// Escape is a file's name as a path below prefix.
func Escape(prefix, name string) string { return prefix + (&url.URL{Path: name}).EscapedPath() }

// Address is one of the 2^16 addresses of clients in the story.
func Address(i int) string { return fmt.Sprintf("10.1.%d.%d", i>>8&255, i&255) }

// Tally is what came of many requests.
type Tally struct {
	mu       sync.Mutex
	Statuses map[int]int // guarded by mu until all are done
	Backends map[string]int
	Errors   []string
	Took     gate.Histogram
}

// NewTally is an empty one.
func NewTally() *Tally { return &Tally{Statuses: map[int]int{}, Backends: map[string]int{}} }

// Add counts an answer or an error.
func (t *Tally) Add(a Answer, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.Errors = append(t.Errors, err.Error())
		return
	}
	t.Statuses[a.Status]++
	t.Took.Add(a.Took)
	if b := a.Header.Get("X-Backend"); b != "" {
		t.Backends[b]++
	}
}

// Failed is how many were neither answered as they should be, nor refused by a limit.
func (t *Tally) Failed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.Errors)
	for status, count := range t.Statuses {
		if status != http.StatusOK && status != http.StatusTooManyRequests {
			n += count
		}
	}
	return n
}

// Count is how many were answered with a status.
func (t *Tally) Count(status int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Statuses[status]
}

// Total is how many there were.
func (t *Tally) Total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.Errors)
	for _, count := range t.Statuses {
		n += count
	}
	return n
}

// String says how many of which status, and the first error.
func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for status := 100; status < 600; status++ {
		if n := t.Statuses[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d× %d", n, status))
		}
	}
	if len(t.Errors) > 0 {
		parts = append(parts, fmt.Sprintf("%d× no answer (%s)", len(t.Errors), t.Errors[0]))
	}
	return strings.Join(parts, ", ")
}

// Each makes n requests, workers at a time, and counts what comes of them.
func (c *Client) Each(ctx context.Context, workers, n int, ask func(i int) Ask, see func(i int, a Answer)) *Tally {
	t := NewTally()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				a, err := c.Do(ctx, ask(i))
				t.Add(a, err)
				if err == nil && see != nil {
					see(i, a)
				}
			}
		})
	}
	wg.Wait()
	return t
}

// Load is requests that go on in the background until Stop.
type Load struct {
	Tally *Tally
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

// Start begins a load: workers that each make a request and pause at random up to pause.
func (c *Client) Start(ctx context.Context, workers int, pause time.Duration, ask func(i int) Ask) *Load {
	ctx, stop := context.WithCancel(ctx)
	l := &Load{Tally: NewTally(), stop: stop}
	var next atomic.Int64
	for range workers {
		l.wg.Go(func() {
			for {
				// A request that is under way when it ends is let finish.
				a, err := c.Do(context.WithoutCancel(ctx), ask(int(next.Add(1))))
				l.Tally.Add(a, err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(rand.N(max(pause, 1))):
				}
			}
		})
	}
	return l
}

// Stop ends the load and returns what came of it.
func (l *Load) Stop() *Tally {
	l.stop()
	l.wg.Wait()
	return l.Tally
}
