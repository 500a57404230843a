package crawlertest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Manner is a way to be impolite.
type Manner uint8

// The ways.
const (
	Parallel   Manner = iota // a visit began before the one before had ended
	Hasty                    // the pause before it was shorter than is owed
	Disallowed               // robots.txt forbids it
	Blind                    // robots.txt had not been read, or could not be
	Stale                    // robots.txt was read too long ago
	Deaf                     // a Retry-After had ruled it out
	manners
)

// String names the way.
func (m Manner) String() string {
	names := [...]string{"parallel", "hasty", "disallowed", "blind", "stale", "deaf"}
	if int(m) < len(names) {
		return names[m]
	}
	return "unknown"
}

// Rules are what a host is owed.
type Rules struct {
	Delay   time.Duration // beyond AuditOptions.MinDelay, once robots.txt has been read
	Allowed func(path string) bool
	// RobotsFrom is the host whose robots.txt counts, "" for its own: where a redirect leads to.
	RobotsFrom string
}

// AuditOptions say what is decent. The zero value is one request at a time to a host, a
// second between them, and a robots.txt not older than a day.
type AuditOptions struct {
	MinDelay  time.Duration // 1 s; negative: none
	MaxRobots time.Duration // age of a robots.txt: 24 h
	// Slack is the error of measurement that is forgiven: 0, which is right for virtual time. Over
	// sockets, the time from the client to the handler and back.
	Slack time.Duration
}

// Violation is a visit that should not have been.
type Violation struct {
	Manner Manner
	Visit  Visit
	Wanted time.Time // when it might have been; zero if never
}

// String describes it in a line.
func (v Violation) String() string {
	s := fmt.Sprintf("%s: http://%s%s", v.Manner, v.Visit.Host, v.Visit.Path)
	if !v.Wanted.IsZero() {
		s += fmt.Sprintf(", %s too early", v.Wanted.Sub(v.Visit.Start))
	}
	return s
}

// Report is a judgement.
type Report struct {
	Visits     int
	Hosts      int
	ByKind     map[Kind]int
	Violations []Violation
	// Fetched counts, by address, how often a page or a copy was had with status 200.
	Fetched map[string]int
	MinGap  time.Duration // the shortest pause between two visits to a host; 0 if no host had two
}

// Count returns how many violations are of one kind.
func (r *Report) Count(m Manner) (n int) {
	for _, v := range r.Violations {
		if v.Manner == m {
			n++
		}
	}
	return n
}

// String is the judgement in a line, with the first few violations below it.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d visits to %d hosts: ", r.Visits, r.Hosts)
	if len(r.Violations) == 0 {
		return b.String() + "no violation"
	}
	fmt.Fprintf(&b, "%d violations", len(r.Violations))
	for m := range manners {
		if n := r.Count(m); n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, m)
		}
	}
	for _, v := range r.Violations[:min(5, len(r.Violations))] {
		b.WriteString("\n  " + v.String())
	}
	return b.String()
}

// Audit judges the web's log.
func (w *Web) Audit(o AuditOptions) *Report {
	return Audit(w.Log(), func(name string) Rules {
		h := w.names[name]
		if h == nil {
			return Rules{}
		}
		r := Rules{Delay: h.Delay, Allowed: h.Allowed}
		if h.Robots == RobotsAway {
			r.RobotsFrom = w.hosts[h.n-int(RobotsAway)].Name
		}
		return r
	}, o)
}

// Audit judges a log, in any order. Rules is asked once for each host; a nil Allowed allows all.
func Audit(log []Visit, rules func(host string) Rules, o AuditOptions) *Report {
	if o.MinDelay == 0 {
		o.MinDelay = time.Second
	}
	if o.MaxRobots == 0 {
		o.MaxRobots = 24 * time.Hour
	}
	log = slices.Clone(log)
	slices.SortStableFunc(log, func(a, b Visit) int { return a.Start.Compare(b.Start) })
	rep := &Report{Visits: len(log), ByKind: map[Kind]int{}, Fetched: map[string]int{}}
	hosts := map[string]*conduct{}
	for _, v := range log {
		if hosts[v.Host] == nil {
			hosts[v.Host] = &conduct{rules: rules(v.Host)}
		}
	}
	rep.Hosts = len(hosts)
	for _, v := range log {
		c := hosts[v.Host]
		rep.ByKind[v.Kind]++
		if v.Status == 200 && (v.Kind == KindPage || v.Kind == KindCopy) {
			rep.Fetched["http://"+v.Host+v.Path]++
		}
		if !c.end.IsZero() {
			if gap := v.Start.Sub(c.end); rep.MinGap == 0 || gap < rep.MinGap {
				rep.MinGap = gap
			}
		}
		from := c
		if c.rules.RobotsFrom != "" && hosts[c.rules.RobotsFrom] != nil {
			from = hosts[c.rules.RobotsFrom]
		}
		c.judge(v, from, o, func(m Manner, wanted time.Time) {
			rep.Violations = append(rep.Violations, Violation{m, v, wanted})
		})
	}
	return rep
}

// conduct is how a host was treated so far.
type conduct struct {
	rules  Rules
	end    time.Time   // of the visit that ended last
	quiet  time.Time   // until when a Retry-After asks for quiet
	robots []time.Time // when robots.txt had been read with a result, by the begin of that
}

// read returns when robots.txt was read last before a moment; zero if never.
func (c *conduct) read(at time.Time) (last time.Time) {
	for _, r := range slices.Backward(c.robots) {
		if !r.After(at) && r.After(last) {
			last = r
		}
		if at.Sub(r) > time.Hour { // those before it are older still, but for what an answer takes
			break
		}
	}
	return last
}

func (c *conduct) judge(v Visit, from *conduct, o AuditOptions, blame func(Manner, time.Time)) {
	owed := max(o.MinDelay, 0)
	if !from.read(v.Start).IsZero() {
		owed = max(owed, c.rules.Delay)
	}
	begun := v.Start.Add(o.Slack)
	if !c.end.IsZero() {
		switch at := c.end.Add(owed); {
		case begun.Before(c.end):
			blame(Parallel, c.end)
		case begun.Before(at):
			blame(Hasty, at)
		}
	}
	if begun.Before(c.quiet) {
		blame(Deaf, c.quiet)
	}
	if v.Kind != KindRobots {
		switch read := from.read(begun); {
		case read.IsZero():
			blame(Blind, time.Time{})
		case v.Start.Sub(read) > o.MaxRobots+o.Slack:
			blame(Stale, time.Time{})
		}
		if c.rules.Allowed != nil && !c.rules.Allowed(v.Path) {
			blame(Disallowed, time.Time{})
		}
	}
	if v.End.After(c.end) {
		c.end = v.End
	}
	if until := v.End.Add(v.RetryAfter); v.RetryAfter > 0 && until.After(c.quiet) {
		c.quiet = until
	}
	// A redirect, 429 and 5xx do not say what is allowed.
	if s := v.Status; v.Kind == KindRobots && (s < 300 || s >= 400 && s < 500 && s != 429) {
		c.robots = append(c.robots, v.End)
	}
}
