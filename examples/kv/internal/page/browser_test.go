package page

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
)

// fake is a cluster that does at once what the page asks of it.
type fake struct {
	mu     sync.Mutex
	states map[string]string // guarded by mu
	events []Event           // guarded by mu
	asked  []string          // guarded by mu: "action node key value"
}

func newFake() *fake {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	return &fake{
		states: map[string]string{"n1": NodeUp, "n2": NodeDown, "n3": NodeCut, "n4": NodeRebuilding},
		events: []Event{{At: at, Kind: "load", Text: "written"}, {At: at, Node: "n2", Kind: "kill", Text: "<b>not markup</b>"}},
	}
}

func (f *fake) state() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := []string{"n1", "n2", "n3", "n4"}
	s := State{
		Cluster: "kv <test>", Now: time.Now(), Events: append([]Event(nil), f.events...),
		Totals: Totals{Keys: 12345, Bytes: 5 << 20, Rate: 4321.5, Hints: 17, RepairBytes: 999},
	}
	for p := range 8 {
		s.Partitions = append(s.Partitions, Partition{ID: p, Owners: []string{ids[p%4], ids[(p+1)%4], ids[(p+2)%4]}})
	}
	for _, id := range ids {
		s.Nodes = append(s.Nodes, Node{ID: id, State: f.states[id], Keys: 7, Requests: 9, Failed: 1})
	}
	s.Nodes[0].Rate = 4321.5
	s.Nodes[0].Hints = 17
	s.Nodes[0].HintsFor = map[string]int64{"n2": 12, "n3": 5, "n4": 0}
	s.Nodes[0].Peers = map[string]bool{"n2": false, "n3": false, "n4": true}
	s.Nodes[1].Error = "its disk is full"
	return s
}

func (f *fake) act(_ context.Context, name string, a dash.Args) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimRight(strings.Join([]string{name, a[ArgNode], a[ArgKey], a[ArgValue]}, " "), " "))
	answer := Event{At: time.Now(), Node: a[ArgNode], Kind: name, Text: "done", Request: a[ArgRequest], Key: a[ArgKey]}
	switch name {
	case ActionKill:
		return errors.New("the last of its kind")
	case ActionStart:
		f.states[a[ArgNode]] = NodeUp
	case ActionCut:
		f.states[a[ArgNode]] = NodeCut
	case ActionHeal:
		f.states["n3"] = NodeUp
	case ActionGet:
		answer.Values = []string{"left", "<i>right</i>"}
		f.events = append(f.events, answer)
	case ActionPut, ActionResolve:
		if a[ArgKey] == "refuse" {
			return errors.New("too few replicas answer")
		}
		f.events = append(f.events, answer)
	default:
		return dash.ErrUnknownAction
	}
	return nil
}

// TestInBrowser plays the whole page in a real browser, in both colour schemes: what it
// shows, what its buttons ask, that it finds every field that it reads, that nothing
// is reported on the console, and that all text can be read.
func TestInBrowser(t *testing.T) {
	for _, dark := range []bool{false, true} {
		name := map[bool]string{false: "light", true: "dark"}[dark]
		t.Run(name, func(t *testing.T) {
			f := newFake()
			site := dashtest.Site{Page: FS(), State: f.state, Action: f.act, Dark: dark}
			r := dashtest.Play(t, site)
			r.Require(t, site, 80)
			require.Equal(t, map[string]any{
				"cluster":                   "kv <test>",
				"totals":                    []any{"12,345", "5.00 MiB", "4,322", "17", "999 B"},
				"states":                    []any{"up", "down", "cut", "rebuilding"},
				"error":                     "its disk is full",
				"hints":                     "12 for n2 · 5 for n3",
				"peers":                     "sees ✕ n2 not ✕ n3 not ✓ n4 up",
				"ring":                      []any{"1 of 4 up", "8 partitions", "8 short of an owner"},
				"arcs":                      8.0,
				"cut of a dead node is off": "true",
				"siblings":                  []any{"left", "<i>right</i>"},
				"refused put":               "too few replicas answer",
				"refused kill":              "the last of its kind",
				"focus stays":               true,
				"owners marked":             []any{"n1", "n2", "n4"},
				"spoken":                    "Partition 7: n4, n1, n2; 2 of 3 up",
				"overflow":                  false,
			}, r.Checks)
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Equal(t, []string{
				"get n1 greeting", "resolve n1 greeting left", "put n1 greeting a new value", "put n1 refuse a new value",
				"kill n1", "start n2", "heal", "cut n3",
			}, f.asked)
		})
	}
}
