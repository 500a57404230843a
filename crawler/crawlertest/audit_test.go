package crawlertest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var epoch = time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)

// visit is one from and to a number of milliseconds.
func visit(host, path string, from, to int) Visit {
	v := Visit{Host: host, Path: path, Start: epoch.Add(time.Duration(from) * time.Millisecond), End: epoch.Add(time.Duration(to) * time.Millisecond), Status: 200}
	if path == "/robots.txt" {
		v.Kind = KindRobots
	}
	return v
}

func with(v Visit, f func(*Visit)) Visit { f(&v); return v }

// TestPlanted puts one violation of each manner into a log, and none into its polite twin.
func TestPlanted(t *testing.T) {
	rules := func(host string) Rules {
		r := Rules{Allowed: func(p string) bool { return !strings.HasPrefix(p, "/private") }}
		switch host {
		case "slow":
			r.Delay = 5 * time.Second
		case "moved":
			r.RobotsFrom = "a"
		}
		return r
	}
	robots := visit("a", "/robots.txt", 0, 10)
	status := func(s int) func(*Visit) { return func(v *Visit) { v.Status = s } }
	for _, tc := range []struct {
		name string
		log  []Visit
		want []Manner
	}{
		{"polite", []Visit{robots, visit("a", "/", 1010, 1500), visit("a", "/b", 2500, 2600)}, nil},
		{"in any order", []Visit{visit("a", "/b", 2500, 2600), robots, visit("a", "/", 1010, 1500)}, nil},
		{"other hosts meanwhile", []Visit{robots, visit("b", "/robots.txt", 1, 5), visit("a", "/", 1010, 1500), visit("b", "/", 1005, 1600)}, nil},
		{"a millisecond early", []Visit{robots, visit("a", "/", 1009, 1500)}, []Manner{Hasty}},
		{"begin counted from begin", []Visit{robots, visit("a", "/", 1010, 1900), visit("a", "/b", 2010, 2100)}, []Manner{Hasty}},
		{"robots.txt is a visit too", []Visit{visit("a", "/robots.txt", 0, 10), visit("a", "/robots.txt", 500, 510)}, []Manner{Hasty}},
		{"two at a time", []Visit{robots, visit("a", "/", 2000, 5000), visit("a", "/b", 3500, 3600)}, []Manner{Parallel}},
		{"one within a long one, one after", []Visit{robots, visit("a", "/", 2000, 9000), visit("a", "/b", 3500, 3600), visit("a", "/c", 5000, 5100)}, []Manner{Parallel, Parallel}},
		{"crawl delay", []Visit{visit("slow", "/robots.txt", 0, 10), visit("slow", "/", 4000, 4100)}, []Manner{Hasty}},
		{"crawl delay kept", []Visit{visit("slow", "/robots.txt", 0, 10), visit("slow", "/", 5010, 5100), visit("slow", "/b", 10100, 10200)}, nil},
		{"forbidden", []Visit{robots, visit("a", "/private/x", 2000, 2100)}, []Manner{Disallowed}},
		{"without robots.txt", []Visit{visit("a", "/", 0, 10)}, []Manner{Blind}},
		{"before robots.txt was read", []Visit{visit("a", "/", 0, 10), visit("a", "/robots.txt", 2000, 2010)}, []Manner{Blind}},
		{"robots.txt failed", []Visit{with(robots, status(503)), visit("a", "/", 2000, 2010)}, []Manner{Blind}},
		{"robots.txt was throttled", []Visit{with(robots, status(429)), visit("a", "/", 2000, 2010)}, []Manner{Blind}},
		{"robots.txt moved, and nobody followed", []Visit{with(robots, status(301)), visit("a", "/", 2000, 2010)}, []Manner{Blind}},
		{"robots.txt is missing", []Visit{with(robots, status(404)), visit("a", "/", 2000, 2010)}, nil},
		{"robots.txt elsewhere", []Visit{robots, visit("moved", "/", 2000, 2010)}, nil},
		{"robots.txt elsewhere, later", []Visit{visit("moved", "/", 2000, 2010), visit("a", "/robots.txt", 3000, 3010)}, []Manner{Blind}},
		{"robots.txt elsewhere, read again meanwhile", []Visit{robots, visit("a", "/robots.txt", 4000, 5000), visit("moved", "/", 4500, 4600)}, nil},
		{"old robots.txt", []Visit{robots, visit("a", "/", 86_400_011, 86_400_020)}, []Manner{Stale}},
		{"robots.txt read again", []Visit{robots, visit("a", "/robots.txt", 86_000_000, 86_000_010), visit("a", "/", 86_400_011, 86_400_020)}, nil},
		{"asked to wait", []Visit{robots, with(visit("a", "/", 2000, 2010), func(v *Visit) { v.Status, v.RetryAfter = 429, time.Minute }), visit("a", "/b", 30_000, 30_010)}, []Manner{Deaf}},
		{"waited", []Visit{robots, with(visit("a", "/", 2000, 2010), func(v *Visit) { v.Status, v.RetryAfter = 429, time.Minute }), visit("a", "/b", 62_010, 62_020)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Audit(tc.log, rules, AuditOptions{})
			var got []Manner
			for _, v := range r.Violations {
				got = append(got, v.Manner)
			}
			require.Equal(t, tc.want, got, r)
		})
	}
	r := Audit([]Visit{robots, visit("a", "/", 1000, 1500)}, rules, AuditOptions{Slack: 20 * time.Millisecond})
	require.Empty(t, r.Violations)
	require.Equal(t, 990*time.Millisecond, r.MinGap)
	require.Equal(t, "2 visits to 1 hosts: no violation", r.String())
	require.Equal(t, 1, r.Fetched["http://a/"])
	r = Audit([]Visit{robots, visit("a", "/", 11, 15)}, rules, AuditOptions{MinDelay: -1})
	require.Empty(t, r.Violations)
	r = Audit([]Visit{robots, visit("a", "/", 510, 515)}, rules, AuditOptions{})
	require.Equal(t, "2 visits to 1 hosts: 1 violations, 1 hasty\n  hasty: http://a/, 500ms too early", r.String())
	for m := range manners {
		require.NotEqual(t, "unknown", m.String())
	}
	require.Equal(t, "unknown", manners.String())
}
