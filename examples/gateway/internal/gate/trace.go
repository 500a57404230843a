package gate

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// trace is where in a tree of calls a request is: the Trace Context of the W3C. A gateway
// goes on with the trace of a client that is in one, else begins one, and is a span of its
// own between the client's and the backend's; the access log has all three.
type trace struct {
	id, parent, span string // in small hexadecimal digits; no parent: the trace begins here
	flags            string
}

// continues reads a traceparent; what is malformed counts as none.
func continues(h http.Header) trace {
	t := trace{span: fresh(8), flags: "00"}
	if values := h.Values("Traceparent"); len(values) == 1 {
		// version-trace-parent-flags; later versions may have more behind it.
		parts := strings.Split(values[0], "-")
		if len(parts) >= 4 && isHex(parts[0], 2) && parts[0] != "ff" && (len(parts) == 4 || parts[0] != "00") &&
			isHex(parts[1], 32) && isHex(parts[2], 16) && isHex(parts[3], 2) && !isZero(parts[1]) && !isZero(parts[2]) {
			t.id, t.parent, t.flags = parts[1], parts[2], parts[3]
			return t
		}
	}
	t.id = fresh(16)
	return t
}

// send tells the backend. A state without its trace is dropped.
func (t *trace) send(h http.Header) {
	h.Set("Traceparent", "00-"+t.id+"-"+t.span+"-"+t.flags)
	if t.parent == "" {
		h.Del("Tracestate")
	}
}

func fresh(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func isHex(s string, n int) bool {
	return len(s) == n && !strings.ContainsFunc(s, func(c rune) bool { return !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') })
}

func isZero(s string) bool { return strings.Trim(s, "0") == "" }
