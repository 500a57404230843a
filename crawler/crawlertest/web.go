package crawlertest

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// ErrOptions is for options that make no sense.
var ErrOptions = errors.New("crawlertest: bad options")

// Options say what web to make. The zero value is a web of 100 hosts with all that can go
// wrong.
type Options struct {
	Seed    uint64
	Hosts   int             // 100; at most 100,000
	Pages   int             // of a host, on average: 20
	Latency time.Duration   // of an answer, at most: 100 ms; negative: none
	Calm    bool            // no faults, traps, copies or redirects
	Delays  []time.Duration // Crawl-delay of the hosts that have one; nil: 2 s, 5 s and 30 s
}

// Robots is how a host answers for its robots.txt.
type Robots uint8

// The ways of answering.
const (
	RobotsRules     Robots = iota // a file with rules
	RobotsDelay                   // a file with rules and a crawl delay
	RobotsMissing                 // 404
	RobotsForbidden               // 403, which means that there are no rules
	RobotsLate                    // 503 twice, then a file with rules
	RobotsMoved                   // a redirect to another path of the host
	RobotsAway                    // a redirect to the robots.txt of another host
	RobotsHome                    // 200 with a page of HTML
	RobotsHuge                    // rules, and then endless comments
	RobotsBroken                  // 500, always: nothing may be fetched
	robotsKinds
)

// String names the way.
func (r Robots) String() string {
	names := [...]string{"rules", "delay", "missing", "forbidden", "late", "moved", "away", "home", "huge", "broken"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// hasRules reports whether some paths are forbidden.
func (r Robots) hasRules() bool {
	switch r {
	case RobotsRules, RobotsDelay, RobotsLate, RobotsMoved, RobotsAway, RobotsHuge:
		return true
	}
	return false
}

// Host is a server of the web. Its fields do not change.
type Host struct {
	Name   string
	Addr   netip.Addr
	Robots Robots
	Delay  time.Duration // that its robots.txt asks for; 0: none
	Pages  int           // real pages: / and /p/1.html …
	Trap   bool          // it has traps
	Faults bool          // it has pages that fail

	n int
}

// Allowed reports whether robots.txt permits a path.
func (h *Host) Allowed(path string) bool {
	switch {
	case strings.HasPrefix(path, "/robots.txt"):
		return true
	case h.Robots == RobotsBroken:
		return false
	case h.Robots.hasRules() && strings.HasPrefix(path, "/private/"):
		return strings.HasPrefix(path, "/private/open")
	}
	return true
}

// Web is a number of hosts and a log of who came.
type Web struct {
	o     Options
	hosts []*Host
	names map[string]*Host

	mu   sync.Mutex
	log  []Visit
	seen map[string]int // how often a page that fails at first was asked for
	ids  int            // session numbers
}

// New makes a web.
func New(o Options) (*Web, error) {
	if o.Hosts == 0 {
		o.Hosts = 100
	}
	if o.Pages == 0 {
		o.Pages = 20
	}
	if o.Latency == 0 {
		o.Latency = 100 * time.Millisecond
	}
	if o.Delays == nil {
		o.Delays = []time.Duration{2 * time.Second, 5 * time.Second, 30 * time.Second}
	}
	if o.Hosts < 0 || o.Hosts > 100_000 || o.Pages < 1 || len(o.Delays) == 0 {
		return nil, fmt.Errorf("%w: %d hosts, %d pages, %d delays", ErrOptions, o.Hosts, o.Pages, len(o.Delays))
	}
	w := &Web{o: o, names: map[string]*Host{}, seen: map[string]int{}}
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	first := netip.MustParseAddr("198.18.0.0").As4()
	for i := range o.Hosts {
		h := &Host{Name: fmt.Sprintf("h%d.example", i), Pages: 1 + rng.IntN(2*o.Pages-1), n: i}
		a := first
		a[1], a[2], a[3] = a[1]+byte(i>>16), byte(i>>8), byte(i)
		h.Addr = netip.AddrFrom4(a)
		// In turn, so that a small web has all of them; the first host is a plain one.
		h.Robots = Robots(i % int(robotsKinds))
		if o.Calm && (h.Robots == RobotsLate || h.Robots == RobotsBroken || h.Robots == RobotsHuge) {
			h.Robots = RobotsRules
		}
		if h.Robots == RobotsDelay {
			h.Delay = o.Delays[i/int(robotsKinds)%len(o.Delays)]
		}
		h.Trap = !o.Calm && i%11 == 0
		h.Faults = !o.Calm && i%3 == 0
		w.hosts = append(w.hosts, h)
		w.names[h.Name] = h
	}
	for i, h := range w.hosts {
		if h.Robots == RobotsAway { // to a neighbour, who has rules and no delay
			h.Delay = w.hosts[i-int(RobotsAway)].Delay
		}
	}
	return w, nil
}

// Hosts returns all hosts. The slice is the web's.
func (w *Web) Hosts() []*Host { return w.hosts }

// Host returns the host of that name, nil if there is none.
func (w *Web) Host(name string) *Host { return w.names[name] }

// Seeds returns addresses from which every page can be reached: the front page of every host.
func (w *Web) Seeds() []string {
	out := make([]string, len(w.hosts))
	for i, h := range w.hosts {
		out[i] = "http://" + h.Name + "/"
	}
	return out
}

// Pages ranges over the addresses of all real pages that may be fetched: what a crawl should
// have, each once.
func (w *Web) Pages() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, h := range w.hosts {
			if h.Robots == RobotsBroken {
				continue
			}
			for i := range h.Pages {
				if !yield("http://" + h.Name + pagePath(i)) {
					return
				}
			}
			if h.Faults {
				for _, p := range []string{"/flaky/1.html", "/busy/1.html"} {
					if !yield("http://" + h.Name + p) {
						return
					}
				}
			}
		}
	}
}

func pagePath(i int) string {
	if i == 0 {
		return "/"
	}
	return fmt.Sprintf("/p/%d.html", i)
}
