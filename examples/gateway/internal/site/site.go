// Package site is what stands behind the story's gateways: small servers of files, which
// can be killed, started, slowed and made to fail.
package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server is a backend. Its address stays the same over its lives.
type Server struct {
	ID   string
	Addr string

	files  fs.FS
	names  []string
	served atomic.Int64
	delay  atomic.Int64 // nanoseconds before each answer
	broken atomic.Bool

	mu   sync.Mutex
	http *http.Server // guarded by mu; nil: down
	wg   sync.WaitGroup
}

// Found is what /search answers.
type Found struct {
	Query string   `json:"query"`
	Total int      `json:"total"`
	Files []string `json:"files"` // the first ten
}

// New starts a server of files on a free port of loopback; names are those that /search
// looks through.
//
//	/…              the files
//	/search?q=WORD  those whose name has the word
//	/rpc            POST: Files.Find{word, limit} by JSON-RPC 1.0 does the same
//	/echo           the request's body, and who it was for
//	/healthz        whether it feels well
func New(id string, files fs.FS, names []string) (*Server, error) {
	s := &Server{ID: id, files: files, names: names}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Addr = l.Addr().String()
	s.serve(l)
	return s, nil
}

// URL is the server's address as rules have it.
func (s *Server) URL() string { return "http://" + s.Addr }

// Served is how many requests it has answered, those for its health aside.
func (s *Server) Served() int64 { return s.served.Load() }

// Slow makes every answer take d longer; 0 ends it.
func (s *Server) Slow(d time.Duration) { s.delay.Store(int64(d)) }

// Break makes every answer a 500, also that for its health; false ends it.
func (s *Server) Break(broken bool) { s.broken.Store(broken) }

// Up says that the server runs.
func (s *Server) Up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.http != nil
}

// Kill ends the server at once: connections break, answers under way are lost.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http == nil {
		return errors.New(s.ID + " is down already")
	}
	err := s.http.Close()
	s.http = nil
	s.wg.Wait()
	return err
}

// Start starts a server that was killed.
func (s *Server) Start() error {
	s.mu.Lock()
	up := s.http != nil
	s.mu.Unlock()
	if up {
		return errors.New(s.ID + " runs already")
	}
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return err
	}
	s.serve(l)
	return nil
}

// Close ends the server for good.
func (s *Server) Close() error {
	if s.Up() {
		return s.Kill()
	}
	return nil
}

func (s *Server) serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "well") })
	mux.HandleFunc("GET /search", s.search)
	mux.HandleFunc("POST /rpc", s.procedures())
	mux.HandleFunc("/echo", s.echo)
	mux.Handle("/", http.FileServerFS(s.files))
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", s.ID)
		health := r.URL.Path == "/healthz"
		if !health {
			s.served.Add(1)
			if d := time.Duration(s.delay.Load()); d > 0 {
				select {
				case <-time.After(d):
				case <-r.Context().Done():
					return
				}
			}
		}
		if s.broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.http = server
	s.wg.Go(func() { _ = server.Serve(l) }) // ends by Close
}

func (s *Server) search(w http.ResponseWriter, r *http.Request) {
	q := r.FormValue("q")
	if q == "" {
		http.Error(w, "q is empty", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.find(q, most))
}

// most is how many names a search tells.
const most = 10

func (s *Server) find(q string, most int) Found {
	found := Found{Query: strings.ToLower(q), Files: []string{}}
	for _, name := range s.names {
		if strings.Contains(strings.ToLower(path.Base(name)), found.Query) {
			if found.Total++; len(found.Files) < most {
				found.Files = append(found.Files, name)
			}
		}
	}
	return found
}

// procedures answers calls by net/rpc.
func (s *Server) procedures() http.HandlerFunc {
	server := rpc.NewServer()
	if err := server.RegisterName("Files", Files{s}); err != nil { // its methods are below: cannot be
		return func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
	return func(w http.ResponseWriter, r *http.Request) {
		var out bytes.Buffer
		if err := server.ServeRequest(jsonrpc.NewServerCodec(stream{r.Body, &out})); err != nil && out.Len() == 0 {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(out.Bytes())
	}
}

// stream is one call and its reply.
type stream struct {
	io.ReadCloser
	io.Writer
}

// Files are procedures for package net/rpc.
type Files struct{ s *Server }

// FindArgs are what Files.Find is called with.
type FindArgs struct {
	Word  string `json:"word"`
	Limit int    `json:"limit"`
}

// Find tells the files whose name has the word.
func (f Files) Find(args FindArgs, found *Found) error {
	if args.Limit <= 0 {
		args.Limit = most
	}
	if *found = f.s.find(args.Word, args.Limit); found.Total == 0 {
		return errors.New("no such file")
	}
	return nil
}

// echo answers with the body, and says in headers what the gateway has told it.
func (s *Server) echo(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"X-User", "X-Tier", "X-Forwarded-For", "X-Forwarded-Host", "X-Api-Key", "Authorization", "X-Request-Id", "X-Team", "Traceparent", "Tracestate"} {
		w.Header().Set("Saw-"+name, strings.Join(r.Header.Values(name), "|"))
	}
	w.Header().Set("Saw-Path", r.URL.Path)
	_, _ = io.Copy(w, r.Body)
}
