package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		ttl := time.Duration(0)
		var fail error
		o := Options{DNS: DNS{Resolver: names4(func(host string) ([]netip.Addr, time.Duration, error) {
			asked[host]++
			return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, ttl, fail
		}), MaxNames: 100}}
		c, err := New(o)
		require.NoError(t, err)
		defer c.Close()
		n := 0
		// lives returns how long an answer is remembered.
		lives := func() time.Duration {
			n++
			host := fmt.Sprintf("n%d.example", n)
			look := func() { c.names.lookup(t.Context(), c.base, host) }
			look()
			begin := time.Now()
			for asked[host] == 1 {
				time.Sleep(time.Second)
				look()
			}
			return time.Since(begin)
		}
		require.Equal(t, 5*time.Minute, lives(), "not known")
		ttl = time.Minute
		require.Equal(t, time.Minute, lives())
		ttl = time.Second
		require.Equal(t, 10*time.Second, lives(), "the least")
		ttl = 1000 * time.Hour
		require.Equal(t, time.Hour, lives(), "the most")
		fail = &net.DNSError{IsNotFound: true}
		require.Equal(t, time.Minute, lives(), "a name that does not exist")
		fail = &net.DNSError{IsTemporary: true}
		require.Equal(t, 6*time.Second, lives(), "a server that fails")

		// More names than there is room for.
		fail = nil
		for i := range 1000 {
			_, err := c.names.lookup(t.Context(), c.base, fmt.Sprintf("m%d.example", i))
			require.NoError(t, err)
			require.LessOrEqual(t, len(c.names.m), 100)
		}
	})
}

func TestNameErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			addrs     []netip.Addr
			err, want error
			temporary bool
		}{
			{nil, &net.DNSError{Err: "no such host", IsNotFound: true}, ErrNoHost, false},
			{nil, nil, ErrNoHost, false},
			{nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true}, ErrResolve, true},
			{nil, errors.New("what"), ErrResolve, true},
		} {
			c, err := New(Options{DNS: DNS{Resolver: names4(func(string) ([]netip.Addr, time.Duration, error) { return tc.addrs, 0, tc.err })}})
			require.NoError(t, err)
			_, err = c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
			require.ErrorIs(t, err, tc.want)
			var fe *Error
			require.ErrorAs(t, err, &fe)
			require.Equal(t, PhaseResolve, fe.Phase)
			require.Equal(t, tc.temporary, fe.Temporary())
			require.NoError(t, c.Close())
		}
	})
}

// hanging never answers.
type hanging struct{}

func (hanging) Lookup(ctx context.Context, _ string) ([]netip.Addr, time.Duration, error) {
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

func TestResolverThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options{DNS: DNS{Resolver: hanging{}}})
		require.NoError(t, err)
		begin := time.Now()
		_, err = c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
		require.ErrorIs(t, err, ErrTimeout)
		require.Equal(t, 15*time.Second, time.Since(begin))
		go func() { time.Sleep(time.Second); c.Close() }()
		_, err = c.Fetch(t.Context(), Request{URL: parse(t, "http://b.example/")})
		require.ErrorIs(t, err, ErrClosed)
	})
}

// TestOneQuestionAtATime lets many ask for one name, and the first of them give up.
func TestOneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c, err := New(Options{DNS: DNS{Resolver: names4(func(string) ([]netip.Addr, time.Duration, error) {
			asked++
			time.Sleep(time.Second)
			return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, 0, nil
		})}})
		require.NoError(t, err)
		defer c.Close()
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ctx := t.Context()
				if i == 0 {
					ctx = impatient
				} else {
					time.Sleep(500 * time.Microsecond)
				}
				addrs, err := c.names.lookup(ctx, c.base, "a.example")
				if i == 0 {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					return
				}
				require.NoError(t, err)
				require.Len(t, addrs, 1)
			})
		}
		wg.Wait()
		require.Equal(t, 1, asked)
	})
}

// TestSystemResolver looks that the system's resolver is asked with the caller's context. It
// sends nothing.
func TestSystemResolver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	addrs, _, err := system{}.Lookup(ctx, "a.invalid")
	require.Error(t, err)
	require.Empty(t, addrs)
}
