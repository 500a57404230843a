package dashtest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// probe is what every system's testdata/probe.js stands on.
//
//go:embed probe.js
var probe []byte

// Site is a page to play, and how to look at it.
type Site struct {
	Page   fs.FS
	State  func() any
	Action func(ctx context.Context, name string, args dash.Args) error
	More   func(http.ResponseWriter, *http.Request) bool // answers other paths, or says that it does not; nil: there are none
	Dark   bool
	Width  int // of a frame in which the page is shown, as on a telephone; 0: the whole window, 1280 wide
}

// Report is what the probe saw.
type Report struct {
	Errors   []string       // on the console, of the policy, of the probe itself
	Missing  []string       // fields that the page read and the state did not have
	Contrast []string       // texts that are too faint for what is behind them
	Checks   map[string]any // what testdata/probe.js looked at
	Texts    int            // whose contrast was measured
	Dark     bool
	Width    int
}

// Require demands that nothing went wrong and that so many texts were measured.
func (r *Report) Require(t testing.TB, s Site, texts int) {
	t.Helper()
	for what, list := range map[string][]string{"error": r.Errors, "missing": r.Missing, "faint": r.Contrast} {
		for _, text := range list {
			t.Errorf("%s: %s", what, text)
		}
	}
	if r.Dark != s.Dark {
		t.Errorf("dark is %v", r.Dark)
	}
	if s.Width > 0 && r.Width != s.Width {
		t.Errorf("the page is %d wide, not %d", r.Width, s.Width)
	}
	if r.Texts <= texts {
		t.Errorf("%d texts were measured, not over %d", r.Texts, texts)
	}
}

// Play shows a page to a real browser, with testdata/probe.js in it, and returns what that
// reports. It skips the test under -short and where there is no Chromium.
func Play(t *testing.T, s Site) Report {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser; left out under -short")
	}
	chromium := browser(t)
	d, err := dash.New(dash.Options{Page: withProbe(t, s.Page), State: s.State, Action: s.Action, Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	reports := make(chan Report, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if s.More == nil || !s.More(w, r) {
			d.ServeHTTP(&framed{ResponseWriter: w}, r)
		}
	})
	mux.HandleFunc("GET /frame", func(w http.ResponseWriter, _ *http.Request) {
		// A window cannot be as narrow as a telephone, but a frame can.
		fmt.Fprintf(w, `<!doctype html><title>frame</title><iframe src="/" width="%d" height="900" frameborder="0"></iframe>`, s.Width)
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var got Report
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			got.Errors = append(got.Errors, err.Error())
		}
		select {
		case reports <- got:
		default:
		}
		w.WriteHeader(http.StatusNoContent)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	url := srv.URL
	if s.Width > 0 {
		url += "/frame"
	}
	return run(t, chromium, url, s.Dark, reports)
}

// withProbe is a page in which the probe runs before the page's own scripts.
func withProbe(t *testing.T, page fs.FS) fs.FS {
	t.Helper()
	own, err := os.ReadFile("testdata/probe.js")
	if err != nil {
		t.Fatal(err)
	}
	site := fstest.MapFS{"dashtest.js": {Data: probe}, "probe.js": {Data: own}}
	for name, text := range Files(t, page) {
		site[name] = &fstest.MapFile{Data: []byte(text), Mode: fs.ModePerm}
	}
	const scripts = `<head><script src="dashtest.js"></script><script src="probe.js"></script>`
	site["index.html"].Data = []byte(strings.Replace(string(site["index.html"].Data), "<head>", scripts, 1))
	return site
}

// run starts a browser and waits for the report.
func run(t *testing.T, chromium, url string, dark bool, reports <-chan Report) Report {
	t.Helper()
	// Not t.TempDir: what a browser leaves behind while it dies must not fail the test.
	home, err := os.MkdirTemp("", "page")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	args := []string{
		"--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,1000",
		"--blink-settings=preferredColorScheme=" + map[bool]string{false: "1", true: "0"}[dark], "--user-data-dir=" + home,
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium has none for root
	}
	cmd := exec.CommandContext(ctx, chromium, append(args, url)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case r := <-reports:
		cancel()
		<-ended
		return r
	case err := <-ended:
		t.Fatalf("the browser ended without a report: %v", err)
		return Report{}
	}
}

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

// framed lets the test's own page show the dashboard in a frame, which it forbids others.
type framed struct {
	http.ResponseWriter
	wrote bool
}

func (w *framed) allow() {
	if !w.wrote {
		w.wrote = true
		h := w.Header()
		h.Set("Content-Security-Policy", strings.Replace(h.Get("Content-Security-Policy"), "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
	}
}

func (w *framed) WriteHeader(code int) {
	w.allow()
	w.ResponseWriter.WriteHeader(code)
}

func (w *framed) Write(b []byte) (int, error) {
	w.allow()
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *framed) Unwrap() http.ResponseWriter { return w.ResponseWriter }
