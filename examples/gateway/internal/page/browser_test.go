package page

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
)

// fake is a world of gateways that does at once what the page asks of it.
type fake struct {
	mu     sync.Mutex
	policy string   // guarded by mu
	events []Event  // guarded by mu
	asked  []string // guarded by mu: action and arguments
	down   bool     // guarded by mu: the store
	health map[string]string
	slow   bool
}

func newFake() *fake {
	return &fake{
		policy: "two-choices", health: map[string]string{"s1": BackendUp, "s2": BackendDown, "s3": BackendEjected, "s4": BackendDrained},
		events: []Event{{At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Who: "s2", Kind: "gateway", Text: "<b>not markup</b>"}},
	}
}

func (f *fake) state() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := State{
		Name: "gateway <test>", Now: time.Now(), Policies: []string{"round-robin", "two-choices"}, Events: slices.Clone(f.events),
		Gateways: []Gateway{
			{ID: "g1", Addr: "127.0.0.1:1", Rate: 1234.5, Refused: 7, P50: 0.5, P99: 123, UnderWay: 3, Requests: 12345, Failed: 1, Limited: 99, Counting: "redis", Down: f.down, Degraded: 5},
			{ID: "g2", Addr: "127.0.0.1:2", Counting: "redis"},
		},
		Routes:  []Route{{Name: "src", Pattern: "/src/", Pool: "sources", Cost: 1, Rate: 1234.5, P99: 12, Limited: 99, Failed: 1, Cached: 17}},
		Clients: []Client{{Name: "key k1", Tier: "free", Admitted: 100, Refused: 99, Limit: "free"}, {Name: "10.0.0.1/32", Limit: "address", Left: 3}},
		Audits: []Audit{
			{At: time.Now(), By: "file", Changes: []string{"tier free: <i>1</i> → 2", "ip: gone"}},
			{At: time.Now(), By: "dashboard", Error: "rules: near byte 7"},
		},
		Keys:   []Choice{{Value: "", Label: "none"}, {Value: "secret", Label: "eve, free"}},
		Totals: Totals{Rate: 1234.5, P99: 123, Limited: 7, Failed: 0.5, Retries: 1017},
	}
	p := Pool{Name: "sources", Policy: f.policy, Breaker: "open", Retries: 1017, Bound: 64, UnderWay: 3}
	for _, id := range slices.Sorted(maps.Keys(f.health)) {
		p.Backends = append(p.Backends, Backend{ID: id, URL: "http://127.0.0.1:9", State: f.health[id], Runs: f.health[id] != BackendDown, Slow: f.slow && id == "s1", Weight: 1, Requests: 9, Failures: 2})
	}
	p.Backends[0].Rate, p.Backends[0].Latency, p.Backends[0].Weight = 1000, 1500, 3
	s.Pools = []Pool{p}
	return s
}

func (f *fake) act(_ context.Context, name string, a dash.Args) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	said := name
	for _, arg := range slices.Sorted(maps.Keys(a)) {
		if arg != ArgRequest {
			said += " " + arg + "=" + a[arg]
		}
	}
	f.asked = append(f.asked, said)
	switch id := a[ArgBackend]; name {
	case ActionKill:
		return errors.New("the last of its kind")
	case ActionStart, ActionAdmit:
		f.health[id] = BackendUp
	case ActionDrain:
		f.health[id] = BackendDrained
	case ActionSlow, ActionFast:
		f.slow = name == ActionSlow
	case ActionPolicy:
		f.policy = a[ArgPolicy]
	case ActionRedis:
		f.down = a[ArgTo] == "down"
	case ActionSend:
		if a[ArgPath] == "/refuse" {
			return errors.New("no gateway answers")
		}
		f.events = append(f.events, Event{
			At: time.Now(), Kind: "send", Text: "done", Request: a[ArgRequest], Statuses: map[string]int{"200": 12, "429": 8}, Limit: `"free";r=0;t=36`,
		})
	default:
		return dash.ErrUnknownAction
	}
	return nil
}

// TestInBrowser plays the whole page in a real browser, in both colour schemes: what it
// shows, what its buttons ask, that it finds every field that it reads, that nothing is
// reported on the console, that all text can be read, and that nothing is wider than a
// narrow screen.
func TestInBrowser(t *testing.T) {
	for _, dark := range []bool{false, true} {
		t.Run(map[bool]string{false: "light", true: "dark"}[dark], func(t *testing.T) {
			f := newFake()
			site := dashtest.Site{Page: FS(), State: f.state, Action: f.act, Dark: dark}
			r := dashtest.Play(t, site)
			r.Require(t, site, 90)
			require.Equal(t, map[string]any{
				"name":         "gateway <test>",
				"totals":       []any{"1,235", "123 ms", "7.0", "0.5", "1,017"},
				"states":       []any{"s1 up", "s2 down", "s3 ejected", "s4 drained"},
				"breaker":      "breaker open",
				"counting":     []any{"✓ counts on Redis", "✓ counts on Redis"},
				"fact":         "1,000/s · weight 3",
				"route":        []any{"src /src/", "sources", "1", "1,235", "12.0 ms", "99", "1", "17"},
				"client":       []any{"key k1", "free", "100", "99", "0 of free"},
				"audits":       []any{"refused: rules: near byte 7", "2 changes"},
				"picture":      "2 gateways, 1,235 requests a second, 7.0 refused; s1 up 1,000, s2 down 0, s3 ejected 0, s4 drained 0",
				"answer":       []any{"12 × 200 answered", "8 × 429 refused by a limit"},
				"limit":        `RateLimit: "free";r=0;t=36`,
				"refused send": "no gateway answers",
				"refused kill": "the last of its kind",
				"focus stays":  true,
				"alone":        "✕ counts alone: Redis is gone",
				"overflow":     []any{false, false},
			}, r.Checks)
			f.mu.Lock()
			defer f.mu.Unlock()
			require.Equal(t, []string{
				"send count=20 from=203.0.113.7 key=secret path=/src/fmt/print.go", "send count=20 from=203.0.113.7 key=secret path=/refuse",
				"kill backend=s1 pool=sources", "start backend=s2 pool=sources", "slow backend=s1 pool=sources", "fast backend=s1 pool=sources",
				"admit backend=s4 pool=sources", "drain backend=s4 pool=sources", "policy policy=round-robin pool=sources", "redis to=down", "redis to=up",
			}, f.asked)
		})
	}
}
