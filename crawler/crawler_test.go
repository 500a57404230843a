package crawler

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ashlar-go/ashlar/crawler/crawlertest"
	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
	"github.com/stretchr/testify/require"
)

const agent = "testbot/1.0 (+https://example.org/bot)"

// shelf keeps the pages that a crawl hands over.
type shelf struct {
	mu    sync.Mutex
	pages map[string]int
	errs  map[string]error
}

func newShelf() *shelf { return &shelf{pages: map[string]int{}, errs: map[string]error{}} }

func (s *shelf) handle(_ context.Context, p *Page) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[p.URL.String()]++
	return nil
}

// note is a hook.
func (s *shelf) note(p *Page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs[p.URL.String()] = p.Err
}

// options are those of a crawl of a virtual web, with its frontier in memory.
func options(n *crawlertest.Net, disk lsm.FS, s *shelf) Options {
	return Options{
		Dir: "crawl", UserAgent: agent, Workers: 32,
		Handlers: map[string]Handler{"text/html": s.handle},
		Fetch:    fetch.Options{DNS: fetch.DNS{Resolver: n}, Dial: n.Dial, Permit: []netip.Prefix{crawlertest.Range}},
		Frontier: frontier.Options{Store: lsm.Options{FS: disk}},
		Hooks:    Hooks{Page: s.note},
	}
}

// TestCrawl crawls a web with all faults and traps, in virtual time: no violation, every real
// page once, traps bounded, every failure named.
func TestCrawl(t *testing.T) {
	hosts := 120
	if testing.Short() {
		hosts = 40
	}
	seed := testkit.Seed(t)
	synctest.Test(t, func(t *testing.T) {
		w, err := crawlertest.New(crawlertest.Options{Seed: seed, Hosts: hosts})
		require.NoError(t, err)
		n := w.Listen()
		s := newShelf()
		c, err := New(options(n, lsmtest.NewFS(), s))
		require.NoError(t, err)
		added, err := c.Add(t.Context(), w.Seeds()...)
		require.NoError(t, err)
		require.Equal(t, hosts, added)
		begin := time.Now()
		require.NoError(t, c.Run(t.Context()))
		t.Logf("%s of virtual time; %s", time.Since(begin), c.Stats())
		st := c.Stats()
		require.NoError(t, c.Close())
		require.NoError(t, n.Close())
		requireWhole(t, w, s, 0)
		require.Zero(t, st.InFlight)
		require.Positive(t, st.Duplicates)
		for path, want := range map[string]error{
			"/endless/1.html": fetch.ErrTooLarge, "/drip/1.html": fetch.ErrSlow, "/bomb/1.html": fetch.ErrRatio, "/cut/1.html": fetch.ErrTruncated,
			"/encoding/1.html": fetch.ErrEncoding, "/header/1.html": fetch.ErrHeaderSize, "/broken/1.html": ErrStatus, "/nowhere.html": ErrStatus,
			"/go/self": fetch.ErrLoop, "/go/mail": fetch.ErrLocation, "/charset/1.html": nil, "/go/a": nil, "/private/open.html": nil,
		} {
			err, ok := s.errs["http://h0.example"+path]
			require.True(t, ok, path)
			if want == nil {
				require.NoError(t, err, path)
			} else {
				require.ErrorIs(t, err, want, path)
			}
		}
		require.ErrorIs(t, s.errs["http://10.0.0.1/admin"], fetch.ErrAddress)
		require.ErrorIs(t, s.errs["http://169.254.169.254/latest/"], fetch.ErrAddress)
		require.ErrorIs(t, s.errs["http://nobody.invalid/"], fetch.ErrNoHost)
	})
}

// requireWhole holds a crawl that has ended against what it should be. Again is how many pages may have
// been fetched twice.
func requireWhole(t *testing.T, w *crawlertest.Web, s *shelf, again int) {
	t.Helper()
	r := w.Audit(crawlertest.AuditOptions{})
	require.Empty(t, r.Violations, r)
	require.GreaterOrEqual(t, r.MinGap, time.Second)
	twice := 0
	for u := range w.Pages() {
		require.Contains(t, s.pages, u)
		require.Positive(t, r.Fetched[u], u)
		twice += r.Fetched[u] - 1
	}
	require.LessOrEqual(t, twice, again)
	traps := map[string]int{}
	for _, v := range w.Log() {
		if v.Kind == crawlertest.KindTrap {
			first, _, _ := strings.Cut(strings.TrimPrefix(v.Path, "/"), "/")
			first, _, _ = strings.Cut(first, "?")
			traps[v.Host+"/"+first]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(traps)) {
		require.LessOrEqual(t, traps[name], 500, name)
	}
	for _, h := range w.Hosts() {
		if h.Robots == crawlertest.RobotsBroken {
			require.ErrorIs(t, s.errs["http://"+h.Name+"/"], ErrRobots)
		}
	}
}

// TestRestart ends a crawl in the middle, again and again, by a stop or by a power cut, and goes on.
func TestRestart(t *testing.T) {
	seed := testkit.Seed(t)
	synctest.Test(t, func(t *testing.T) {
		w, err := crawlertest.New(crawlertest.Options{Seed: seed, Hosts: 40})
		require.NoError(t, err)
		n := w.Listen()
		s := newShelf()
		disk := lsmtest.NewFS()
		const restarts = 12
		for i := range restarts + 1 {
			o := options(n, disk, s)
			c, err := New(o)
			require.NoError(t, err)
			if i == 0 {
				_, err = c.Add(t.Context(), w.Seeds()...)
				require.NoError(t, err)
			}
			if i == restarts {
				require.NoError(t, c.Run(t.Context()))
				require.NoError(t, c.Close())
				break
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(7*i+3)*time.Second, errors.New("stop"))
			if i%2 == 0 {
				require.EqualError(t, c.Run(ctx), "stop")
				require.NoError(t, c.Close())
				cancel()
				continue
			}
			// The power goes in the middle: what is fetched in that moment is seen by the servers, and by
			// nobody else.
			done := make(chan error)
			go func() { done <- c.Run(t.Context()) }()
			<-ctx.Done()
			cancel()
			after := disk.Crash(lsmtest.Loss{Seed: seed + uint64(i), Keep: 0.5})
			c.Close()
			<-done
			disk = after
		}
		require.NoError(t, n.Close())
		requireWhole(t, w, s, 32*restarts)
	})
}
