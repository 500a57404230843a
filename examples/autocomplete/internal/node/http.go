package node

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/ashlar-go/ashlar/trie"
)

// Bounds of what a node reads.
const (
	maxQuery = 4 << 20
	maxFeed  = 16 << 20
	maxRange = 8 << 30
)

// Handler serves a node to its router:
//
//	GET    /status
//	POST   /query                      a Query; an Answer
//	POST   /feed                       a Feed; the number of the last search applied
//	PUT    /generations/{gen}/{range}  a file of package trie
//	DELETE /generations/{gen}
//
// With a secret, requests must carry it as "Authorization: Bearer SECRET".
func Handler(n *Node, secret string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.Status(), nil) })
	mux.HandleFunc("POST /query", func(w http.ResponseWriter, r *http.Request) {
		var q Query
		if !read(w, r, maxQuery, &q) {
			return
		}
		a, err := n.Answer(q)
		reply(w, a, err)
	})
	mux.HandleFunc("POST /feed", func(w http.ResponseWriter, r *http.Request) {
		var f Feed
		if !read(w, r, maxFeed, &f) {
			return
		}
		applied, err := n.Feed(f)
		reply(w, applied, err)
	})
	mux.HandleFunc("PUT /generations/{gen}/{range}", func(w http.ResponseWriter, r *http.Request) {
		gen, err1 := strconv.ParseUint(r.PathValue("gen"), 10, 64)
		i, err2 := strconv.Atoi(r.PathValue("range"))
		if err := errors.Join(err1, err2); err != nil {
			reply(w, nil, fmt.Errorf("%w: %w", ErrQuery, err))
			return
		}
		reply(w, true, n.Stage(gen, i, http.MaxBytesReader(w, r.Body, maxRange)))
	})
	mux.HandleFunc("DELETE /generations/{gen}", func(w http.ResponseWriter, r *http.Request) {
		gen, err := strconv.ParseUint(r.PathValue("gen"), 10, 64)
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: %w", ErrQuery, err))
			return
		}
		reply(w, true, n.Drop(gen))
	})
	if secret == "" {
		return mux
	}
	want := []byte("Bearer " + secret)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "autocomplete: this port is the router's", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// read decodes a body, or answers that it cannot.
func read(w http.ResponseWriter, r *http.Request, limit int64, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(v)
	if err == nil {
		return true
	}
	code := http.StatusBadRequest
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		code = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), code)
	return false
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		code := http.StatusInternalServerError
		switch {
		case errors.Is(err, ErrQuery):
			code = http.StatusBadRequest
		case errors.Is(err, ErrGeneration):
			code = http.StatusConflict
		case errors.Is(err, trie.ErrCorrupt):
			code = http.StatusUnprocessableEntity
		case errors.Is(err, ErrClosed), errors.Is(err, trie.ErrClosed):
			code = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the router has gone, or hears of it by itself
}
