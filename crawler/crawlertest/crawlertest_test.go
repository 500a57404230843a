package crawlertest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var hrefs = regexp.MustCompile(`<a href="([^"]*)">`)

// get asks the handler, without a network.
func get(w *Web, url string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	r := httptest.NewRequest("GET", url, nil)
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	w.ServeHTTP(rec, r.WithContext(ctx))
	return rec
}

// TestEveryPageIsFound follows all links to real pages, from the seeds.
func TestEveryPageIsFound(t *testing.T) {
	w, err := New(Options{Seed: 7, Hosts: 40, Latency: -1})
	require.NoError(t, err)
	seen := map[string]bool{}
	texts := map[string]string{}
	for queue := w.Seeds(); len(queue) > 0; queue = queue[1:] {
		u := queue[0]
		if seen[u] {
			continue
		}
		seen[u] = true
		rec := get(w, u)
		require.Equal(t, 200, rec.Code, u)
		body := rec.Body.String()
		require.Empty(t, texts[body], "the page is %s", u)
		texts[body] = u
		base, err := http.NewRequest("GET", u, nil)
		require.NoError(t, err)
		for _, m := range hrefs.FindAllStringSubmatch(body, -1) {
			if l, err := base.URL.Parse(m[1]); err == nil && (l.Path == "/" || strings.HasPrefix(l.Path, "/p/")) && w.Host(l.Host) != nil {
				l.Fragment = ""
				queue = append(queue, l.String())
			}
		}
	}
	for _, u := range slices.Collect(w.Pages()) {
		if !strings.Contains(u, "/flaky/") && !strings.Contains(u, "/busy/") {
			require.True(t, seen[u], u)
		}
	}
}

// TestSameSeedSameWeb compares two webs of one seed, and one of another.
func TestSameSeedSameWeb(t *testing.T) {
	a, _ := New(Options{Seed: 1, Hosts: 20, Latency: -1})
	b, _ := New(Options{Seed: 1, Hosts: 20, Latency: -1})
	c, _ := New(Options{Seed: 2, Hosts: 20, Latency: -1})
	require.Equal(t, slices.Collect(a.Pages()), slices.Collect(b.Pages()))
	require.Equal(t, get(a, "http://h3.example/").Body.String(), get(b, "http://h3.example/").Body.String())
	require.NotEqual(t, get(a, "http://h3.example/").Body.String(), get(c, "http://h3.example/").Body.String())
}

func TestRobotsAndFaults(t *testing.T) {
	w, err := New(Options{Hosts: 60, Latency: -1})
	require.NoError(t, err)
	kinds := map[Robots]int{}
	for _, h := range w.Hosts() {
		kinds[h.Robots]++
	}
	require.Len(t, kinds, int(robotsKinds))
	robots := func(r Robots) *httptest.ResponseRecorder { return get(w, "http://"+w.hosts[r].Name+"/robots.txt") }
	require.Contains(t, robots(RobotsRules).Body.String(), "Disallow: /private/")
	require.Contains(t, robots(RobotsDelay).Body.String(), "Crawl-delay: 2\n")
	require.Equal(t, 404, robots(RobotsMissing).Code)
	require.Equal(t, 403, robots(RobotsForbidden).Code)
	require.Equal(t, 503, robots(RobotsLate).Code)
	require.Equal(t, 503, robots(RobotsLate).Code)
	require.Equal(t, 200, robots(RobotsLate).Code)
	require.Equal(t, "/rules.txt", robots(RobotsMoved).Header().Get("Location"))
	require.Equal(t, "http://h0.example/robots.txt", robots(RobotsAway).Header().Get("Location"))
	require.Contains(t, robots(RobotsHome).Body.String(), "<html")
	require.Equal(t, 500, robots(RobotsBroken).Code)
	require.Equal(t, 421, get(w, "http://nobody.example/").Code)
	var h *Host
	for _, c := range w.Hosts() {
		if c.Trap && c.Faults && c.Pages > 1 {
			h = c
			break
		}
	}
	at := func(path string) *httptest.ResponseRecorder { return get(w, "http://"+h.Name+path) }
	require.Equal(t, 500, at("/flaky/1.html").Code)
	require.Equal(t, 500, at("/flaky/1.html").Code)
	require.Equal(t, 200, at("/flaky/1.html").Code)
	require.Equal(t, "120", at("/busy/1.html").Header().Get("Retry-After"))
	require.Equal(t, 200, at("/busy/1.html").Code)
	require.Equal(t, 200, at("/calendar/2024/12").Code)
	require.Contains(t, at("/calendar/2024/12").Body.String(), "/calendar/2025/1\"")
	require.Equal(t, 404, at("/calendar/2024/13").Code)
	require.NotEqual(t, at("/shop?session=1").Body.String(), at("/shop?session=1").Body.String())
	require.Equal(t, 200, at("/deep/down/down/").Code)
	require.Equal(t, 404, at("/nothing").Code)
	require.Equal(t, at("/copy/1.html").Body.String(), at("/p/1.html").Body.String())
	v := w.Log()[len(w.Log())-1]
	require.Equal(t, KindPage, v.Kind)
	require.Equal(t, "/p/1.html", v.Path)
	_, err = New(Options{Hosts: -1})
	require.ErrorIs(t, err, ErrOptions)
}

// crawl visits all pages of some hosts as a client with certain manners does.
func crawl(t *testing.T, w *Web, n *Net, polite bool) {
	client := &http.Client{Transport: &http.Transport{DialContext: n.DialContext}}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer client.CloseIdleConnections()
	get := func(url string) {
		resp, err := client.Get(url)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	var wg sync.WaitGroup
	for _, h := range w.Hosts() {
		for part := range 2 {
			wg.Go(func() {
				if polite && part == 1 {
					return
				}
				pause := func() {
					if polite {
						time.Sleep(max(h.Delay, time.Second))
					}
				}
				if polite {
					get("http://" + h.Name + "/robots.txt")
				}
				for i := range h.Pages {
					pause()
					get("http://" + h.Name + pagePath(i))
				}
				if !polite {
					get("http://" + h.Name + "/private/1.html")
				}
			})
		}
	}
	wg.Wait()
}

// TestManners crawls politely and impolitely, in virtual time and in real.
func TestManners(t *testing.T) {
	o := Options{Seed: 3, Hosts: 12, Calm: true, Latency: 5 * time.Millisecond}
	t.Run("polite", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, err := New(o)
			require.NoError(t, err)
			n := w.Listen()
			crawl(t, w, n, true)
			require.NoError(t, n.Close())
			r := w.Audit(AuditOptions{})
			// Who fetches robots.txt without following where it leads has not read it.
			for _, v := range r.Violations {
				require.Contains(t, []Robots{RobotsMoved, RobotsAway}, w.Host(v.Visit.Host).Robots, v)
			}
			require.Equal(t, time.Second, r.MinGap)
		})
	})
	impolite := func(t *testing.T, w *Web, n *Net, slack time.Duration) {
		crawl(t, w, n, false)
		require.NoError(t, n.Close())
		r := w.Audit(AuditOptions{Slack: slack})
		require.Positive(t, r.Count(Hasty)+r.Count(Parallel))
		require.Equal(t, r.Visits, r.Count(Blind))
		require.Positive(t, r.Count(Disallowed))
		require.Contains(t, r.String(), "violations")
	}
	t.Run("impolite", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, err := New(o)
			require.NoError(t, err)
			impolite(t, w, w.Listen(), 0)
		})
	})
	t.Run("impolite over sockets", func(t *testing.T) {
		w, err := New(o)
		require.NoError(t, err)
		n, err := w.ListenLoopback()
		require.NoError(t, err)
		impolite(t, w, n, 50*time.Millisecond)
	})
}

func TestNet(t *testing.T) {
	w, err := New(Options{Hosts: 3})
	require.NoError(t, err)
	n := w.Listen()
	addrs, _, err := n.Lookup(t.Context(), "h1.example")
	require.NoError(t, err)
	require.True(t, Range.Contains(addrs[0]))
	_, _, err = n.Lookup(t.Context(), "other.example")
	require.ErrorContains(t, err, "no such host")
	_, err = n.DialContext(t.Context(), "tcp", "other.example:80")
	require.Error(t, err)
	require.NoError(t, n.Close())
	_, err = n.DialContext(t.Context(), "tcp", "h1.example:80")
	require.Error(t, err, "closed")
}
