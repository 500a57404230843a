package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var refused = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254",
	"172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
	"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
	"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
	"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2001:20::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "5f00::1", "4000::1",
}

var public = []string{
	"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255",
	"::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111", "2001:4860:4860::8888", "2002:808:808::1", "2a00::1",
}

func TestPublic(t *testing.T) {
	for _, s := range refused {
		require.False(t, Public(netip.MustParseAddr(s)), s)
	}
	for _, s := range public {
		require.True(t, Public(netip.MustParseAddr(s)), s)
	}
	require.False(t, Public(netip.Addr{}))
}

// names4 resolves names by a function.
type names4 func(host string) ([]netip.Addr, time.Duration, error)

func (f names4) Lookup(_ context.Context, host string) ([]netip.Addr, time.Duration, error) {
	return f(host)
}

// TestRefusedBeforeDialling asks for every address that is not public, by number and by name,
// in the forms in which browsers take them, and beside a public one.
func TestRefusedBeforeDialling(t *testing.T) {
	var now netip.Addr
	var dialled []netip.AddrPort
	both := false
	c := newClient(t, Options{
		DNS: DNS{Resolver: names4(func(string) ([]netip.Addr, time.Duration, error) {
			if both {
				return []netip.Addr{now, netip.MustParseAddr("8.8.8.8"), now}, 0, nil
			}
			return []netip.Addr{now}, 0, nil
		})},
		Dial: func(_ context.Context, _ string, a netip.AddrPort) (net.Conn, error) {
			dialled = append(dialled, a)
			return nil, errors.New("refused by the test")
		},
	})
	fetch := func(url string) error {
		_, err := c.Fetch(t.Context(), Request{URL: parse(t, url)})
		return err
	}
	for i, s := range refused {
		now = netip.MustParseAddr(s)
		both = false
		require.ErrorIs(t, fetch(fmt.Sprintf("http://h%d.example/", i)), ErrAddress, s)
		if now.Zone() == "" {
			lit := s
			if now.Is6() {
				lit = "[" + s + "]"
			}
			require.ErrorIs(t, fetch("http://"+lit+"/"), ErrAddress, s)
		}
		require.Empty(t, dialled)
		both = true
		require.ErrorIs(t, fetch(fmt.Sprintf("https://both%d.example/", i)), ErrConnect)
		require.Equal(t, []netip.AddrPort{netip.MustParseAddrPort("8.8.8.8:443")}, dialled, "of several, only the public one")
		dialled = nil
	}
	for _, url := range []string{
		"http://0x7f.1/", "http://2130706433/", "http://0177.0.0.1/", "http://127.1/", "http://0/", "http://[::ffff:7f00:1]/", "http://good.example@127.0.0.1/",
		"http://①②⑦.0.0.1/", "http://127.0.0.1./", "http:\\\\127.0.0.1\\", "http://%31%32%37.0.0.1/",
	} {
		require.ErrorIs(t, fetch(url), ErrAddress, url)
	}
	require.Empty(t, dialled)
	require.Positive(t, c.Stats().Refused)
}

// TestSystemDialAsksAgain goes around the first look, as a bug might.
func TestSystemDialAsksAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c := newClient(t, Options{})
	_, _, err = c.dial(t.Context(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, netip.MustParseAddrPort(l.Addr().String()).Port())
	require.ErrorIs(t, err, ErrAddress)
}

// TestRebinding lets a name point to a public address when it is looked at, and to loopback
// a moment later.
func TestRebinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		o := scripted(say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"))
		inner := o.Dial
		o.Dial = func(ctx context.Context, network string, a netip.AddrPort) (net.Conn, error) {
			if !Public(a.Addr()) {
				t.Errorf("dialled %s", a)
			}
			return inner(ctx, network, a)
		}
		o.DNS.Resolver = names4(func(string) ([]netip.Addr, time.Duration, error) {
			if asked++; asked%2 == 1 {
				return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, time.Nanosecond, nil
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, time.Nanosecond, nil
		})
		c, err := New(o)
		require.NoError(t, err)
		defer c.Close()
		for i := range 6 {
			_, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://rebind.example/")})
			if i%2 == 0 {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrAddress)
			}
			time.Sleep(11 * time.Second) // beyond the least time that an answer is kept
		}
		require.Equal(t, 6, asked)
	})
}

// TestDialTriesAddresses gives each of several addresses a share of the time.
func TestDialTriesAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := scripted(say(ok("", "hello")))
		good := o.Dial
		o.DNS.Resolver = fixed{netip.MustParseAddr("8.0.0.1"), netip.MustParseAddr("8.0.0.2"), netip.MustParseAddr("8.0.0.3")}
		o.Dial = func(ctx context.Context, network string, a netip.AddrPort) (net.Conn, error) {
			switch a.Addr().As4()[3] {
			case 1: // hangs
				<-ctx.Done()
				return nil, ctx.Err()
			case 2:
				return nil, errors.New("connection refused")
			}
			return good(ctx, network, a)
		}
		c, err := New(o)
		require.NoError(t, err)
		defer c.Close()
		resp, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
		require.NoError(t, err)
		require.Equal(t, 5*time.Second, resp.Trace.Connect, "a third of the time went to the first")
		require.Equal(t, "8.0.0.3:80", resp.Addr.String())
	})
}

// TestConnectTimeout has a network that swallows all.
func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := scripted(nil)
		o.Dial = func(ctx context.Context, network string, a netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c, err := New(o)
		require.NoError(t, err)
		defer c.Close()
		begin := time.Now()
		_, err = c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, 15*time.Second, time.Since(begin))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Fetch(ctx, Request{URL: parse(t, "http://a.example/")})
		require.ErrorIs(t, err, context.DeadlineExceeded, "the caller's own bound keeps its name")
		require.NotErrorIs(t, err, ErrTimeout)
	})
}
