package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"unicode"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

var (
	// ErrOptions is returned by New for bad addresses or times.
	ErrOptions = errors.New("kv client: bad options")
	// ErrRefused is a request that a node finds malformed for a reason that package api
	// has no error for; nothing happened.
	ErrRefused = errors.New("kv client: bad request")

	// errNotSent goes with api.ErrUnavailable: no connection, so nothing happened.
	errNotSent = errors.New("not sent")
	// errAnswer is an answer that no node of this store gives.
	errAnswer = errors.New("not the answer of a node")
)

// refusals are the errors of requests that every node refuses alike.
var refusals = []error{
	api.ErrEmptyKey, api.ErrKeyTooLarge, api.ErrValueTooLarge, api.ErrLevel, api.ErrQuorum, api.ErrTTL,
	api.ErrContext, api.ErrToken, api.ErrCondition, api.ErrSiblings, ErrRefused,
}

// failures are what the cluster could not do.
var failures = []error{api.ErrUnavailable, api.ErrUnknown, api.ErrNoSpace, api.ErrDamaged, api.ErrClosed}

func refused(err error) bool {
	for _, e := range refusals {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// remoteError is what a node answered, in its words, and the error of package api that it
// stands for.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// failed turns an answer with an error's status into the error.
func (x call) failed(n *node, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // as much of the text as comes
	text := printable(strings.TrimSpace(string(body)))
	if text == "" {
		text = resp.Status
	}
	return &remoteError{fmt.Sprintf("%s (%s)", text, n.addr), x.meaning(resp.StatusCode, text)}
}

// meaning finds the error behind a status and a text. A node writes an error as its text,
// which begins with that of package api or wraps it; what a client sent may be quoted
// further on, so the first match counts. Without one the status decides.
func (x call) meaning(status int, text string) error {
	known := failures
	if status < 500 {
		known = refusals
	}
	var best error
	at := len(text)
	for _, e := range known {
		if i := strings.Index(text, e.Error()); i >= 0 && i < at {
			best, at = e, i
		}
	}
	switch {
	case best != nil:
		return best
	case status == http.StatusPreconditionFailed:
		return api.ErrCondition
	case status == http.StatusConflict:
		return api.ErrSiblings
	case status == http.StatusInsufficientStorage:
		return api.ErrNoSpace
	case status == http.StatusServiceUnavailable:
		return api.ErrUnavailable
	case status < 500 && status != 499: // 499: the node saw this client go
		return ErrRefused
	}
	return x.open()
}

// open is the error of a call whose answer never came: a read that failed, or a write
// that may have happened.
func (x call) open() error {
	if x.read {
		return api.ErrUnavailable
	}
	return api.ErrUnknown
}

// lost is the error of a call to which no answer came, or none that can be understood.
func (x call) lost(n *node, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return fmt.Errorf("%w: %w: %w", api.ErrUnavailable, errNotSent, op)
	}
	return fmt.Errorf("%w: %s: %w", x.open(), n.addr, err)
}

// printable makes a node's text fit for a terminal and for one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}
