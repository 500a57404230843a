package crawlertest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Kind is what a visit was to.
type Kind uint8

// The kinds of what there is on a web.
const (
	KindPage     Kind = iota // a real page
	KindRobots               // robots.txt, or where that was moved to
	KindCopy                 // a page that is there under another address
	KindRedirect             // to elsewhere
	KindTrap                 // one of endlessly many
	KindFault                // what is broken for good
	KindPrivate              // what robots.txt may forbid
	KindNone                 // nothing: 404
)

// String names the kind.
func (k Kind) String() string {
	names := [...]string{"page", "robots", "copy", "redirect", "trap", "fault", "private", "none"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// Visit is a request as the server has seen it.
type Visit struct {
	Host, Path string // path and query
	Agent      string // User-Agent
	Kind       Kind
	Start, End time.Time // when the handler began and ended
	Status     int
	RetryAfter time.Duration // that the answer asked for
}

// Log returns a copy of the visits that have ended, in the order of their ends.
func (w *Web) Log() []Visit {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Visit(nil), w.log...)
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
	retry  time.Duration
}

func (s *statusWriter) WriteHeader(code int) {
	s.status = code
	s.ResponseWriter.WriteHeader(code)
}

func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// ServeHTTP answers for all hosts, by the Host header, and logs the visit.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimSuffix(r.Host, ":80")
	v := Visit{Host: name, Path: r.URL.RequestURI(), Agent: r.UserAgent(), Start: time.Now(), Kind: KindNone}
	sw := &statusWriter{ResponseWriter: rw, status: http.StatusOK}
	defer func() {
		v.End, v.Status, v.RetryAfter = time.Now(), sw.status, sw.retry
		w.mu.Lock()
		w.log = append(w.log, v)
		w.mu.Unlock()
	}()
	h := w.names[name]
	if h == nil {
		http.Error(sw, "no such host here", http.StatusMisdirectedRequest)
		return
	}
	if w.o.Latency > 0 {
		rng := w.rand(h, "latency"+v.Path)
		if !wait(r, rng.N(w.o.Latency)) {
			sw.status = 499 // the client has gone
			return
		}
	}
	v.Kind = w.answer(h, sw, r)
}

// wait passes time, unless the client goes before.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// answer is what a host has at a path.
func (w *Web) answer(h *Host, sw *statusWriter, r *http.Request) Kind {
	first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, _ := strconv.Atoi(strings.TrimSuffix(rest, ".html"))
	switch {
	case r.URL.Path == "/robots.txt":
		w.robots(h, sw, r)
		return KindRobots
	case first == "rules.txt" && h.Robots == RobotsMoved:
		io.WriteString(sw, h.rules())
		return KindRobots
	case r.URL.Path == "/":
		w.page(h, sw, 0)
		return KindPage
	case first == "p" && n > 0 && n < h.Pages && rest == strconv.Itoa(n)+".html":
		w.page(h, sw, n)
		return KindPage
	case first == "private":
		w.write(h, sw, "private "+rest, nil)
		return KindPrivate
	case first == "copy" && n < h.Pages && !w.o.Calm:
		w.page(h, sw, n)
		return KindCopy
	case first == "go" && !w.o.Calm:
		return w.redirect(h, sw, r, rest)
	case h.Trap:
		if w.trap(h, sw, r, first, rest) {
			return KindTrap
		}
	}
	if h.Faults {
		if kind, ok := w.fault(h, sw, r, first); ok {
			return kind
		}
	}
	http.NotFound(sw, r)
	return KindNone
}

// rules is the text of a robots.txt.
func (h *Host) rules() string {
	s := "# of " + h.Name + "\nUser-agent: *\nDisallow: /private/\nAllow: /private/open\n"
	if h.Delay > 0 {
		s += "Crawl-delay: " + strconv.FormatFloat(h.Delay.Seconds(), 'f', -1, 64) + "\n"
	}
	return s
}

func (w *Web) robots(h *Host, sw *statusWriter, r *http.Request) {
	switch h.Robots {
	case RobotsRules, RobotsDelay:
		io.WriteString(sw, h.rules())
	case RobotsMissing:
		http.NotFound(sw, r)
	case RobotsForbidden:
		http.Error(sw, "go away", http.StatusForbidden)
	case RobotsLate:
		if w.times(h, "robots") <= 2 {
			http.Error(sw, "not now", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(sw, h.rules())
	case RobotsMoved:
		http.Redirect(sw, r, "/rules.txt", http.StatusMovedPermanently)
	case RobotsAway:
		http.Redirect(sw, r, "http://"+w.hosts[h.n-int(RobotsAway)].Name+"/robots.txt", http.StatusFound)
	case RobotsHome:
		w.page(h, sw, 0)
	case RobotsHuge:
		io.WriteString(sw, h.rules())
		for line := strings.Repeat("# more\n", 1<<10); ; {
			if _, err := io.WriteString(sw, line); err != nil {
				return
			}
		}
	default:
		http.Error(sw, "out of order", http.StatusInternalServerError)
	}
}

// times counts how often something was asked for, this time included.
func (w *Web) times(h *Host, what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := h.Name + " " + what
	w.seen[key]++
	return w.seen[key]
}

func (w *Web) redirect(h *Host, sw *statusWriter, r *http.Request, to string) Kind {
	target := map[string]string{
		"page": pagePath(h.Pages - 1), "away": "http://" + w.hosts[(h.n*7+1)%len(w.hosts)].Name + "/",
		"self": "/go/self", "a": "/go/b", "b": "/go/a", "inside": "http://10.0.0.1/admin", "meta": "http://169.254.169.254/latest/", "mail": "mailto:x@" + h.Name,
	}[to]
	if target == "" {
		http.NotFound(sw, r)
		return KindNone
	}
	sw.Header().Set("Location", target)
	sw.WriteHeader(http.StatusFound)
	return KindRedirect
}

// fault answers for what fails: some of it once or twice, and then it is a page.
func (w *Web) fault(h *Host, sw *statusWriter, r *http.Request, first string) (Kind, bool) {
	switch first {
	case "flaky":
		if w.times(h, r.URL.Path) <= 2 {
			http.Error(sw, "try again", http.StatusInternalServerError)
			return KindPage, true
		}
		w.write(h, sw, r.URL.Path, nil)
		return KindPage, true
	case "busy":
		if w.times(h, r.URL.Path) == 1 {
			sw.retry = 2 * time.Minute
			sw.Header().Set("Retry-After", "120")
			http.Error(sw, "too many", http.StatusTooManyRequests)
			return KindPage, true
		}
		w.write(h, sw, r.URL.Path, nil)
		return KindPage, true
	case "endless":
		for line := strings.Repeat("<p>and so on", 1<<10); ; {
			if _, err := io.WriteString(sw, line); err != nil {
				return KindFault, true
			}
		}
	case "drip":
		sw.Header().Set("Content-Type", "text/html")
		rc := http.NewResponseController(sw)
		for {
			if _, err := io.WriteString(sw, "."); err != nil || rc.Flush() != nil || !wait(r, time.Second) {
				return KindFault, true
			}
		}
	case "bomb":
		sw.Header().Set("Content-Encoding", "gzip")
		sw.Write(bomb())
	case "cut":
		sw.Header().Set("Content-Length", "1000000")
		io.WriteString(sw, "<p>and then")
	case "binary":
		sw.Header().Set("Content-Type", "text/html")
		sw.Write([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x00\xff\xfe"))
	case "encoding":
		sw.Header().Set("Content-Encoding", "br")
		io.WriteString(sw, "this is no brotli")
	case "charset":
		sw.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(sw, "<meta charset=shift_jis><title>caf\xe9</title><p>\xff\xfe na\xefve")
	case "header":
		for i := range 3000 {
			sw.Header().Set(fmt.Sprintf("X-Filler-%d", i), "just because I can send it to you")
		}
		io.WriteString(sw, "hello")
	case "broken":
		http.Error(sw, "out of order", http.StatusInternalServerError)
	default:
		return 0, false
	}
	return KindFault, true
}

// faults are the paths of all faults but the two that are pages in the end.
var faults = []string{"endless", "drip", "bomb", "cut", "binary", "encoding", "charset", "header", "broken"}
