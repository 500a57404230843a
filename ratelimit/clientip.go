package ratelimit

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies says whose word is taken about where a request comes from.
type Proxies struct {
	// Trusted are the addresses of our own proxies. Empty: nobody's word, the peer is the
	// client.
	Trusted []netip.Prefix
	// Header is where they say it: "X-Forwarded-For" if empty. Each proxy must append to
	// it (or, like "CF-Connecting-IP", replace it by one address); one that passes on what
	// it is given must not be trusted.
	Header string
	// V4Bits and V6Bits are how much of an address makes a client. 0 means all 32 bits of
	// IPv4, and 64 of IPv6: who has one IPv6 address has 2^64.
	V4Bits, V6Bits int
}

// ClientIP is the prefix that a request comes from. Starting from the peer, and then from
// the right of the header, it skips the addresses of trusted proxies; the first other one
// is the client. What stands further left anybody may have written. ErrClient if there is
// something else than an address where it has to be trusted.
func (p *Proxies) ClientIP(r *http.Request) (netip.Prefix, error) {
	at, err := peer(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.trusts(at) {
		name := p.Header
		if name == "" {
			name = "X-Forwarded-For"
		}
		// Several headers are one list, in order.
		lines := r.Header.Values(name)
	walk:
		for i := len(lines) - 1; i >= 0; i-- {
			for rest, more := lines[i], true; more; {
				var last string
				if j := strings.LastIndexByte(rest, ','); j >= 0 {
					rest, last = rest[:j], rest[j+1:]
				} else {
					last, more = rest, false
				}
				if at, err = peer(strings.TrimSpace(last)); err != nil {
					return netip.Prefix{}, err
				}
				if !p.trusts(at) {
					break walk
				}
			}
		}
	}
	return p.prefix(at)
}

func (p *Proxies) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(p.Trusted, func(t netip.Prefix) bool { return t.Contains(a) })
}

func (p *Proxies) prefix(a netip.Addr) (netip.Prefix, error) {
	n := p.V6Bits
	if n == 0 {
		n = 64
	}
	if a.Is4() {
		if n = p.V4Bits; n == 0 {
			n = 32
		}
	}
	x, err := a.Prefix(n)
	if err != nil {
		return x, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return x, nil
}

// peer reads an address with or without port, brackets and zone. IPv4 in IPv6 is IPv4; a
// zone names our own interface, not the client.
func peer(s string) (netip.Addr, error) {
	var a netip.Addr
	var err error
	switch n := len(s); {
	case strings.Contains(s, "]:"), strings.Count(s, ":") == 1:
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		a = ap.Addr()
	case n > 2 && s[0] == '[' && s[n-1] == ']':
		a, err = netip.ParseAddr(s[1 : n-1])
	default:
		a, err = netip.ParseAddr(s)
	}
	if err != nil {
		if len(s) > 64 {
			s = s[:64] + "…"
		}
		return a, fmt.Errorf("%w: %q is no address", ErrClient, s)
	}
	return a.Unmap().WithZone(""), nil
}
