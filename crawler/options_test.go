package crawler

import (
	"context"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/stretchr/testify/require"
)

func TestContactIsRequired(t *testing.T) {
	for _, ua := range []string{"", "testbot", "testbot/1.0", "testbot (http://)", "testbot (https://localhost/)", "testbot/1.0 (@example.org)", "testbot a@b", "Mozilla/5.0 (compatible; testbot)"} {
		_, err := New(Options{Dir: t.TempDir(), UserAgent: ua})
		require.ErrorIs(t, err, ErrContact, ua)
	}
	for _, ua := range []string{agent, "testbot (bots@example.org)", "testbot/2 mailto:bots@example.org", "testbot http://example.org"} {
		c, err := New(Options{Dir: t.TempDir(), UserAgent: ua})
		require.NoError(t, err, ua)
		require.Equal(t, "testbot", c.o.Product)
		require.NoError(t, c.Close())
	}
}

func TestOptions(t *testing.T) {
	nobody := func(context.Context, *Page) error { return nil }
	for name, o := range map[string]Options{
		"no directory": {}, "workers": {Workers: -1}, "robots.txt": {RobotsAge: 48 * time.Hour}, "depth": {MaxDepth: 1 << 20}, "product": {Product: "a bot"},
		"handler": {Handlers: map[string]Handler{"html": nobody}}, "MaxBody": {Fetch: fetch.Options{MaxBody: -1}},
	} {
		if name != "no directory" {
			o.Dir = t.TempDir()
		}
		o.UserAgent = agent
		_, err := New(o)
		require.ErrorIs(t, err, ErrOptions, name)
		require.ErrorContains(t, err, name)
	}
}

func TestAddReportsBadAddresses(t *testing.T) {
	c, err := New(Options{Dir: t.TempDir(), UserAgent: agent})
	require.NoError(t, err)
	defer c.Close()
	n, err := c.Add(t.Context(), "http://a.example/x", "HTTP://A.example:80/./x#y", "ftp://a.example/", "no address", "https://u:p@b.example", "http://a.example/x/x/x/x/x/x/x/x/x")
	require.Equal(t, 2, n, "one of them in two spellings")
	require.ErrorIs(t, err, ErrURL)
	require.ErrorContains(t, err, "ftp://")
	require.ErrorContains(t, err, "no address")
	require.ErrorContains(t, err, "x/x/x")
	require.Contains(t, c.Stats().String(), "2 queued")
}

func TestTemplates(t *testing.T) {
	same := func(a, b string) { t.Helper(); require.Equal(t, template(a), template(b), "%s %s", a, b) }
	other := func(a, b string) { t.Helper(); require.NotEqual(t, template(a), template(b), "%s %s", a, b) }
	same("http://a/cal/2024/1", "http://a/cal/1999/12")
	same("http://a/deep/down/further/down/down/", "http://a/deep/down/further/")
	same("http://a/find?x=1&y=2", "http://a/find?y=3&x=4&x=5")
	other("http://a/find?x=1&y=2", "http://a/find?x=1")
	other("http://a/x", "http://b/x")
	other("http://a/x", "http://a/y")
	same("", "")
}

// FuzzMeta decodes what might be stored; what was encoded comes back.
func FuzzMeta(f *testing.F) {
	f.Add([]byte("p\x01"))
	f.Add(meta{redirects: 3, robotsFor: "http://a.example"}.encode())
	f.Add([]byte("r\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := decodeMeta(b)
		if m.redirects < 0 || m.redirects > 1<<10 {
			t.Fatalf("%d redirects", m.redirects)
		}
		if got := decodeMeta(m.encode()); got != m {
			t.Fatalf("%+v became %+v", m, got)
		}
		template(string(b))
		hasContact(string(b))
	})
}
