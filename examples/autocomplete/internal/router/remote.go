package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
)

// Member is a node as the router knows it.
type Member struct {
	ID   string `json:"id"`
	Addr string `json:"addr"` // host:port
	Zone string `json:"zone"` // owners of a range are spread over zones; may be empty
}

// remote speaks to one node.
type remote struct {
	Member
	http   *http.Client
	secret string
	up     atomic.Bool // it holds what it should, and answers
	wake   chan struct{}

	mu     sync.Mutex
	status node.Status   // guarded by mu: as of the last look
	lag    time.Duration // guarded by mu: of the last search that it was fed
	fail   string        // guarded by mu: what ails it; empty: nothing
}

// errStatus is an answer other than 200.
type errStatus struct {
	code int
	text string
}

func (e *errStatus) Error() string { return e.text }

// refused tells whether a node refused what it was asked, and would again.
func refused(err error) bool {
	s, ok := errors.AsType[*errStatus](err)
	return ok && s.code >= 400 && s.code < 500
}

func (n *remote) do(ctx context.Context, method, path string, body io.Reader, size int64, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.Addr+path, body)
	if err != nil {
		return err
	}
	if size > 0 {
		r.ContentLength = size
	}
	if n.secret != "" {
		r.Header.Set("Authorization", "Bearer "+n.secret)
	}
	res, err := n.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		return &errStatus{res.StatusCode, fmt.Sprintf("%s: %s: %s", n.ID, res.Status, strings.TrimSpace(string(text)))}
	}
	const most = 64 << 20
	if err := json.NewDecoder(io.LimitReader(res.Body, most)).Decode(out); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)) // so that the connection is used again
	return err
}

func (n *remote) post(ctx context.Context, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return n.do(ctx, http.MethodPost, path, bytes.NewReader(b), int64(len(b)), out)
}

func (n *remote) query(ctx context.Context, q node.Query) (a node.Answer, err error) {
	err = n.post(ctx, "/query", q, &a)
	return a, err
}

func (n *remote) feed(ctx context.Context, f node.Feed) (applied uint64, err error) {
	err = n.post(ctx, "/feed", f, &applied)
	return applied, err
}

// stage hands a file to the node.
func (n *remote) stage(ctx context.Context, gen uint64, r int, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var ok bool
	return n.do(ctx, http.MethodPut, fmt.Sprintf("/generations/%d/%d", gen, r), f, info.Size(), &ok)
}

func (n *remote) drop(ctx context.Context, gen uint64) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var ok bool
	return n.do(ctx, http.MethodDelete, fmt.Sprintf("/generations/%d", gen), nil, 0, &ok)
}

// lookTime is how long a node may take to say how it is.
const lookTime = 2 * time.Second

// look asks the node how it is.
func (n *remote) look(ctx context.Context) (s node.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if err := n.do(ctx, http.MethodGet, "/status", nil, 0, &s); err != nil {
		return s, err
	}
	if s.ID != n.ID {
		return s, fmt.Errorf("%s answers as %q", n.ID, s.ID)
	}
	n.mu.Lock()
	n.status = s
	n.mu.Unlock()
	return s, nil
}

// down notes that the node failed, and what it said.
func (n *remote) down(err error) {
	n.up.Store(false)
	n.mu.Lock()
	n.fail = err.Error()
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}
