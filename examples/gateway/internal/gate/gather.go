package gate

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A route with "gather" answers with one object made of the answers of others, which it
// asks at the same time, in its client's name:
//
//	GET /all/print ─▶ {"find": GET /find/print, "file": GET /src/print} ─▶ {"find": {…}, "file": {"error": {"status": 404, …}}}
//
// It costs what its own rules say, and the others' limits and costs do not count; their
// keys and scopes do. If some fail, the rest is there.
func (g *Gateway) gather(r *route, p *plan) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		rest := ""
		if strings.HasSuffix(r.Path, "/") {
			rest = strings.TrimPrefix(q.URL.Path, r.Path)
		}
		all := make(map[string]json.RawMessage, len(r.Gather))
		good := false
		var mu sync.Mutex
		var wg sync.WaitGroup
		for name, path := range r.Gather {
			wg.Go(func() {
				ok, b := p.part(q, path+rest)
				mu.Lock()
				defer mu.Unlock()
				all[name], good = b, good || ok
			})
		}
		wg.Wait()
		if err := q.Context().Err(); err != nil {
			proxyError(w, err)
			return
		}
		b, err := json.Marshal(all)
		if err != nil { // they are JSON each: cannot be
			proxyError(w, err)
			return
		}
		for name, value := range r.Set {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		if !good {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = w.Write(b)
	})
}

// part asks one of the others.
func (p *plan) part(in *http.Request, path string) (ok bool, b json.RawMessage) {
	c := *callOf(in)
	q := in.Clone(context.WithValue(in.Context(), callKey{}, &c))
	q.Method, q.Body, q.ContentLength = http.MethodGet, http.NoBody, 0
	for _, name := range []string{
		"Content-Length", "Content-Type", "Transfer-Encoding", "Range", "Upgrade", "Connection", "Accept-Encoding",
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
	} {
		q.Header.Del(name)
	}
	q.URL.Path, q.URL.RawPath = path, ""
	found, _ := p.find(q)
	t := &tape{header: http.Header{}}
	switch {
	case found == nil:
		refuse(t, http.StatusNotFound, "No route leads there.")
	case found.Gather != nil: // it might gather itself
		refuse(t, http.StatusLoopDetected, "What is gathered cannot gather.")
	case c.who == nil && !found.Public:
		refuse(t, http.StatusUnauthorized, "A known key or token is needed.")
	case c.who != nil && !c.who.may(found.Scopes):
		refuse(t, http.StatusForbidden, "The key or token has not all scopes that are needed.")
	case !whole(found.upstream, t, q) || t.tooLong:
		t = &tape{header: http.Header{}}
		refuse(t, http.StatusBadGateway, "What would answer does not.")
	}
	body := t.buf.Bytes()
	switch {
	case t.status >= http.StatusBadRequest && json.Valid(body):
		return false, json.RawMessage(`{"error":` + string(body) + `}`)
	case t.status >= http.StatusMultipleChoices:
		return false, json.RawMessage(`{"error":` + string(problem(t.status, "")) + `}`)
	case json.Valid(body):
		return true, body
	}
	s, err := json.Marshal(string(body))
	return err == nil, s
}
