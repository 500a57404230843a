package page

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
)

// fake is a service that does at once what the page asks of it.
type fake struct {
	mu       sync.Mutex
	up       bool     // guarded by mu: n2
	asked    []string // guarded by mu: prefixes
	searched []string // guarded by mu: "query user picked"
	acted    []string // guarded by mu: "action node"
	aborted  bool     // guarded by mu: the slow question was called off
}

const markup = `<img src=x onerror="document.title='owned'">`

func (f *fake) state() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := State{
		Now: time.Now(),
		Status: router.Status{
			Ready: true, Generation: 4, Previous: 1, Built: at, Terms: 12345, Bounds: []string{"m"}, Owners: [][]string{{"n1", "n2"}, {"n2", "n1"}},
			Logged: 678, Lag: 12, P50: 0.12, P95: 1.5, P99: 20, Rate: 4321.5, Hits: 3, Misses: 1, Searches: 10, Picked: 5,
			Nodes: []router.NodeStatus{
				{ID: "n1", Addr: "127.0.0.1:1", Up: true, Ranges: []int{0, 1}, Terms: 7, Bytes: 5 << 20, Hot: 2, Applied: 678, Queries: 9, Lag: 3},
				{ID: "n2", Addr: "127.0.0.1:2", Up: f.up, Ranges: []int{0, 1}, Error: "connection refused"},
			},
		},
		Trending: []router.Suggestion{{Query: "of now", Frequency: 9}, {Query: markup, Frequency: 3}},
		Events:   []Event{{At: at, Kind: "swap", Text: "generation 4"}, {At: at, Node: "n2", Kind: "down", Text: "<b>not markup</b>"}},
	}
	if f.up {
		s.Status.Nodes[1].Error = ""
	}
	return s
}

func (f *fake) act(_ context.Context, name string, a dash.Args) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acted = append(f.acted, strings.TrimSpace(name+" "+a[ArgNode]))
	switch name {
	case ActionStart:
		f.up = true
	case ActionKill:
		return errors.New("the last of its kind")
	case ActionRebuild:
		return errors.New("a rebuild is under way")
	}
	return nil
}

// suggest answers as the service would: for "slow", not before the browser has lost patience.
func (f *fake) suggest(w http.ResponseWriter, r *http.Request) {
	prefix := r.URL.Query().Get("prefix")
	f.mu.Lock()
	f.asked = append(f.asked, prefix)
	f.mu.Unlock()
	res := router.Response{Generation: 4}
	w.Header().Set("Content-Type", "application/json")
	switch prefix {
	case "slow":
		select {
		case <-r.Context().Done():
			f.mu.Lock()
			f.aborted = true
			f.mu.Unlock()
		case <-time.After(20 * time.Second):
		}
		res.Suggestions = []router.Suggestion{{Query: "slow and stale"}}
	case "str":
		res.Suggestions = []router.Suggestion{{Query: "String", Frequency: 4321}, {Query: "strings.Builder", Frequency: 0.75}, {Query: "str" + markup, Frequency: 20}}
	case "stir":
		res.Degraded = true
		res.Suggestions = []router.Suggestion{{Query: "string", Frequency: 20, Edits: 1}}
	case "bad":
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write([]byte(`{"error": "too many requests"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(res)
}

func (f *fake) search(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query, User string
		Picked      bool
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.searched = append(f.searched, strings.TrimSpace(in.Query+" "+in.User+" "+map[bool]string{true: "picked"}[in.Picked]))
	w.WriteHeader(http.StatusNoContent)
}

// more answers the paths of the service itself.
func (f *fake) more(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/api/v1/suggestions":
		f.suggest(w, r)
	case "/api/v1/searches":
		f.search(w, r)
	default:
		return false
	}
	return true
}

// TestInBrowser plays the whole page in a real browser, in both colour schemes and as
// narrow as a telephone: what it shows and asks, by keyboard and by pointer, that stale
// questions are called off, that what people search for is never markup, that nothing
// is reported on the console, and that all text can be read.
func TestInBrowser(t *testing.T) {
	for _, c := range []struct {
		name  string
		dark  bool
		width int
	}{{"light", false, 1280}, {"dark", true, 1280}, {"narrow", false, 375}} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{}
			site := dashtest.Site{Page: FS(), State: f.state, Action: f.act, More: f.more, Dark: c.dark, Width: c.width}
			r := dashtest.Play(t, site)
			r.Require(t, site, 50)
			require.Equal(t, map[string]any{
				"figures":           []any{"120 µs · 1.5 ms · 20 ms", "4,322", "75 %", "12 ms", "50 %"},
				"nodes":             []any{"up", "down"},
				"error":             "connection refused",
				"ranges":            []any{"n1, n2 is down", "n2 is down, n1"},
				"options":           []any{"String", "strings.Builder", "str" + markup},
				"highlighted":       []any{"Str", "str", "str"},
				"scores":            []any{"4,321", "0.75", "20"},
				"roles":             []any{"combobox", "listbox", "option", "true", "list"},
				"field after down":  []any{"String", "option-0", "true"},
				"field after wrap":  []any{"str", "none"},
				"after escape":      []any{"str", "false", true},
				"list after stale":  []any{"String", "strings.Builder", "str" + markup},
				"focus":             "query",
				"near":              "1 suggestion close to it, nodes are away, there may be better ones",
				"near highlighted":  0.0,
				"refused":           "too many requests",
				"refused rebuild":   "a rebuild is under way",
				"refused kill":      "the last of its kind",
				"trend in the box":  "of now",
				"elements of terms": 0.0,
				"title":             "autocomplete",
				"overflow":          false,
			}, r.Checks)
			f.mu.Lock()
			defer f.mu.Unlock()
			require.True(t, f.aborted, "the question that nobody waits for is called off")
			require.Equal(t, []string{"strings.Builder ada picked", "String ada picked", "something new ada"}, f.searched)
			require.Equal(t, []string{"start n2", "kill n1", "rebuild", "rollback"}, f.acted)
			require.NotContains(t, f.asked, "s", "keys that follow each other are one question")
			require.NotContains(t, f.asked, "st")
		})
	}
}
