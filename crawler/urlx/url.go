package urlx

import (
	"errors"
	"strings"
)

var (
	// ErrRelative is for a reference without scheme where there is no base, or none that
	// it could be relative to.
	ErrRelative = errors.New("urlx: relative URL without a base")
	// ErrHost is for a host that is missing or cannot be one.
	ErrHost = errors.New("urlx: bad host")
	// ErrPort is for a port that is no number below 65536.
	ErrPort = errors.New("urlx: bad port")
	// ErrScheme is for a URL that Canonical does not handle: neither http nor https.
	ErrScheme = errors.New("urlx: neither http nor https")
	// ErrTooLong is for a URL beyond the profile's, or this package's, limit.
	ErrTooLong = errors.New("urlx: URL too long")
)

// maxInput keeps all offsets, three times as large after encoding, in 32 bits.
const maxInput = 256 << 20

// URL is a parsed URL: its normal form and where the parts of it are.
type URL struct {
	href string
	parts
}

// parts are offsets into a URL's normal form:
//
//	https://user:pass@example.org:8080/a/b?q#top
//	     │  │   │    ││          │    │    │ │
//	     │  │   │    │hostStart  │    │    │ fragment
//	     │  │   │    passEnd     │    │    query
//	     │  │   userEnd     hostEnd   portEnd = path, but for "/." between them
//	     │  scheme+3                  where a path without host begins with "//"
//	     scheme
//
// Where there is no userinfo, password or port, the offsets around it are equal; query and
// fragment are -1 if there is none, which is not the same as an empty one.
type parts struct {
	scheme, userEnd, passEnd, hostStart, hostEnd, portEnd, path, query, fragment int32

	hasHost bool // an authority, if with an empty host
	opaque  bool // the path is no list of segments, as in mailto:
	ip      bool // the host is an address
}

// Parse parses an absolute URL. The result may keep s, if that is in normal form already.
func Parse(s string) (*URL, error) { return parse(nil, s) }

// Resolve parses ref, which may be relative, as a link in a document at u. The result may
// keep ref.
func (u *URL) Resolve(ref string) (*URL, error) { return parse(u, ref) }

func parse(base *URL, s string) (*URL, error) {
	if p, ok := scan(s); ok {
		return &URL{href: s, parts: p}, nil
	}
	size := len(s) + 16
	if base != nil {
		size += len(base.href)
	}
	buf, p, err := appendParsed(make([]byte, 0, min(size, 1<<12)), base, s)
	if err != nil {
		return nil, err
	}
	return &URL{href: view(buf), parts: p}, nil // nobody else has buf
}

// String returns the normal form, which parses to an equal URL.
func (u *URL) String() string { return u.href }

// Scheme returns the scheme in lower case, without colon.
func (u *URL) Scheme() string { return u.href[:u.scheme] }

// Username returns the user's name, percent-encoded; "" if there is none.
func (u *URL) Username() string {
	if u.userEnd <= u.scheme+3 {
		return ""
	}
	return u.href[u.scheme+3 : u.userEnd]
}

// Password returns the password, percent-encoded; "" if there is none.
func (u *URL) Password() string {
	if u.passEnd <= u.userEnd {
		return ""
	}
	return u.href[u.userEnd+1 : u.passEnd]
}

// Host returns the host with its port, if that is not the scheme's own.
func (u *URL) Host() string { return u.href[u.hostStart:u.portEnd] }

// Hostname returns the host: a name in lower case and Punycode, an IPv4 address, an IPv6
// address in brackets, or whatever a scheme unknown to the standard has in that place.
func (u *URL) Hostname() string { return u.href[u.hostStart:u.hostEnd] }

// Port returns the port's digits; "" if there is none, or it is the scheme's own.
func (u *URL) Port() string {
	if u.portEnd <= u.hostEnd {
		return ""
	}
	return u.href[u.hostEnd+1 : u.portEnd]
}

// IsIP reports whether the host is an IPv4 or IPv6 address.
func (u *URL) IsIP() bool { return u.ip }

// Path returns the path, percent-encoded. That of http and https is never empty.
func (u *URL) Path() string { return u.href[u.path:u.pathEnd()] }

// Query returns what follows the first question mark; ok is false if there is none.
func (u *URL) Query() (query string, ok bool) {
	if u.query < 0 {
		return "", false
	}
	end := int32(len(u.href))
	if u.fragment >= 0 {
		end = u.fragment
	}
	return u.href[u.query+1 : end], true
}

// Fragment returns what follows the number sign; ok is false if there is none.
func (u *URL) Fragment() (fragment string, ok bool) {
	if u.fragment < 0 {
		return "", false
	}
	return u.href[u.fragment+1:], true
}

// PathQuery returns path and query, as they stand in a request and as robots.txt is asked
// about them.
func (u *URL) PathQuery() string {
	if u.fragment >= 0 {
		return u.href[u.path:u.fragment]
	}
	return u.href[u.path:]
}

// Opaque reports whether the path is no list of segments, as that of mailto: or data:.
func (u *URL) Opaque() bool { return u.opaque }

// Origin returns scheme, host and port, as browsers compare them; "null" for a scheme
// that has no origin.
func (u *URL) Origin() string {
	switch s := u.Scheme(); s {
	case "http", "https", "ws", "wss", "ftp":
		return s + "://" + u.Host()
	case "blob":
		if in, err := Parse(u.Path()); err == nil && (in.Scheme() == "http" || in.Scheme() == "https") {
			return in.Origin()
		}
	}
	return "null"
}

func (p *parts) pathEndIn(n int) int32 {
	switch {
	case p.query >= 0:
		return p.query
	case p.fragment >= 0:
		return p.fragment
	}
	return int32(n)
}

func (u *URL) pathEnd() int32 { return u.pathEndIn(len(u.href)) }

// defaultPort returns the port that a special scheme has of its own, "" for file, and
// whether the scheme is special to the standard.
func defaultPort(scheme string) (port string, special bool) {
	switch scheme {
	case "http", "ws":
		return "80", true
	case "https", "wss":
		return "443", true
	case "ftp":
		return "21", true
	case "file":
		return "", true
	}
	return "", false
}

// cleaned returns s without control characters and spaces around it and without tabs and
// line ends in it.
func cleaned(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	if !strings.ContainsAny(s, "\t\n\r") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
}
