package cluster

import (
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// cutTransport is a real transport that sends nothing to the addresses that are cut.
// Both ends cutting makes a partition; one end alone makes a one-way fault.
type cutTransport struct {
	*memberlist.NetTransport
	cut func(addr string) bool
}

var _ memberlist.NodeAwareTransport = (*cutTransport)(nil)

func (t *cutTransport) isCut(addr string) bool { return t.cut != nil && t.cut(addr) }

// WriteTo drops the packet silently, as a network does.
func (t *cutTransport) WriteTo(b []byte, addr string) (time.Time, error) {
	if t.isCut(addr) {
		return time.Now(), nil
	}
	return t.NetTransport.WriteTo(b, addr)
}

// WriteToAddress is WriteTo for a named member.
func (t *cutTransport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// DialTimeout fails at once where a real cut would run into the timeout.
func (t *cutTransport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if t.isCut(addr) {
		return nil, fmt.Errorf("cluster: dial %s: network is cut", addr)
	}
	return t.NetTransport.DialTimeout(addr, timeout)
}

// DialAddressTimeout is DialTimeout for a named member.
func (t *cutTransport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}
