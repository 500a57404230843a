// Package httpapi serves a node over HTTP.
//
//	GET    /kv/{key}   200 and the value; 300 and all siblings that differ; 404
//	PUT    /kv/{key}   204; the body is the value
//	DELETE /kv/{key}   204
//	GET    /scan       ?prefix= &after= &limit= &keys=true: a page, as JSON
//	GET    /status     the node, as JSON
//
// The key is all that follows /kv/, percent-decoded: it may hold slashes and any bytes.
//
// Parameters of a request, in the query: consistency=one|quorum|all, r=, w=, ttl= (a Go
// duration, or seconds), sloppy=true, context=none. Every answer carries the causal context
// in Kv-Context; hand it back with the write that replaces what was read. A write without
// one replaces what the coordinator reads at the request's level; context=none replaces
// nothing, and the value becomes a sibling. If-None-Match: * and If-Match: * write only
// where the key is absent, or present.
package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// Headers of requests and answers.
const (
	HeaderContext   = "Kv-Context"   // causal context, URL-safe base64
	HeaderExpires   = "Kv-Expires"   // when the value goes, RFC 3339
	HeaderWritten   = "Kv-Written"   // when it was written, by its replica's clock
	HeaderAnswers   = "Kv-Answers"   // owners that answered a read
	HeaderPrimaries = "Kv-Primaries" // owners that have a write on disk
	HeaderFallbacks = "Kv-Fallbacks" // stand-ins that do
	HeaderEpoch     = "Kv-Epoch"     // of the partition table
)

// Options configures a Handler.
type Options struct {
	Store  api.Store    // required
	Logger *slog.Logger // nil: silent
}

// Handler is an http.Handler.
type Handler struct {
	store api.Store
	log   *slog.Logger
}

// New makes a handler.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{o.Store, o.Logger}
}

// ServeHTTP does not use a mux: one would clean "..", "//" and the like out of keys.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	switch rest, isKey := strings.CutPrefix(path, "/kv/"); {
	case isKey:
		key, err := url.PathUnescape(rest)
		if err != nil {
			h.fail(w, r, fmt.Errorf("%w: %w", errRequest, err))
			return
		}
		h.key(w, r, []byte(key))
	case path == "/scan" && r.Method == http.MethodGet:
		h.scan(w, r)
	case path == "/status" && r.Method == http.MethodGet:
		writeJSON(w, h.store.Status())
	case path == "/scan" || path == "/status":
		h.notAllowed(w, "GET")
	default:
		http.Error(w, "not found; try /kv/{key}, /scan, /status", http.StatusNotFound)
	}
}

func (h *Handler) notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	http.Error(w, "method not allowed; allowed: "+allow, http.StatusMethodNotAllowed)
}

func (h *Handler) key(w http.ResponseWriter, r *http.Request, key []byte) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.get(w, r, key)
	case http.MethodPut:
		h.put(w, r, key)
	case http.MethodDelete:
		h.delete(w, r, key)
	default:
		h.notAllowed(w, "GET, HEAD, PUT, DELETE")
	}
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, key []byte) {
	o, err := readOptions(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	res, err := h.store.Get(r.Context(), key, o)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	head := w.Header()
	setContext(head, res.Context)
	head.Set(HeaderAnswers, strconv.Itoa(res.Answers))
	head.Set(HeaderEpoch, strconv.FormatUint(res.Epoch, 10))
	switch vals := distinct(res.Values); len(vals) {
	case 0:
		http.Error(w, "not found", http.StatusNotFound)
	case 1:
		v := vals[0]
		setTimes(head, v)
		// What clients store is theirs; a browser must not run it as this site's page.
		head.Set("Content-Type", "application/octet-stream")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Content-Length", strconv.Itoa(len(v.Data)))
		if r.Method == http.MethodGet {
			w.Write(v.Data)
		}
	default:
		head.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusMultipleChoices)
		if r.Method == http.MethodGet {
			json.NewEncoder(w).Encode(siblings{Siblings: values(vals)})
		}
	}
}

// distinct leaves out siblings that do not differ, of which it keeps the one written last:
// they come from a write whose answer was lost and that was made again.
func distinct(vs []api.Value) (out []api.Value) {
	for _, v := range vs {
		i := slices.IndexFunc(out, func(o api.Value) bool { return bytes.Equal(o.Data, v.Data) })
		switch {
		case i < 0:
			out = append(out, v)
		case v.Written.After(out[i].Written):
			out[i] = v
		}
	}
	return out
}

// siblings is the body of a 300 answer.
type siblings struct {
	Siblings []value `json:"siblings"`
}

// value is one value in JSON; the bytes are base64.
type value struct {
	Value   []byte     `json:"value"`
	Written time.Time  `json:"written"`
	Expires *time.Time `json:"expires,omitempty"`
}

func values(vs []api.Value) []value {
	out := make([]value, len(vs))
	for i, v := range vs {
		out[i] = value{Value: v.Data, Written: v.Written.UTC()}
		if !v.Expires.IsZero() {
			at := v.Expires.UTC()
			out[i].Expires = &at
		}
	}
	return out
}

func (h *Handler) put(w http.ResponseWriter, r *http.Request, key []byte) {
	o, err := writeOptions(r)
	if err == nil && r.ContentLength > api.MaxValue {
		err = api.ErrValueTooLarge
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxValue))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			err = api.ErrValueTooLarge
		} else {
			err = fmt.Errorf("%w: body: %w", errRequest, err)
		}
		h.fail(w, r, err)
		return
	}
	res, err := h.store.Put(r.Context(), key, body, o)
	h.written(w, r, res, err)
}

func (h *Handler) delete(w http.ResponseWriter, r *http.Request, key []byte) {
	o, err := writeOptions(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	res, err := h.store.Delete(r.Context(), key, o)
	h.written(w, r, res, err)
}

func (h *Handler) written(w http.ResponseWriter, r *http.Request, res *api.Written, err error) {
	if err != nil {
		h.fail(w, r, err)
		return
	}
	head := w.Header()
	setContext(head, res.Context)
	head.Set(HeaderPrimaries, strconv.Itoa(res.Primaries))
	head.Set(HeaderFallbacks, strconv.Itoa(res.Fallbacks))
	head.Set(HeaderEpoch, strconv.FormatUint(res.Epoch, 10))
	w.WriteHeader(http.StatusNoContent)
}

// page is the body of a scan.
type page struct {
	Entries []entry `json:"entries"`
	Next    string  `json:"next,omitempty"` // hand it back as after=
}

// entry is one key; Context and Siblings as in a Get.
type entry struct {
	Key      string  `json:"key"` // percent-encoded as in a path, so that any bytes survive JSON
	Context  string  `json:"context,omitempty"`
	Siblings []value `json:"siblings,omitempty"`
}

func (h *Handler) scan(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	read, err := readOptions(r)
	o := api.ScanOptions{ReadOptions: read, KeysOnly: q.Get("keys") == "true"}
	if s := q.Get("after"); err == nil && s != "" {
		o.After, err = base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			err = fmt.Errorf("%w: %w", api.ErrToken, err)
		}
	}
	if s := q.Get("limit"); err == nil && s != "" {
		if o.Limit, err = strconv.Atoi(s); err != nil || o.Limit < 1 || o.Limit > api.MaxPage {
			err = fmt.Errorf("%w: limit %q, from 1 to %d", errRequest, s, api.MaxPage)
		}
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	p, err := h.store.Scan(r.Context(), []byte(q.Get("prefix")), o)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	out := page{Entries: make([]entry, len(p.Entries))}
	for i, e := range p.Entries {
		out.Entries[i] = entry{Key: url.PathEscape(string(e.Key)), Context: base64.RawURLEncoding.EncodeToString(e.Context), Siblings: values(e.Values)}
	}
	if p.Next != nil {
		out.Next = base64.RawURLEncoding.EncodeToString(p.Next)
	}
	writeJSON(w, out)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func setContext(h http.Header, ctx []byte) {
	if len(ctx) > 0 {
		h.Set(HeaderContext, base64.RawURLEncoding.EncodeToString(ctx))
	}
}

func setTimes(h http.Header, v api.Value) {
	h.Set(HeaderWritten, v.Written.UTC().Format(time.RFC3339Nano))
	if !v.Expires.IsZero() {
		h.Set(HeaderExpires, v.Expires.UTC().Format(time.RFC3339Nano))
	}
}
