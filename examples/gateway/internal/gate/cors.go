package gate

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// defaultCORSAge is how long a browser may remember what it was allowed.
const defaultCORSAge = 10 * time.Minute

// cors tells browsers which other sites' pages may use the gateway (the Fetch standard's
// protocol), and answers their questions before a request: those cost nothing and reach
// no backend. It reports that it has answered.
func (p *plan) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	c := p.rules.CORS
	if c == nil {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	method := r.Header.Get("Access-Control-Request-Method")
	asks := r.Method == http.MethodOptions && origin != "" && method != ""
	allowed := origin != "" && (slices.Contains(c.Origins, origin) || slices.Contains(c.Origins, "*"))
	if !allowed {
		if asks {
			refuse(w, http.StatusForbidden, "Pages of that origin may not use this gateway.")
		}
		return asks
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if !asks {
		h.Set("Access-Control-Expose-Headers", "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id")
		return false
	}
	question := *r
	question.Method = method
	if found, others := p.find(&question); found == nil && others == nil {
		refuse(w, http.StatusNotFound, "No route leads there.")
		return true
	} else if found == nil {
		refuse(w, http.StatusMethodNotAllowed, "This path has other methods.")
		return true
	}
	h.Add("Vary", "Access-Control-Request-Method")
	h.Set("Access-Control-Allow-Methods", method)
	if len(c.Headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.Headers, ", "))
	}
	h.Set("Access-Control-Max-Age", strconv.Itoa(int(c.MaxAge.Or(defaultCORSAge)/time.Second)))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// ownCORS takes a backend's word on CORS out of an answer if the gateway has its own.
func ownCORS(r *rules.Rules, h http.Header) {
	if r.CORS == nil {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
}
