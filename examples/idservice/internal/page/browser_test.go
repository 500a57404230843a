package page

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/apitest"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
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

// report is what testdata/probe.js saw.
type report struct {
	Errors   []string
	Missing  []string // fields that the page read and the state did not have
	Contrast []string // texts that are too faint
	Checks   map[string]any
	Dark     bool
}

// TestInBrowser plays the whole page in a real browser, wide in the light scheme and as
// narrow as a telephone in the dark one: what it shows, what its buttons ask, that it finds
// every field that it reads, that nothing is reported on the console, that all text can be
// read and nothing is cut off.
func TestInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser; left out under -short")
	}
	chromium := browser(t)
	for _, c := range []struct {
		name  string
		dark  bool
		width int
	}{{"light, wide", false, 1280}, {"dark, narrow", true, 375}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake()
			r := play(t, chromium, f, c.dark, c.width)
			require.Empty(t, r.Errors)
			require.Empty(t, r.Missing)
			require.Empty(t, r.Contrast)
			require.Equal(t, c.dark, r.Dark)
			require.Greater(t, r.Checks["texts measured"], 80.0)
			delete(r.Checks, "texts measured")
			require.Equal(t, map[string]any{
				"service":            "ids <test>",
				"totals":             []any{"12,345,678", "4,322", "2 of 5", "1", "none in 12,345,678"},
				"states":             []any{"serving", "down", "frozen", "leasing", "late"},
				"workers":            []any{"worker 0", "worker 1", "worker 2", "no worker id", "worker 4"},
				"error":              "no worker id at the moment: all 4 are taken",
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

// play serves the page with the probe in it, shows it to a browser and waits for the report.
func play(t *testing.T, chromium string, f *fake, dark bool, width int) report {
	t.Helper()
	probe, err := os.ReadFile("testdata/probe.js")
	require.NoError(t, err)
	site := fstest.MapFS{"probe.js": {Data: probe}}
	for name, text := range files(t) {
		site[name] = &fstest.MapFile{Data: []byte(text), Mode: fs.ModePerm}
	}
	index := strings.Replace(string(site["index.html"].Data), "<head>", `<head><script src="probe.js"></script>`, 1)
	site["index.html"].Data = []byte(index)
	// A window cannot be as narrow as a telephone, but a frame can.
	frame := `<!doctype html><title>frame</title><iframe src="index.html" width="` + strconv.Itoa(width) + `" height="900"></iframe>`

	d, err := dash.New(dash.Options{Page: site, State: f.state, Action: f.act, Interval: 20 * time.Millisecond})
	require.NoError(t, err)
	reports := make(chan report, 1)
	ids := httpapi.New(httpapi.Options{Service: &apitest.Fake{}})
	mux := http.NewServeMux()
	mux.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if httpapi.Serves(r.URL.Path) {
			ids.ServeHTTP(w, r)
			return
		}
		d.ServeHTTP(w, r)
	}))
	mux.HandleFunc("GET /frame", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(frame)) })
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var got report
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Errors = append(got.Errors, err.Error())
		}
		select {
		case reports <- got:
		default:
		}
		w.WriteHeader(http.StatusNoContent)
	})
	srv := httptest.NewServer(unframed(mux))
	defer srv.Close()
	defer d.Close()

	// Not t.TempDir: what a browser leaves behind while it dies must not fail the test.
	home, err := os.MkdirTemp("", "page")
	require.NoError(t, err)
	defer os.RemoveAll(home)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	scheme := map[bool]string{false: "1", true: "0"}[dark]
	args := []string{
		"--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1400,1000",
		"--blink-settings=preferredColorScheme=" + scheme, "--user-data-dir=" + home,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium has none for root
	}
	cmd := exec.CommandContext(ctx, chromium, append(args, srv.URL+"/frame")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case r := <-reports:
		cancel()
		<-ended
		return r
	case err := <-ended:
		t.Fatalf("the browser ended without a report: %v", err)
		return report{}
	}
}

// unframed lets the test's own page show the dashboard in a frame, which it forbids others.
func unframed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&lenient{w, false}, r) })
}

type lenient struct {
	http.ResponseWriter
	wrote bool
}

func (l *lenient) allow() {
	if l.wrote {
		return
	}
	l.wrote = true
	policy := l.Header().Get("Content-Security-Policy")
	l.Header().Set("Content-Security-Policy", strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
}

func (l *lenient) WriteHeader(code int) {
	l.allow()
	l.ResponseWriter.WriteHeader(code)
}

func (l *lenient) Write(b []byte) (int, error) {
	l.allow()
	return l.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (l *lenient) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// browser finds one that the test can start.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			return found
		}
	}
	t.Skip("no Chromium on this machine")
	return ""
}
