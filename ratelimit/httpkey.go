package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ErrClient means that a request does not say whose it is, or not in a way that can be
// believed.
var ErrClient = errors.New("ratelimit: client not identified")

// KeyFunc says what a request is counted for. There is no default: a limit by the wrong key
// is none. No requests: it is not limited. An error, usually ErrClient: the request is
// answered by HTTPOptions.OnError.
//
// Keys begin with what they are ("ip:", "user:") so that different ones do not meet.
type KeyFunc func(*http.Request) ([]Request, error)

// ByIP counts by the client's address, as p finds it.
func ByIP(p Proxies, limits ...Limit) KeyFunc {
	return by("ip:", limits, func(kind string, r *http.Request) (string, error) {
		ip, err := p.ClientIP(r)
		if err != nil {
			return "", err
		}
		var buf [64]byte
		dst := append(buf[:0], kind...)
		if ip.IsSingleIP() {
			dst = ip.Addr().AppendTo(dst)
		} else {
			dst = ip.AppendTo(dst)
		}
		return string(dst), nil
	})
}

// ByHeader counts by a header's value, such as an API key. It must come once, and be of 1
// to 256 bytes. Check it before: who makes up values gets a quota for each.
func ByHeader(name string, limits ...Limit) KeyFunc {
	return by("header:"+strings.ToLower(name)+":", limits, func(kind string, r *http.Request) (string, error) {
		v := r.Header.Values(name)
		if len(v) != 1 || v[0] == "" || len(v[0]) > maxKey {
			return "", fmt.Errorf("%w: no single %s of 1 to %d bytes", ErrClient, name, maxKey)
		}
		return kind + v[0], nil
	})
}

// ByUser counts by whom user names; "" is an ErrClient.
func ByUser(user func(*http.Request) string, limits ...Limit) KeyFunc {
	return by("user:", limits, func(kind string, r *http.Request) (string, error) {
		u := user(r)
		if u == "" || len(u) > maxKey {
			return "", fmt.Errorf("%w: no user", ErrClient)
		}
		return kind + u, nil
	})
}

// ByRoute counts all clients together by the pattern of http.ServeMux that matched: it is for
// handlers behind the mux, for before it none has matched, and such requests are not
// limited.
func ByRoute(limits ...Limit) KeyFunc {
	f := by("route:", limits, func(kind string, r *http.Request) (string, error) { return kind + r.Pattern, nil })
	return func(r *http.Request) ([]Request, error) {
		if r.Pattern == "" {
			return nil, nil
		}
		return f(r)
	}
}

// maxKey bounds what a client may have us remember.
const maxKey = 256

// by makes requests of a key, which begins with its kind.
func by(kind string, limits []Limit, name func(kind string, r *http.Request) (string, error)) KeyFunc {
	limits = slices.Clone(limits)
	if len(limits) == 0 {
		limits = []Limit{{}} // for a Taker that has limits of its own
	}
	return func(r *http.Request) ([]Request, error) {
		key, err := name(kind, r)
		if err != nil {
			return nil, err
		}
		out := make([]Request, len(limits))
		for i, l := range limits {
			out[i] = Request{Key: key, Limit: l, N: 1}
		}
		return out, nil
	}
}

// Join counts for all keys at once: "100 a minute for a user and 1,000 an hour for an
// address". All have to admit.
func Join(keys ...KeyFunc) KeyFunc {
	return func(r *http.Request) ([]Request, error) {
		var out []Request
		for _, k := range keys {
			reqs, err := k(r)
			if err != nil {
				return nil, err
			}
			out = append(out, reqs...)
		}
		return out, nil
	}
}

// First counts for the first key that identifies the client: by user, else by address.
func First(keys ...KeyFunc) KeyFunc {
	return func(r *http.Request) ([]Request, error) {
		err := error(ErrClient)
		for _, k := range keys {
			var reqs []Request
			if reqs, err = k(r); !errors.Is(err, ErrClient) {
				return reqs, err
			}
		}
		return nil, err
	}
}
