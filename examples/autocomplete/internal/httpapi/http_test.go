package httpapi

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/local"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
)

func serve(t *testing.T, o router.Options) (*local.Cluster, string) {
	t.Helper()
	o.Heartbeat, o.Timeout = 20*time.Millisecond, 20*time.Second
	c, err := local.New(local.Options{Dir: t.TempDir(), Nodes: 2, Router: o})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	srv := httptest.NewUnstartedServer(New(Options{Router: c.Router, Admin: http.NotFoundHandler()}))
	srv.Config.MaxHeaderBytes = MaxHeaders
	srv.Start()
	t.Cleanup(srv.Close)
	return c, srv.URL
}

func seed(t *testing.T, c *local.Cluster, terms map[string]uint64) {
	t.Helper()
	require.NoError(t, c.Router.Seed(t.Context(), maps.All(terms)))
	require.NoError(t, c.Settled(t.Context()))
}

func do(t *testing.T, method, url, body string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b), res.Header
}

func TestAPI(t *testing.T) {
	c, url := serve(t, router.Options{Rate: -1, CacheFor: -1})
	code, _, _ := do(t, "GET", url+"/healthz", "")
	require.Equal(t, 503, code)
	code, said, head := do(t, "GET", url+"/api/v1/suggestions?prefix=r", "")
	require.Equal(t, 503, code, said)
	require.Equal(t, "1", head.Get("Retry-After"))

	seed(t, c, map[string]uint64{"ReadFile": 9, "Reader": 20, "redo": 4, "<b>bold</b>": 2, "new york": 3})
	code, _, _ = do(t, "GET", url+"/healthz", "")
	require.Equal(t, 200, code)
	ask := func(path string) (out []string) {
		t.Helper()
		code, said, head := do(t, "GET", url+path, "")
		require.Equal(t, 200, code, said)
		require.Contains(t, head.Get("Content-Type"), "application/json")
		require.Equal(t, "nosniff", head.Get("X-Content-Type-Options"))
		var res router.Response
		require.NoError(t, json.Unmarshal([]byte(said), &res))
		for _, s := range res.Suggestions {
			out = append(out, s.Query)
		}
		return out
	}
	require.Equal(t, []string{"Reader", "ReadFile", "redo"}, ask("/api/v1/suggestions?prefix=RE"))
	require.Equal(t, []string{"Reader"}, ask("/api/v1/suggestions?prefix=re&limit=1"))
	require.Equal(t, []string{"Reader", "ReadFile", "redo"}, ask("/api/v1/suggestions")[:3])
	require.Equal(t, []string{"new york"}, ask("/api/v1/suggestions?prefix=new%20yrok"))
	require.Empty(t, ask("/api/v1/suggestions?prefix=new%20yrok&fuzzy=0"))
	require.Empty(t, ask("/api/v1/suggestions?prefix=%00"))
	require.Equal(t, []string{"<b>bold</b>"}, ask("/api/v1/suggestions?prefix=%3Cb"))
	_, said, _ = do(t, "GET", url+"/api/v1/suggestions?prefix=%3Cb", "")
	require.NotContains(t, said, "<", "markup is escaped even in JSON")

	for range 3 {
		code, said, _ := do(t, "POST", url+"/api/v1/searches", `{"query": "redo", "user": "ada", "picked": true}`)
		require.Equal(t, 204, code, said)
	}
	require.NoError(t, c.Settled(t.Context()))
	require.Equal(t, []string{"redo"}, ask("/api/v1/trending"))
	require.Equal(t, "redo", ask("/api/v1/suggestions?prefix=re")[0])
	personal := func() router.Suggestion {
		t.Helper()
		code, said, _ := do(t, "POST", url+"/api/v1/suggestions/batch", `{"user": "ada", "queries": [{"prefix": "re", "limit": 1}]}`)
		require.Equal(t, 200, code, said)
		var batch struct{ Results []router.Response }
		require.NoError(t, json.Unmarshal([]byte(said), &batch))
		return batch.Results[0].Suggestions[0]
	}
	require.Equal(t, router.Suggestion{Query: "redo", Frequency: 1}, personal(), "the best of all and one's own best")
	code, _, _ = do(t, "DELETE", url+"/api/v1/history?user=ada", "")
	require.Equal(t, 204, code)
	require.Greater(t, personal().Frequency, 1.0, "without a history scores are those of all")
	code, said, _ = do(t, "POST", url+"/api/v1/suggestions/batch", `{"queries": [{"prefix": "r", "limit": 1}, {"prefix": "raed", "fuzzy": 0}]}`)
	require.Equal(t, 200, code, said)
	var batch struct{ Results []router.Response }
	require.NoError(t, json.Unmarshal([]byte(said), &batch))
	require.Len(t, batch.Results, 2)
	require.Equal(t, "redo", batch.Results[0].Suggestions[0].Query)
	require.Empty(t, batch.Results[1].Suggestions)

	_, said, _ = do(t, "GET", url+"/metrics", "")
	for _, line := range []string{"autocomplete_picked_total 3\n", "autocomplete_node_up{node=\"n1\"} 1\n", "quantile=\"0.99\"", "autocomplete_generation 1\n"} {
		require.Contains(t, said, line)
	}
	code, said, _ = do(t, "GET", url+"/status", "")
	require.Equal(t, 200, code)
	var s router.Status
	require.NoError(t, json.Unmarshal([]byte(said), &s))
	require.Equal(t, uint64(3), s.Picked)
}

// TestBadInput: each is refused with a status and a reason, and nothing of it is kept.
func TestBadInput(t *testing.T) {
	c, url := serve(t, router.Options{Rate: -1})
	seed(t, c, map[string]uint64{"ReadFile": 9})
	long := strings.Repeat("x", 201)
	for name, in := range map[string]struct {
		method, path, body string
		code               int
	}{
		"a prefix of 201 bytes":          {"GET", "/api/v1/suggestions?prefix=" + long, "", 400},
		"a prefix of 10 MB":              {"GET", "/api/v1/suggestions?prefix=" + strings.Repeat("x", 10<<20), "", 431},
		"a prefix of invalid UTF-8":      {"GET", "/api/v1/suggestions?prefix=%ff%fe", "", 400},
		"half an escape":                 {"GET", "/api/v1/suggestions?prefix=%f", "", 400},
		"limit of nothing":               {"GET", "/api/v1/suggestions?limit=0", "", 400},
		"limit of a billion":             {"GET", "/api/v1/suggestions?limit=1000000000", "", 400},
		"limit beyond all numbers":       {"GET", "/api/v1/suggestions?limit=99999999999999999999", "", 400},
		"a limit below nothing":          {"GET", "/api/v1/suggestions?limit=-1", "", 400},
		"a limit that is none":           {"GET", "/api/v1/suggestions?limit=ten", "", 400},
		"three edits":                    {"GET", "/api/v1/suggestions?fuzzy=3", "", 400},
		"a prefix twice":                 {"GET", "/api/v1/suggestions?prefix=a&prefix=b", "", 400},
		"a parameter that nobody knows":  {"GET", "/api/v1/suggestions?prefx=a", "", 400},
		"a user of 201 bytes":            {"GET", "/api/v1/suggestions?user=" + long, "", 400},
		"another method":                 {"PUT", "/api/v1/suggestions", "", 405},
		"another path":                   {"GET", "/api/v2/suggestions", "", 404},
		"trending of nothing":            {"GET", "/api/v1/trending?limit=0", "", 400},
		"a search for nothing":           {"POST", "/api/v1/searches", `{"query": ""}`, 400},
		"a search of 201 bytes":          {"POST", "/api/v1/searches", `{"query": "` + long + `"}`, 400},
		"a search of 10 MB":              {"POST", "/api/v1/searches", `{"query": "` + strings.Repeat("x", 10<<20) + `"}`, 413},
		"a search that is no JSON":       {"POST", "/api/v1/searches", "query=x", 400},
		"a search with more than a body": {"POST", "/api/v1/searches", `{"query": "x"} {}`, 400},
		"a search with a wrong field":    {"POST", "/api/v1/searches", `{"qury": "x"}`, 400},
		"a search with a wrong type":     {"POST", "/api/v1/searches", `{"query": 7}`, 400},
		"a search of a user too long":    {"POST", "/api/v1/searches", `{"query": "x", "user": "` + long + `"}`, 400},
		"a search without a body":        {"POST", "/api/v1/searches", "", 400},
		"a batch of nothing":             {"POST", "/api/v1/suggestions/batch", `{"queries": []}`, 400},
		"a batch of 33":                  {"POST", "/api/v1/suggestions/batch", `{"queries": [{}` + strings.Repeat(",{}", 32) + `]}`, 400},
		"a batch with a bad query":       {"POST", "/api/v1/suggestions/batch", `{"queries": [{"limit": 5}, {"limit": -5}]}`, 400},
		"a batch with a bad fuzzy":       {"POST", "/api/v1/suggestions/batch", `{"queries": [{"fuzzy": -1}]}`, 400},
		"to forget nobody":               {"DELETE", "/api/v1/history", "", 400},
	} {
		code, said, head := do(t, in.method, url+in.path, in.body)
		require.Equal(t, in.code, code, "%s: %s", name, said)
		if code == 400 || code == 413 {
			var p problem
			require.NoError(t, json.Unmarshal([]byte(said), &p), name)
			require.NotEmpty(t, p.Error, name)
			require.Less(t, len(said), 1000, name)
		}
		if code == 405 {
			require.NotEmpty(t, head.Get("Allow"))
		}
	}
	r, err := http.NewRequest("POST", url+"/api/v1/searches", strings.NewReader(`{"query": "x"}`))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "text/plain") // what a form of another site can send
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 400, res.StatusCode)
	require.Zero(t, c.Router.Status().Logged)
	// NUL bytes and markup are text as any other.
	code, said, _ := do(t, "POST", url+"/api/v1/searches", `{"query": "\u0000<script>"}`)
	require.Equal(t, 204, code, said)
}

// TestPublic: who is not there to run the service sees no more than suggestions.
func TestPublic(t *testing.T) {
	c, _ := serve(t, router.Options{})
	seed(t, c, map[string]uint64{"ReadFile": 9})
	h := New(Options{Router: c.Router})
	for path, code := range map[string]int{
		"/": 404, "/status": 404, "/metrics": 404, "/state": 404, "/action/rebuild": 404, "/healthz": 200, "/api/v1/suggestions?prefix=r": 200,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, code, w.Code, path)
	}
}

// TestFlood: a client that asks too often is told when to come back; others are served.
func TestFlood(t *testing.T) {
	c, _ := serve(t, router.Options{Rate: 1, Burst: 20})
	seed(t, c, map[string]uint64{"ReadFile": 9})
	h := New(Options{Router: c.Router, Client: func(r *http.Request) string { return r.Header.Get("X-Client") }})
	ask := func(client string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/api/v1/suggestions?prefix=r", nil)
		r.Header.Set("X-Client", client)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	ok, limited := 0, 0
	for range 100 {
		switch w := ask("flood"); w.Code {
		case 200:
			ok++
		case 429:
			limited++
			require.NotEmpty(t, w.Header().Get("Retry-After"))
		}
	}
	require.Equal(t, 100, ok+limited)
	require.GreaterOrEqual(t, ok, 20)
	require.Greater(t, limited, 50)
	require.Equal(t, 200, ask("somebody else").Code)
	require.Equal(t, uint64(limited), c.Router.Status().Limited)
	r := httptest.NewRequest("POST", "/api/v1/suggestions/batch", strings.NewReader(`{"queries": [{}`+strings.Repeat(",{}", 20)+`]}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 400, w.Code, "waiting would not help: %s", w.Body)
}
