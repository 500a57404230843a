package crawler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ashlar-go/ashlar/crawler/crawlertest"
	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/crawler/urlx"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
	"github.com/stretchr/testify/require"
)

// calm is a small web without faults.
func calm(t *testing.T, hosts, pages int) (*crawlertest.Web, *crawlertest.Net) {
	t.Helper()
	w, err := crawlertest.New(crawlertest.Options{Seed: 1, Hosts: hosts, Pages: pages, Calm: true})
	require.NoError(t, err)
	return w, w.Listen()
}

// TestZeroValueIsPolite sets what is needed and nothing else.
func TestZeroValueIsPolite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := calm(t, 5, 10)
		c, err := New(Options{
			Dir: "crawl", UserAgent: agent, Frontier: frontier.Options{Store: lsm.Options{FS: lsmtest.NewFS()}},
			Fetch: fetch.Options{DNS: fetch.DNS{Resolver: n}, Dial: n.Dial, Permit: []netip.Prefix{crawlertest.Range}},
		})
		require.NoError(t, err)
		_, err = c.Add(t.Context(), w.Seeds()...)
		require.NoError(t, err)
		require.NoError(t, c.Run(t.Context()))
		require.NoError(t, c.Close())
		require.NoError(t, n.Close())
		r := w.Audit(crawlertest.AuditOptions{})
		require.Empty(t, r.Violations, r)
		require.GreaterOrEqual(t, r.MinGap, time.Second)
		require.Equal(t, agent, w.Log()[0].Agent)
		for u := range w.Pages() {
			require.Equal(t, 1, r.Fetched[u], u)
		}
	})
}

// TestNodes splits a web between three nodes. Each sends on what is not its own.
func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := calm(t, 12, 10)
		owner := func(host string) int { return len(host) + int(host[1]) + int(host[len(host)/4]) }
		var nodes []*Crawler
		s := newShelf()
		for i := range 3 {
			o := options(n, lsmtest.NewFS(), s)
			o.Owns = func(host string) bool { return owner(host)%3 == i }
			o.Foreign = func(ctx context.Context, items []frontier.Item) error {
				for _, it := range items {
					if _, err := nodes[owner(it.Host)%3].Import(ctx, []frontier.Item{it}); err != nil {
						return err
					}
				}
				return nil
			}
			c, err := New(o)
			require.NoError(t, err)
			nodes = append(nodes, c)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		_, err := nodes[0].Add(ctx, w.Seeds()...)
		require.NoError(t, err)
		for _, c := range nodes {
			wg.Go(func() {
				for ctx.Err() == nil { // a node with nothing to do waits for the others
					c.Run(ctx)
					time.Sleep(time.Second)
				}
			})
		}
		time.Sleep(time.Hour)
		cancel()
		wg.Wait()
		for _, c := range nodes {
			require.Positive(t, c.Stats().Pages)
			require.NoError(t, c.Close())
		}
		require.NoError(t, n.Close())
		r := w.Audit(crawlertest.AuditOptions{})
		require.Empty(t, r.Violations, r)
		for u := range w.Pages() {
			h, _ := urlx.Parse(u)
			if host := w.Host(h.Host()); host.Robots == crawlertest.RobotsAway {
				continue // its robots.txt may be on another node's host
			}
			require.Equal(t, 1, r.Fetched[u], u)
		}
	})
}

// TestGracefulStop ends Run while pages are fetched: they are finished within the grace, and
// given back beyond it.
func TestGracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := calm(t, 3, 10)
		s := newShelf()
		o := options(n, lsmtest.NewFS(), s)
		slow := 5 * time.Second
		handled := 0
		var mu sync.Mutex
		o.Handlers = map[string]Handler{"*/*": func(ctx context.Context, p *Page) error {
			mu.Lock()
			d := slow
			mu.Unlock()
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return ctx.Err()
			}
			mu.Lock()
			handled++
			mu.Unlock()
			return nil
		}}
		c, err := New(o)
		require.NoError(t, err)
		_, err = c.Add(t.Context(), "http://h0.example/")
		require.NoError(t, err)
		run := func() time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			begin := time.Now()
			require.ErrorIs(t, c.Run(ctx), context.DeadlineExceeded)
			return time.Since(begin) - 4*time.Second
		}
		require.Less(t, run(), 5*time.Second)
		require.Equal(t, 1, handled)
		require.EqualValues(t, 1, c.Stats().Pages)
		mu.Lock()
		slow = time.Minute
		mu.Unlock()
		require.Equal(t, 10*time.Second, run())
		require.Equal(t, 1, handled)
		require.EqualValues(t, 1, c.Stats().Pages)
		require.Zero(t, c.Stats().InFlight)
		require.Zero(t, c.Stats().Frontier.Waiting, "what was given back has not failed")

		done := make(chan error)
		go func() { done <- c.Run(t.Context()) }()
		synctest.Wait()
		require.ErrorIs(t, c.Run(t.Context()), ErrRunning)
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-done, frontier.ErrClosed)
		require.NoError(t, n.Close())
		require.NoError(t, c.Close())
		require.Empty(t, w.Audit(crawlertest.AuditOptions{}).Violations)
	})
}

// TestHandlers sends pages by type, and a page again whose handler failed.
func TestHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := calm(t, 2, 3)
		s := newShelf()
		o := options(n, lsmtest.NewFS(), s)
		failures := map[string]int{}
		o.Handlers = map[string]Handler{"text/*": func(ctx context.Context, p *Page) error {
			require.Equal(t, "text/html", p.Type)
			require.Positive(t, p.Content.Words)
			require.NotZero(t, p.Hash)
			if p.URL.String() == "http://h0.example/" {
				if failures["/"]++; failures["/"] < 3 {
					return errors.New("disk full")
				}
			}
			return s.handle(ctx, p)
		}}
		o.Workers = 1
		c, err := New(o)
		require.NoError(t, err)
		_, err = c.Add(t.Context(), "http://h0.example/")
		require.NoError(t, err)
		begin := time.Now()
		require.NoError(t, c.Run(t.Context()))
		require.Greater(t, time.Since(begin), 6*time.Minute, "after 1 and 5 minutes")
		require.Equal(t, 1, s.pages["http://h0.example/"])
		require.Equal(t, 3, failures["/"])
		require.NoError(t, c.Close())
		require.NoError(t, n.Close())
		require.Empty(t, w.Audit(crawlertest.AuditOptions{}).Violations)
	})
}

// site serves one host by a function, on the network of a web of that host.
type site struct {
	mu    sync.Mutex
	paths []string
	h     http.HandlerFunc
}

func (s *site) count(path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.paths {
		if p == path {
			n++
		}
	}
	return n
}

// crawlSite crawls a site from its front page until nothing is left, or for a day.
func crawlSite(t *testing.T, h http.HandlerFunc, edit func(*Options)) (*site, *Crawler) {
	t.Helper()
	st := &site{h: h}
	net, client := serveSite(st)
	s := newShelf()
	o := Options{
		Dir: "crawl", UserAgent: agent, Workers: 4, Hooks: Hooks{Page: s.note}, Frontier: frontier.Options{Store: lsm.Options{FS: lsmtest.NewFS()}},
		Fetch: fetch.Options{DNS: fetch.DNS{Resolver: client}, Dial: client.dial},
	}
	if edit != nil {
		edit(&o)
	}
	c, err := New(o)
	require.NoError(t, err)
	_, err = c.Add(t.Context(), "http://a.example/")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	require.NoError(t, c.Close())
	require.NoError(t, net.Close())
	return st, c
}

// page is HTML with some words and links.
func page(words string, links ...string) string {
	s := "<html><title>t</title><p>" + words
	for _, l := range links {
		s += fmt.Sprintf("<a href=%q>x</a>", l)
	}
	return s
}

// browser makes of every page one with a link.
type browser struct{ asked []string }

func (b *browser) Render(_ context.Context, u *urlx.URL) ([]byte, error) {
	b.asked = append(b.asked, u.String())
	if strings.HasSuffix(u.Path(), "bad") {
		return nil, errors.New("the tab has crashed")
	}
	return []byte(page("rendered", "/found")), nil
}

func TestEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &browser{}
		st, c := crawlSite(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/":
				w.Write([]byte(page(strings.Repeat("many words here ", 20), "/app", "/bad")))
			case "/app", "/bad":
				w.Write([]byte("<html><div id=app></div><script>load()</script>"))
			default:
				w.Write([]byte(page(strings.Repeat("other words there ", 20))))
			}
		}, func(o *Options) { o.Renderer = b })
		require.ElementsMatch(t, []string{"http://a.example/app", "http://a.example/bad"}, b.asked)
		require.Equal(t, 1, st.count("/found"))
		require.EqualValues(t, 1, c.Stats().Rendered)
	})
}

func TestOrdersToRobots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, _ := crawlSite(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/robots.txt":
				w.Write([]byte("user-agent: testbot\ndisallow: /no\nuser-agent: *\ndisallow: /"))
			case "/":
				w.Write([]byte(page("a b c", "/no", "/header", "/meta", "/pdf", "/self?x") + "<a rel=nofollow href=/nf>x</a>"))
			case "/header":
				w.Header().Set("X-Robots-Tag", "testbot: nofollow")
				w.Write([]byte(page("d e f", "/hidden1")))
			case "/meta":
				w.Write([]byte("<meta name=robots content=nofollow>" + page("g h i", "/hidden2")))
			case "/pdf":
				w.Header().Set("Content-Type", "application/pdf")
				w.Write([]byte("%PDF"))
			}
		}, nil)
		require.Equal(t, 1, st.count("/robots.txt"))
		for path, want := range map[string]int{"/": 1, "/header": 1, "/meta": 1, "/pdf": 1, "/self": 1, "/no": 0, "/nf": 0, "/hidden1": 0, "/hidden2": 0} {
			require.Equal(t, want, st.count(path), path)
		}
	})
}

// TestRevisits visits pages again, conditionally.
func TestRevisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		unchanged, robots := 0, 0
		st, c := crawlSite(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			w.Header().Set("ETag", `"1"`)
			w.Write([]byte(page("a b c")))
		}, func(o *Options) {
			o.Every = func(p *Page) time.Duration { return time.Hour }
			o.Known = func(string) (Known, bool) { return Known{ETag: `"1"`}, true }
			o.Hooks.Page = func(p *Page) {
				if p.Unchanged {
					unchanged++
				}
			}
			o.Hooks.Robots = func(string, int, error) { robots++ }
		})
		require.Greater(t, st.count("/"), 2)
		require.Equal(t, st.count("/")-1, unchanged)
		require.Equal(t, 2, robots, "again after half a day")
		require.Positive(t, c.Stats().Visits)
	})
}

// TestRedirectsEnd has a chain that never repeats.
func TestRedirectsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, c := crawlSite(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/robots.txt" {
				http.Redirect(w, r, "/robots.txt?again", http.StatusFound)
				return
			}
			http.Redirect(w, r, "/?n="+r.URL.RawQuery, http.StatusFound)
		}, nil)
		require.Equal(t, maxRedirects+1, st.count("/"))
		require.EqualValues(t, maxRedirects+1, c.Stats().Redirects)
		require.Equal(t, 2, st.count("/robots.txt"), "a loop means that there is none")
	})
}
