package frontier

import (
	"math"
	"strings"
	"time"
)

// Item is a URL to be visited.
type Item struct {
	// URL is absolute, http or https. It is taken as it stands: two spellings are two
	// items, so canonicalise before (package urlx).
	URL string
	// Host names the queue that the item waits in: what may be visited by one request at a
	// time. Empty: host and port of the URL. A registrable domain or an address makes all
	// that share it wait for each other. At most 255 bytes; it must be the same for the same URL.
	Host string
	// Priority is from 0, first, to 5, last; steps of a third count.
	Priority float64
	// Depth is the number of links from a seed, at most 65,535.
	Depth int
	// NotBefore holds the item back until then. Zero: at once.
	NotBefore time.Time
	// Meta is the caller's; it is copied, and comes back with the lease.
	Meta []byte
}

// levels is the number of priorities that are told apart.
const levelCount = 16

// level turns a priority into a level.
func level(priority float64) (uint8, bool) {
	if !(priority >= 0 && priority <= 5) { // NaN as well
		return 0, false
	}
	return uint8(math.Round(priority * 3)), true
}

func priority(level uint8) float64 { return float64(level) / 3 }

// check validates an item and returns the name of its queue and its level; reason is
// empty if it is good.
func (o *Options) check(it *Item) (host string, lvl uint8, reason string) {
	switch {
	case it.URL == "":
		return "", 0, "empty URL"
	case len(it.URL) > o.MaxURL:
		return "", 0, "URL too long"
	case len(it.Meta) > o.MaxMeta:
		return "", 0, "Meta too long"
	case it.Depth < 0 || it.Depth > math.MaxUint16:
		return "", 0, "depth out of range"
	}
	lvl, ok := level(it.Priority)
	if !ok {
		return "", 0, "priority out of range"
	}
	host, reason = hostOf(it.URL)
	if reason != "" {
		return "", 0, reason
	}
	if it.Host != "" {
		host = it.Host
	}
	if !validHost(host) {
		return "", 0, "bad host name"
	}
	return host, lvl, ""
}

// validHost reports whether a queue may have that name.
func validHost(name string) bool {
	if name == "" || len(name) > maxHostName {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] == 0x7f {
			return false
		}
	}
	return true
}

// hostOf returns the host and, unless it is the scheme's own, the port of a URL, in lower
// case and without user information.
func hostOf(url string) (host, reason string) {
	rest, https := strings.CutPrefix(url, "https://")
	if !https {
		var http bool
		if rest, http = strings.CutPrefix(url, "http://"); !http {
			return "", "not an absolute http or https URL"
		}
	}
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	if https {
		rest = strings.TrimSuffix(rest, ":443")
	} else {
		rest = strings.TrimSuffix(rest, ":80")
	}
	rest = strings.TrimSuffix(rest, ":")
	rest = strings.TrimSuffix(rest, ".")
	if rest == "" {
		return "", "no host"
	}
	return strings.ToLower(rest), ""
}
