package page

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/apitest"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
)

// fake is a service that does at once what the page asks of it.
type fake struct {
	mu     sync.Mutex
	states map[string]string // guarded by mu
	asked  []string          // guarded by mu: "action node by"
}

func newFake() *fake {
	return &fake{states: map[string]string{"n1": NodeServing, "n2": NodeDown, "n3": NodeFrozen, "n4": NodeLeasing, "n5": NodeLate}}
}

func (f *fake) state() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	s := State{
		Service: "ids <test>", Now: time.Now(), Acts: true,
		Events: []Event{{At: at, Kind: "chapter", Text: "begins"}, {At: at, Node: "n2", Kind: "lost", Text: "<b>not markup</b>"}},
		Totals: Totals{Issued: 12_345_678, Rate: 4321.5, Serving: 2, Lost: 1, Proof: "none in 12,345,678"},
	}
	for i, id := range []string{"n1", "n2", "n3", "n4", "n5"} {
		s.Nodes = append(s.Nodes, Node{ID: id, State: f.states[id], Worker: int64(i), TTL: 10_000, Renewed: 1234, Issued: 1000, Rate: 100})
	}
	n1 := &s.Nodes[0]
	n1.P50, n1.P99, n1.Most = 0.0012, 0.34, 12
	n1.HasLast, n1.LastAt, n1.HasMark, n1.MarkAt, n1.Drift, n1.Skew, n1.ClockAt = true, 3, true, 1500, -2000, 1900, -2000
	s.Nodes[3].Worker, s.Nodes[3].Error = -1, "no worker id at the moment: all 4 are taken"
	return s
}

func (f *fake) act(_ context.Context, name string, a dash.Args) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimSpace(name+" "+a[ArgNode]+" "+a[ArgBy]))
	switch name {
	case ActionKill:
		return errors.New("the last of its kind")
	case ActionStart, ActionThaw:
		f.states[a[ArgNode]] = NodeServing
	case ActionFreeze:
		f.states[a[ArgNode]] = NodeFrozen
	case ActionStep, ActionRight:
	default:
		return dash.ErrUnknownAction
	}
	return nil
}

// decode answers the paths of the service itself.
func decode(w http.ResponseWriter, r *http.Request) bool {
	if !httpapi.Serves(r.URL.Path) {
		return false
	}
	httpapi.New(httpapi.Options{Service: &apitest.Fake{}}).ServeHTTP(w, r)
	return true
}

// TestInBrowser plays the whole page in a real browser, wide in the light scheme and as
// narrow as a telephone in the dark one: what it shows, what its buttons ask, that it finds
// every field that it reads, that nothing is reported on the console, that all text can be
// read and nothing is cut off.
func TestInBrowser(t *testing.T) {
	for _, c := range []struct {
		name  string
		dark  bool
		width int
	}{{"light, wide", false, 1280}, {"dark, narrow", true, 375}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			site := dashtest.Site{Page: FS(), State: f.state, Action: f.act, More: decode, Dark: c.dark, Width: c.width}
			r := dashtest.Play(t, site)
			r.Require(t, site, 80)
			require.Equal(t, map[string]any{
				"service":            "ids <test>",
				"totals":             []any{"12,345,678", "4,322", "2 of 5", "1", "none in 12,345,678"},
				"states":             []any{"serving", "down", "frozen", "leasing", "late"},
				"workers":            []any{"worker 0", "worker 1", "worker 2", "no worker id", "worker 4"},
				"error":              "no worker id at the moment: all 4 are taken",
				"took":               "1.2 µs · 340 µs · 12.0 ms",
				"drift":              "−2.00 s, skew +1.90 s",
				"lane":               "clock −2.00 s, last id +3 ms, mark +1.50 s",
				"in order":           true, // clock, now, last id, mark
				"event":              "n2 <b>not markup</b>",
				"freeze of the dead": "true",
				"fetched":            "710000000000000000",
				"read":               "Read as plain.",
				"texts":              []any{"710000000000000000", "0710000000000000000", "0KPKD7KZ8E000", "0qRo49cNIsS", "09da6d3cfe870000"},
				"bits":               63.0,
				"read again":         "Read as base62.",
				"node":               "node112, or data centre 3, machine 16",
				"refused id":         "snowflake: not an id",
				"refused kill":       "the last of its kind",
				"focus stays":        true,
				"overflow":           false,
				"width":              float64(c.width),
			}, r.Checks)
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Equal(t, []string{"kill n1", "start n2", "thaw n3", "step n1 -2s", "right n1"}, f.asked)
		})
	}
}
