package gate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCORS: browsers are told whose pages may ask; their questions cost nothing.
func TestCORS(t *testing.T) {
	x := newRig(t, func(s string) string {
		return strings.Replace(s, `"ip":`, `"cors": {"origins": ["https://app.example.org"], "headers": ["X-Api-Key"]}, "ip":`, 1)
	}, Options{})
	const app, evil = "https://app.example.org", "https://evil.example.org"
	for range 100 { // more than an address may ask for
		res, _ := x.do("OPTIONS", "/search", "Origin", app, "Access-Control-Request-Method", "GET")
		require.Equal(t, 204, res.StatusCode)
		require.Equal(t, app, res.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "GET", res.Header.Get("Access-Control-Allow-Methods"))
		require.Equal(t, "X-Api-Key", res.Header.Get("Access-Control-Allow-Headers"))
		require.Equal(t, "600", res.Header.Get("Access-Control-Max-Age"))
	}
	require.Zero(t, x.backend.Served())
	for _, c := range []struct {
		origin, path, method string
		status               int
	}{
		{evil, "/search", "GET", 403},
		{"null", "/search", "GET", 403},
		{app + ".evil.org", "/search", "GET", 403},
		{app, "/nowhere", "GET", 404},
		{app, "/files/a.txt", "DELETE", 405},
	} {
		res, _ := x.do("OPTIONS", c.path, "Origin", c.origin, "Access-Control-Request-Method", c.method)
		require.Equal(t, c.status, res.StatusCode, "%v", c)
	}
	res, _ := x.do("GET", "/files/a.txt", "Origin", app)
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, []string{app}, res.Header.Values("Access-Control-Allow-Origin"))
	require.Contains(t, res.Header.Get("Access-Control-Expose-Headers"), "RateLimit")
	require.Equal(t, []string{"Origin"}, res.Header.Values("Vary"))
	res, _ = x.do("GET", "/files/a.txt", "Origin", evil)
	require.Equal(t, 200, res.StatusCode, "it is the browser that keeps the answer from the page")
	require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))

	// Without rules on it a backend answers for itself.
	x = newRig(t, as, Options{})
	res, _ = x.do("OPTIONS", "/echo", "Origin", app, "Access-Control-Request-Method", "GET")
	require.Equal(t, "b1", res.Header.Get("X-Backend"))
}
