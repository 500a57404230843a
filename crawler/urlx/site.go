package urlx

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// HostKey returns what names the server in a table of hosts: host and, if it is not the
// scheme's own, port. The dot that may end a name is left out, so that it opens no second
// way to the same server. http and https on their own ports share a key.
func (u *URL) HostKey() string {
	if u.hostEnd > u.hostStart && u.href[u.hostEnd-1] == '.' {
		if u.portEnd == u.hostEnd {
			return u.href[u.hostStart : u.hostEnd-1]
		}
		return u.href[u.hostStart:u.hostEnd-1] + u.href[u.hostEnd:u.portEnd]
	}
	return u.Host()
}

// Site returns the registrable domain of the host: "example.co.uk" for
// www.example.co.uk. For an address, a public suffix or a name without a dot it is the
// host itself.
func (u *URL) Site() string {
	if u.ip {
		return u.Hostname()
	}
	return site(strings.TrimSuffix(u.Hostname(), "."))
}

func site(host string) string {
	if s, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return s
	}
	return host
}
