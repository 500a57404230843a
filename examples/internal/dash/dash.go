// Package dash serves a system's dashboard: one embedded page, a stream of its state
// as server-sent events, and buttons that post actions.
//
// The page is a folder of static files without a build step or a foreign address; it
// subscribes to "events" and draws what comes. A state is anything that encodes as
// JSON; it is taken once per interval however many browsers look, and not at all while
// nobody does.
//
// What all pages have in common is served beside each of them below "dash/": base.css,
// and scripts that a page imports as "./dash/stream.js".
package dash

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"time"
)

//go:embed shared
var shared embed.FS

// Shared holds what is served below "dash/" beside every page.
func Shared() fs.FS { return Folder(shared, "shared") }

// Folder is a folder of what a package embeds, for Options.Page.
func Folder(files embed.FS, name string) fs.FS {
	root, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // only a malformed name fails, and names are constants
	}
	return root
}

// Options configures a dashboard.
type Options struct {
	Page     fs.FS                                                   // index.html and what it needs; required
	State    func() any                                              // what the page draws; required
	Action   func(ctx context.Context, name string, args Args) error // a button was pressed; nil: there are none
	Interval time.Duration                                           // between two states (500 ms)
}

// Args are an action's parameters.
type Args map[string]string

// Dash is an http.Handler. It is safe for concurrent use.
type Dash struct {
	o    Options
	mux  *http.ServeMux
	stop chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu   sync.Mutex
	subs map[chan []byte]struct{} // guarded by mu
	wake chan struct{}            // tells the ticker that somebody looks
}

var (
	// ErrOptions is returned by New for options without a page or a state.
	ErrOptions = errors.New("dash: a page and a state are required")
	// ErrUnknownAction is what an Action returns for a name that it does not know; the
	// page sees status 404.
	ErrUnknownAction = errors.New("dash: unknown action")
)

// New makes a dashboard and starts its ticker; Close ends it.
func New(o Options) (*Dash, error) {
	if o.Page == nil || o.State == nil {
		return nil, ErrOptions
	}
	if o.Interval <= 0 {
		o.Interval = 500 * time.Millisecond
	}
	d := &Dash{
		o: o, mux: http.NewServeMux(), stop: make(chan struct{}),
		subs: map[chan []byte]struct{}{}, wake: make(chan struct{}, 1),
	}
	d.mux.HandleFunc("GET /events", d.events)
	d.mux.HandleFunc("GET /state", d.state)
	d.mux.HandleFunc("POST /action/{name}", d.action)
	d.mux.Handle("GET /dash/", http.StripPrefix("/dash/", http.FileServerFS(Shared())))
	d.mux.Handle("GET /", http.FileServerFS(o.Page))
	d.wg.Go(d.run)
	return d, nil
}

// ServeHTTP serves the page, its events and its actions.
func (d *Dash) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Only this page may talk to the buttons: the dashboard listens on loopback, where
	// any site that the same browser shows could otherwise post.
	w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	d.mux.ServeHTTP(w, r)
}

// Close ends every stream and waits for the ticker.
func (d *Dash) Close() error {
	d.once.Do(func() { close(d.stop) })
	d.wg.Wait()
	return nil
}

// run takes a state per interval and hands it to every subscriber; one that is slow
// misses states rather than hold up the others.
func (d *Dash) run() {
	tick := time.NewTicker(d.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wake:
		case <-tick.C:
		}
		d.mu.Lock()
		idle := len(d.subs) == 0
		d.mu.Unlock()
		if idle {
			continue
		}
		frame := d.frame()
		d.mu.Lock()
		for c := range d.subs {
			select {
			case c <- frame:
			default:
			}
		}
		d.mu.Unlock()
	}
}

// frame is the present state as one event.
func (d *Dash) frame() []byte {
	b, err := json.Marshal(d.o.State())
	if err != nil {
		return fmt.Appendf(nil, "event: problem\ndata: %q\n\n", err.Error())
	}
	return fmt.Appendf(nil, "data: %s\n\n", b)
}

func (d *Dash) events(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	// A stream outlives any timeout that the server sets for pages.
	for _, lift := range []func(time.Time) error{rc.SetReadDeadline, rc.SetWriteDeadline} {
		if err := lift(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	sub := make(chan []byte, 4)
	d.mu.Lock()
	d.subs[sub] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.subs, sub)
		d.mu.Unlock()
	}()
	select {
	case d.wake <- struct{}{}:
	default:
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case <-d.stop:
			return
		case frame := <-sub:
			if _, err := w.Write(frame); err != nil {
				return
			}
			if rc.Flush() != nil {
				return
			}
		}
	}
}

// state is the present state once, for scripts.
func (d *Dash) state(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal(d.o.State())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

func (d *Dash) action(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		http.Error(w, "actions come from the dashboard's own page", http.StatusForbidden)
		return
	}
	var args Args
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&args); err != nil {
		http.Error(w, "the body is not a JSON object of strings: "+err.Error(), http.StatusBadRequest)
		return
	}
	err := ErrUnknownAction
	if d.o.Action != nil {
		err = d.o.Action(r.Context(), r.PathValue("name"), args)
	}
	switch {
	case errors.Is(err, ErrUnknownAction):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
