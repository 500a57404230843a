package dash

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

func start(t *testing.T, o Options) string {
	t.Helper()
	if o.Page == nil {
		o.Page = fstest.MapFS{"index.html": {Data: []byte("<title>x</title>")}}
	}
	if o.State == nil {
		o.State = func() any { return map[string]int{"n": 1} }
	}
	d, err := New(o)
	require.NoError(t, err)
	srv := httptest.NewServer(d)
	t.Cleanup(func() {
		require.NoError(t, d.Close())
		require.NoError(t, d.Close())
		srv.Close()
	})
	return srv.URL
}

func TestPageAndState(t *testing.T) {
	url := start(t, Options{})
	require.Equal(t, "<title>x</title>", get(t, url+"/"))
	require.Equal(t, `{"n":1}`, get(t, url+"/state"))
	require.Contains(t, get(t, url+"/dash/stream.js"), "export function follow")
	require.Contains(t, get(t, url+"/dash/base.css"), "prefers-color-scheme: dark")
}

func TestEventsFlowUntilClose(t *testing.T) {
	var n atomic.Int64
	url := start(t, Options{Interval: time.Millisecond, State: func() any { return n.Add(1) }})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/events", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	sc := bufio.NewScanner(resp.Body)
	seen := 0
	for sc.Scan() && seen < 3 {
		if strings.HasPrefix(sc.Text(), "data: ") {
			seen++
		}
	}
	require.Equal(t, 3, seen)
}

// A state that cannot be encoded is told to the page and ends nothing.
func TestUnencodableState(t *testing.T) {
	url := start(t, Options{Interval: time.Millisecond, State: func() any { return func() {} }})
	resp, err := http.Get(url + "/events")
	require.NoError(t, err)
	defer resp.Body.Close()
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "event: problem\n", line)
}

func TestActions(t *testing.T) {
	url := start(t, Options{Action: func(_ context.Context, name string, a Args) error {
		switch name {
		case "kill":
			if a["node"] == "" {
				return errors.New("which node?")
			}
			return nil
		}
		return ErrUnknownAction
	}})
	for _, tc := range []struct {
		name, body, site string
		want             int
	}{
		{"kill", `{"node":"n1"}`, "same-origin", http.StatusNoContent},
		{"kill", `{"node":"n1"}`, "", http.StatusNoContent},
		{"kill", `{}`, "", http.StatusConflict},
		{"kill", `{"node":1}`, "", http.StatusBadRequest},
		{"kill", `nonsense`, "", http.StatusBadRequest},
		{"kill", `{"node":"` + strings.Repeat("x", 70<<10) + `"}`, "", http.StatusBadRequest},
		{"fly", `{}`, "", http.StatusNotFound},
		{"kill", `{"node":"n1"}`, "cross-site", http.StatusForbidden},
	} {
		req, err := http.NewRequest(http.MethodPost, url+"/action/"+tc.name, strings.NewReader(tc.body))
		require.NoError(t, err)
		if tc.site != "" {
			req.Header.Set("Sec-Fetch-Site", tc.site)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, tc.want, resp.StatusCode, "%+.60v", tc)
	}
}

func TestActionsAreOptional(t *testing.T) {
	resp, err := http.Post(start(t, Options{})+"/action/kill", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func TestRecent(t *testing.T) {
	var r Recent[int]
	require.Empty(t, r.Events())
	for i := range MaxEvents + 5 {
		r.Add(i)
	}
	got := r.Events()
	require.Len(t, got, MaxEvents)
	require.Equal(t, []int{5, MaxEvents + 4}, []int{got[0], got[MaxEvents-1]})
	got[0] = -1
	require.Equal(t, 5, r.Events()[0], "they are copies")
}

func TestSite(t *testing.T) {
	d, err := New(Options{Page: fstest.MapFS{"index.html": {Data: []byte("<title>x</title>")}}, State: func() any { return 1 }})
	require.NoError(t, err)
	s, err := Listen("127.0.0.1:0", d, d)
	require.NoError(t, err)
	require.Equal(t, "<title>x</title>", get(t, "http://"+s.Addr+"/"))
	_, err = Listen(s.Addr, d, d)
	require.Error(t, err)
	resp, err := http.Get("http://" + s.Addr + "/events")
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.NoError(t, err, "a dashboard that could not listen is closed, and ends its streams")
	require.NoError(t, resp.Body.Close())
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}

func TestOptionsAreRequired(t *testing.T) {
	_, err := New(Options{})
	require.ErrorIs(t, err, ErrOptions)
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b)
}
