package fetch

import (
	"errors"
	"fmt"
)

// Where and why a fetch fails. All come wrapped in an [Error].
var (
	// ErrURL is for an address that is neither http nor https, has no host, or is too long.
	ErrURL = errors.New("fetch: not an address of the web")
	// ErrPort is for a port that belongs to another protocol.
	ErrPort = errors.New("fetch: port of another protocol")
	// ErrNoHost is for a name that does not exist.
	ErrNoHost = errors.New("fetch: no such host")
	// ErrResolve is for a name of which nobody can tell at the moment whether it exists.
	ErrResolve = errors.New("fetch: name not resolved")
	// ErrAddress is for a host without any address that the policy permits.
	ErrAddress = errors.New("fetch: address not permitted")
	// ErrConnect is for a host that none of its addresses leads to.
	ErrConnect = errors.New("fetch: no connection")
	// ErrTLS is for a handshake that fails.
	ErrTLS = errors.New("fetch: no TLS")
	// ErrCertificate is for a certificate that is expired, of another name, or of nobody known.
	ErrCertificate = errors.New("fetch: bad certificate")
	// ErrTimeout is for a phase that took longer than it may.
	ErrTimeout = errors.New("fetch: took too long")
	// ErrSlow is for a body that comes at less than the least rate.
	ErrSlow = errors.New("fetch: too slow")
	// ErrHeaderSize is for a header, or a flood of interim responses, beyond the bound.
	ErrHeaderSize = errors.New("fetch: header too large")
	// ErrProtocol is for an answer that is no HTTP/1.
	ErrProtocol = errors.New("fetch: not HTTP")
	// ErrLost is for a connection that ends before the header does.
	ErrLost = errors.New("fetch: connection lost")
	// ErrStale is for a kept connection that ends before anything came: the server had most
	// likely closed it, but may have seen the request.
	ErrStale = errors.New("fetch: kept connection was closed")
	// ErrTooLarge is for a body beyond the bound. The response has what fits.
	ErrTooLarge = errors.New("fetch: body too large")
	// ErrRatio is for a compressed body that grows more than allowed. The response has what came before.
	ErrRatio = errors.New("fetch: compressed beyond belief")
	// ErrEncoding is for a content encoding that is not known, or a body that is not in it.
	ErrEncoding = errors.New("fetch: bad content encoding")
	// ErrTruncated is for a body that ends too early. The response has what came.
	ErrTruncated = errors.New("fetch: body cut short")
	// ErrLocation is for a redirect without a target, or to none of the web.
	ErrLocation = errors.New("fetch: bad redirect")
	// ErrLoop is for a redirect to where the fetch has been already.
	ErrLoop = errors.New("fetch: redirect loop")
	// ErrTooManyRedirects is for a chain of redirects beyond the bound.
	ErrTooManyRedirects = errors.New("fetch: too many redirects")
	// ErrClosed is for a client that was closed, before or meanwhile.
	ErrClosed = errors.New("fetch: closed")
)

// ErrUseLast is what a Request's Follow returns to have the redirect itself as the response.
var ErrUseLast = errors.New("fetch: use the redirect")

// Phase says how far a fetch has come.
type Phase uint8

const (
	PhaseRequest  Phase = iota // the address, before anything is sent
	PhaseResolve               // name to addresses
	PhaseConnect               // TCP
	PhaseTLS                   // handshake
	PhaseHeader                // request sent, header awaited
	PhaseBody                  // header read, body awaited
	PhaseRedirect              // the target of a redirect
)

// String returns the phase's name.
func (p Phase) String() string {
	names := [...]string{"request", "resolve", "connect", "tls", "header", "body", "redirect"}
	if int(p) < len(names) {
		return names[p]
	}
	return "unknown"
}

// Error is what Fetch returns. Err wraps one of the sentinels of this package, or is the
// error of the caller's context, Accept, Follow or Body.
type Error struct {
	Phase Phase
	URL   string // of the hop that failed
	Err   error
}

// Error returns phase, address and cause.
func (e *Error) Error() string { return fmt.Sprintf("%s (%s of %.200s)", e.Err, e.Phase, e.URL) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the same request may succeed at another time, without the page
// having changed: a timeout or a lost connection, but not a forbidden address, a name that
// does not exist or a body that is too large.
func (e *Error) Temporary() bool {
	for _, t := range []error{ErrResolve, ErrConnect, ErrTLS, ErrTimeout, ErrSlow, ErrLost, ErrStale, ErrTruncated, ErrProtocol} {
		if errors.Is(e.Err, t) {
			return true
		}
	}
	return false
}

// because wraps a cause that the caller may want to read, but that is not to be matched, in a sentinel.
func because(sentinel, cause error) error {
	if cause == nil {
		return sentinel
	}
	return fmt.Errorf("%w: %w", sentinel, cause)
}
