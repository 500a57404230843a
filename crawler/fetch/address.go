package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// The ranges that are not the public internet: those of IANA's special-purpose registries
// that are not globally reachable, and what clouds have put their metadata services at.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32", // a cloud's metadata, for all that it is in a public range
	"2001::/23", "2001:db8::/32", "3fff::/20",
)

// In IPv6 only this range is given out; all outside of it is special: loopback, unique local,
// link-local, multicast, and what wraps IPv4.
var given6 = netip.MustParsePrefix("2000::/3")

// Ranges that carry an IPv4 address inside: where it begins.
var carries4 = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4
}

func prefixes(s ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(s))
	for i, p := range s {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// Public reports whether an address belongs to the public internet: not to a private,
// loopback, link-local, shared, multicast, documentation or reserved range, nor to a cloud's metadata
// service. An IPv6 address that carries an IPv4 address is what that one is. Addresses with a
// zone are not public.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	if a.Is6() {
		for _, c := range carries4 {
			if c.prefix.Contains(a) {
				b := a.As16()
				return Public(netip.AddrFrom4([4]byte(b[c.at : c.at+4])))
			}
		}
		if !given6.Contains(a) {
			return false
		}
	}
	return !slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// otherPorts belong to protocols that could be made to understand a line of HTTP: the list
// of the fetch standard, and two caches whose protocols are lines.
var otherPorts = []uint16{
	0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
	110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
	532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
	5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211,
}

// permitted reports whether the policy lets the client connect to an address.
func (c *Client) permitted(a netip.Addr) bool {
	if Public(a) {
		return true
	}
	a = a.Unmap()
	return a.Zone() == "" && slices.ContainsFunc(c.o.Permit, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (c *Client) permittedPort(p uint16) bool {
	_, other := slices.BinarySearch(otherPorts, p)
	return !other || slices.Contains(c.o.PermitPorts, p)
}

// dialSystem connects by the system's means, and asks the policy a second time in the moment
// of connecting, so that no change to the way there can lead around it.
func (c *Client) dialSystem(ctx context.Context, network string, addr netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{
		KeepAlive: -1, // every read has a deadline
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil || !c.permitted(ap.Addr()) {
				return fmt.Errorf("%w: %s", ErrAddress, address)
			}
			return nil
		},
	}
	return d.DialContext(ctx, network, addr.String())
}

// dial connects to the first address that answers, of at most four; each has its share of
// the time that is left.
func (c *Client) dial(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, netip.AddrPort, error) {
	var last error
	addrs = addrs[:min(len(addrs), 4)]
	for i, a := range addrs {
		share := ctx
		if end, ok := ctx.Deadline(); ok && i < len(addrs)-1 {
			var cancel context.CancelFunc
			share, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(len(addrs)-i))
			defer cancel()
		}
		ap := netip.AddrPortFrom(a, port)
		conn, err := c.o.Dial(share, "tcp", ap)
		if err == nil {
			return conn, ap, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, netip.AddrPort{}, last
}
