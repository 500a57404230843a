package gate

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// addRoutes puts routes before those of most tests.
func addRoutes(routes string) func(string) string {
	return func(s string) string { return strings.Replace(s, `"routes": [`, `"routes": [`+routes+`,`, 1) }
}

const findRoute = `{"name": "find", "path": "/find/", "pool": "p", "public": true, "rpc": {"path": "/rpc", "method": "Files.Find", "version": "1.0",
	"params": {"word": "string", "limit": "integer"}, "segments": ["word", "limit"], "errors": {"no such file": 404}}}`

// TestProcedures: a resource outside is a procedure inside, served by net/rpc.
func TestProcedures(t *testing.T) {
	x := newRig(t, addRoutes(findRoute), Options{})
	both := `{"query":"txt","total":2,"files":["a.txt","d/b.txt"]}`
	for _, c := range []struct {
		what, method, path string
		set                []string
		status             int
		body               string
	}{
		{"path", "GET", "/find/TXT", nil, 200, both},
		{"path and query", "GET", "/find/txt?limit=1", nil, 200, `{"query":"txt","total":2,"files":["a.txt"]}`},
		{"two segments", "GET", "/find/txt/1", nil, 200, `{"query":"txt","total":2,"files":["a.txt"]}`},
		{"escaped", "GET", "/find/%74x%74", nil, 200, both},
		{"query", "GET", "/find/?word=txt", nil, 200, both},
		{"body", "POST", "/find/", []string{"body", `{"word": "txt", "limit": 5}`, "Content-Type", "application/json; charset=utf-8"}, 200, both},
		{"an error that is known", "GET", "/find/nothing", nil, 404, "no such file"},
		{"too many segments", "GET", "/find/txt/1/2", nil, 404, ""},
		{"no integer", "GET", "/find/txt?limit=1.5", nil, 400, "limit"},
		{"beyond all integers", "GET", "/find/txt?limit=9223372036854775808", nil, 400, "limit"},
		{"unknown parameter", "GET", "/find/txt?max=1", nil, 400, "max"},
		{"twice", "GET", "/find/txt?word=go", nil, 400, "twice"},
		{"twice in the query", "GET", "/find/?word=go&word=c", nil, 400, "twice"},
		{"bad query", "GET", "/find/txt?limit=%zz", nil, 400, "query"},
		{"no JSON", "POST", "/find/", []string{"body", `word`, "Content-Type", "application/json"}, 400, "no JSON object"},
		{"a list", "POST", "/find/", []string{"body", `[1]`, "Content-Type", "application/json"}, 400, "no JSON object"},
		{"null", "POST", "/find/", []string{"body", `null`, "Content-Type", "application/json"}, 400, "no JSON object"},
		{"two values", "POST", "/find/", []string{"body", `{} {}`, "Content-Type", "application/json"}, 400, "no JSON object"},
		{"number for text", "POST", "/find/", []string{"body", `{"word": 7}`, "Content-Type", "application/json"}, 400, "word"},
		{"a form", "POST", "/find/", []string{"body", `word=txt`, "Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
		{"no type", "POST", "/find/", []string{"body", `{}`}, 415, ""},
	} {
		res, body := x.do(c.method, c.path, c.set...)
		require.Equal(t, c.status, res.StatusCode, "%s: %s", c.what, body)
		require.Contains(t, body, c.body, c.what)
		kind := map[bool]string{true: "application/json", false: "application/problem+json"}[c.status == 200]
		require.Equal(t, kind, res.Header.Get("Content-Type"), c.what)
	}
	require.EqualValues(t, 7, x.backend.Served(), "what is no call does not get there")
	x.backend.Break(true)
	res, body := x.do("GET", "/find/txt")
	require.Equal(t, 500, res.StatusCode)
	require.Equal(t, "broken\n", body, "what is no reply passes as it is")
}

// TestReplies: whatever a procedure's server says, a client gets an answer that makes sense.
func TestReplies(t *testing.T) {
	reply, asked := "", ""
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.RequestURI() + " " + string(b)
		var call struct{ ID string }
		_ = json.Unmarshal(b, &call)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Etag", `"x"`)
		_, _ = io.WriteString(w, strings.ReplaceAll(reply, "ID", `"`+call.ID+`"`))
	}))
	defer backend.Close()
	x := newRig(t, func(s string) string {
		s = strings.ReplaceAll(s, "BACKEND", strings.TrimPrefix(backend.URL, "http://"))
		return addRoutes(`{"name": "two", "path": "/two", "pool": "p", "public": true, "shape": {"without": ["secret"], "rename": {"a": "b"}}, "rpc": {"path": "/v2", "method": "m",
			"params": {"n": "number", "b": "boolean", "x": "any"}, "errors": {"-32001": 404}}}`)(s)
	}, Options{})
	for _, c := range []struct {
		reply  string
		status int
		body   string
	}{
		{`{"jsonrpc":"2.0","id":ID,"result":{"a":1,"secret":2}}`, 200, `{"b":1}`},
		{`{"jsonrpc":"2.0","id":ID,"result":{"a":1,"b":2}}`, 200, `{"b":1}`},
		{`{"jsonrpc":"2.0","id":ID,"result":null}`, 200, `null`},
		{`{"jsonrpc":"2.0","id":ID,"result":[1]}`, 200, `[1]`},
		{`{"jsonrpc":"2.0","id":ID,"error":{"code":-32001,"message":"no such thing"}}`, 404, "no such thing"},
		{`{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"inner words"}}`, 400, "cannot be"},
		{`{"jsonrpc":"2.0","id":ID,"error":{"code":-32603,"message":"inner words"}}`, 502, "has failed"},
		{`{"jsonrpc":"2.0","id":ID,"error":7}`, 502, "has failed"},
		{`{"jsonrpc":"2.0","id":ID}`, 502, "cannot be understood"},
		{`{"jsonrpc":"2.0","id":"another","result":1}`, 502, "cannot be understood"},
		{`{"jsonrpc":"2.0","id":null,"result":1}`, 502, "cannot be understood"},
		{`{"jsonrpc":"2.0","id":ID,"result":`, 502, "cannot be understood"},
		{`[]`, 502, "cannot be understood"},
		{``, 502, "cannot be understood"},
		{`{"id":ID,"result":"` + strings.Repeat("x", largestCall) + `"}`, 502, "cannot be understood"},
	} {
		reply = c.reply
		res, body := x.do("GET", "/two?n=-1.5e3&b=true")
		require.Equal(t, c.status, res.StatusCode, "%.60s: %s", c.reply, body)
		require.Contains(t, body, c.body)
		require.NotContains(t, body, "inner words")
		require.Empty(t, res.Header.Get("Etag"), "it is another's")
	}
	require.Regexp(t, `^POST /v2 \{"id":"[A-Z2-7]{16}","jsonrpc":"2.0","method":"m","params":\{"b":true,"n":-1.5e3\}\}$`, asked)
	for _, bad := range []string{"n=0x10", "n=NaN", "n=+1", "n=", "b=TRUE", "b=1", "x=1"} {
		res, _ := x.do("GET", "/two?"+bad)
		require.Equal(t, 400, res.StatusCode, bad)
	}
	res, _ := x.do("POST", "/two", "body", `{"x": {"deep": [1]}}`, "Content-Type", "application/json")
	require.Equal(t, 502, res.StatusCode)
	require.Contains(t, asked, `"params":{"x":{"deep":[1]}}`)
}

// TestGather: one answer made of several, of which some may fail.
func TestGather(t *testing.T) {
	x := newRig(t, addRoutes(findRoute+`,
		{"name": "all", "path": "/all/", "public": true, "gather": {"found": "/find/", "file": "/files/", "private": "/search", "self": "/all/", "none": "/nowhere/"}, "set": {"X-Route": "all"}},
		{"name": "nothing", "path": "/nothing", "public": true, "gather": {"a": "/nowhere"}}`), Options{})
	res, body := x.do("GET", "/all/a.txt?limit=1")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "all", res.Header.Get("X-Route"))
	var got struct {
		Found   struct{ Total int }
		File    string
		Private struct{ Error struct{ Status int } }
		Self    struct{ Error struct{ Status int } }
		None    struct{ Error struct{ Status int } }
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	require.Equal(t, 1, got.Found.Total)
	require.Equal(t, "hello", got.File)
	require.Equal(t, 404, got.Private.Error.Status, "/searcha.txt is no route")
	require.Equal(t, http.StatusLoopDetected, got.Self.Error.Status)
	require.Equal(t, 404, got.None.Error.Status)
	res, body = x.do("GET", "/nothing")
	require.Equal(t, 502, res.StatusCode)
	require.Contains(t, body, `"status":404`)

	// What needs a key needs it here, too.
	x = newRig(t, addRoutes(`{"name": "both", "path": "/both", "public": true, "gather": {"search": "/search"}}`), Options{})
	res, body = x.do("GET", "/both?q=txt")
	require.Equal(t, 502, res.StatusCode)
	require.Contains(t, body, `"status":401`)
	res, body = x.do("GET", "/both?q=txt", "X-Api-Key", "secret1")
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, body, `"total":2`)
}

// TestShape: what clients are not to see does not pass, however it is packed.
func TestShape(t *testing.T) {
	body, packed := "", ""
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Saw-Accept-Encoding", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Saw-Range", r.Header.Get("Range"))
		w.Header().Set("Saw-X-Team", r.Header.Get("X-Team"))
		if packed != "" {
			w.Header().Set("Content-Encoding", packed)
		}
		_, _ = io.WriteString(w, body)
	}))
	defer backend.Close()
	x := newRig(t, func(s string) string {
		s = strings.ReplaceAll(s, "BACKEND", strings.TrimPrefix(backend.URL, "http://"))
		return addRoutes(`{"name": "only", "path": "/only", "pool": "p", "public": true, "send": {"X-Team": "a"}, "shape": {"only": ["id", "name"], "rename": {"name": "title"}}}`)(s)
	}, Options{})
	body = `{"id": 1, "name": "x", "password": "y"}`
	res, got := x.do("GET", "/only", "Accept-Encoding", "gzip", "Range", "bytes=0-3", "X-Team", "b")
	require.Equal(t, 200, res.StatusCode)
	require.JSONEq(t, `{"id": 1, "title": "x"}`, got)
	require.Empty(t, res.Header.Get("Saw-Accept-Encoding"))
	require.Empty(t, res.Header.Get("Saw-Range"))
	require.Equal(t, "a", res.Header.Get("Saw-X-Team"))
	res, _ = x.do("HEAD", "/only")
	require.Equal(t, 200, res.StatusCode)
	packed = "br"
	res, _ = x.do("GET", "/only")
	require.Equal(t, 502, res.StatusCode)
	packed, body = "", `{"id": 1, "password"`
	res, _ = x.do("GET", "/only")
	require.Equal(t, 502, res.StatusCode)
	body = `{"password": "` + strings.Repeat("y", largestCall) + `"}`
	res, _ = x.do("GET", "/only")
	require.Equal(t, 502, res.StatusCode)
}
