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
	mu    sync.Mutex
	down  bool     // guarded by mu: n2
	asked []string // guarded by mu: "action node command"
}

func (f *fake) state() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := State{
		Name: "cache <test>", Now: time.Now(), Acts: true,
		Runs:   []Run{{0, 5460, 0}, {5461, 10922, 1}, {10923, 16000, 2}, {16001, 16383, 0}},
		Events: []Event{{At: at, Kind: "chapter", Text: "begins"}, {At: at, Node: "n2", Kind: "failover", Text: "<b>not markup</b>"}},
		Bars:   []Bar{{"optimum", 0.75, true}, {"allkeys-lru", 0.5, false}},
		Totals: Totals{Keys: 12345, Used: 5 << 20, Rate: 4321.5, HitRatio: 0.934, Serving: 2, Shards: 3},
		Nodes: []Node{
			{ID: "n1", Addr: "127.0.0.1:1", State: NodeServing, Slots: 5844, Keys: 1234, Used: 1 << 20, Max: 2 << 20, Policy: "allkeys-adaptive", Lag: 1536, Rate: 100, HitRatio: 0.5, Reads: 1000, Evicted: 7, Epoch: 12},
			{ID: "n2", State: NodeServing, Shard: 1},
			{ID: "n3", State: NodeWaiting, Shard: 2},
			{ID: "n4", State: NodeReplica, Primary: "n1"},
			{ID: "n5", State: NodeSyncing, Primary: "n2", Shard: 1},
		},
	}
	if f.down {
		s.Nodes[1].State = NodeDown
	}
	return s
}

func (f *fake) act(_ context.Context, name string, a dash.Args) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimSpace(name+" "+a[ArgNode]+a[ArgCommand]))
	switch {
	case name == ActionKill && a[ArgNode] == "n1":
		return errors.New("the last of its kind")
	case name == ActionKill:
		f.down = true
	case name == ActionRun && a[ArgCommand] == "FLY":
		return errors.New("ERR unknown command 'FLY'")
	case name != ActionMove && name != ActionRun && name != ActionStart:
		return dash.ErrUnknownAction
	}
	return nil
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
			f := &fake{}
			site := dashtest.Site{Page: FS(), State: f.state, Action: f.act, Dark: c.dark, Width: c.width}
			r := dashtest.Play(t, site)
			r.Require(t, site, 80)
			require.Equal(t, map[string]any{
				"name":              "cache <test>",
				"totals":            []any{"12,345", "5.00 MiB", "4,322", "93.4 %", "2 of 3"},
				"states":            []any{"serving", "serving", "waiting", "replica", "syncing"},
				"roles":             []any{"5,844 slots", "0 slots", "0 slots", "of n1", "of n2"},
				"memory":            "1.00 MiB of 2.00 MiB, allkeys-adaptive",
				"ratio":             "50.0 % of 1,000",
				"strip":             "shard 1: 5844 of 16384 slots, shard 2: 5462 of 16384 slots, shard 3: 5078 of 16384 slots",
				"runs":              4.0,
				"owners":            "shard 1, led by n15,844",
				"bars":              []any{"75.0 %", "50.0 %"},
				"event":             "n2 <b>not markup</b>",
				"move of a replica": "true",
				"refused command":   "ERR unknown command 'FLY'",
				"refused kill":      "the last of its kind",
				"focus stays":       true,
				"overflow":          false,
				"width":             float64(c.width),
			}, r.Checks)
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Equal(t, []string{"run INCR x", "run FLY", "kill n1", "move n1", "kill n2", "start n2"}, f.asked)
		})
	}
}
