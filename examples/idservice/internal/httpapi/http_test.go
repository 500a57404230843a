package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/apitest"
	"github.com/ashlar-go/ashlar/snowflake"
)

func ask(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestIDs(t *testing.T) {
	h := New(Options{Service: &apitest.Fake{}})
	w := ask(h, "GET", "/id")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "710000000000000000\n", w.Body.String())
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, "710000000000000001\n710000000000000002\n", ask(h, "GET", "/id?n=2").Body.String())
	require.Equal(t, snowflake.Base62.Format(apitest.First+3)+"\n", ask(h, "GET", "/id?encoding=base62").Body.String())

	for _, w := range []*httptest.ResponseRecorder{
		ask(h, "GET", "/id?n=10000&format=json&encoding=hex"),
		ask(h, "GET", "/id?n=10000&encoding=hex", "Accept", "application/json, */*"),
	} {
		require.Equal(t, 200, w.Code)
		var got struct{ IDs []string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		require.Len(t, got.IDs, 10000)
		_, err := snowflake.Hex.Parse(got.IDs[9999])
		require.NoError(t, err)
	}
	require.Contains(t, ask(h, "GET", "/id?format=text", "Accept", "application/json").Header().Get("Content-Type"), "text/plain")
	require.JSONEq(t, `{"id": "fake"}`, ask(h, "GET", "/status").Body.String())
}

func TestDecode(t *testing.T) {
	h := New(Options{Service: &apitest.Fake{}})
	for _, e := range []snowflake.Encoding{snowflake.Decimal, snowflake.Base32, snowflake.Base62, snowflake.Hex} {
		w := ask(h, "GET", "/decode/"+e.Format(apitest.First))
		require.Equal(t, 200, w.Code, w.Body)
		var d api.Decoded
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &d))
		require.Equal(t, apitest.First, d.ID)
		require.Equal(t, snowflake.Classic.Time(apitest.First), d.Time)
	}
	require.Equal(t, 200, ask(h, "GET", "/decode/12345678901?encoding=plain").Code)
}

// TestBadRequests: each mistake has an answer that says what it is, and uses up no id.
func TestBadRequests(t *testing.T) {
	f := &apitest.Fake{}
	h := New(Options{Service: f})
	for _, c := range []struct {
		method, target string
		code           int
		says           string
	}{
		{"GET", "/id?n=0", 400, "1 to 10000"},
		{"GET", "/id?n=-5", 400, "1 to 10000"},
		{"GET", "/id?n=", 400, "1 to 10000"},
		{"GET", "/id?n=10001", 400, "1 to 10000"},
		{"GET", "/id?n=1.5", 400, "1 to 10000"},
		{"GET", "/id?n=many", 400, `"many"`},
		{"GET", "/id?n=99999999999999999999999", 400, "1 to 10000"},
		{"GET", "/id?n=1&n=2", 400, "given 2 times"},
		{"GET", "/id?count=5", 400, `no parameter "count"`},
		{"GET", "/id?n=%zz", 400, "bad query"},
		{"GET", "/id?encoding=roman", 400, "base62"},
		{"GET", "/id?format=xml", 400, "text or json"},
		{"HEAD", "/id", 405, ""},
		{"POST", "/id", 405, "allowed: GET"},
		{"DELETE", "/id?n=5", 405, "allowed: GET"},
		{"PUT", "/status", 405, "allowed: GET"},
		{"POST", "/decode/1", 405, "allowed: GET"},
		{"GET", "/decode/", 404, "try"},
		{"GET", "/decode/a/b", 404, "try"},
		{"GET", "/ids", 404, "try /id"},
		{"GET", "/decode/x", 400, "not an id"},
		{"GET", "/decode/0vhOd4Hp98", 400, "not an id"},
		{"GET", "/decode/0vhOd4Hp98-", 400, "not an id"},
		{"GET", "/decode/9223372036854775808", 400, "out of range"},
		{"GET", "/decode/12345678901", 400, "several encodings"},
		{"GET", "/decode/1?encoding=roman", 400, "base62"},
		{"GET", "/decode/1?n=1", 400, "no parameter"},
		{"GET", "/decode/%00%ff", 400, "not an id"},
		{"GET", "/decode/" + strings.Repeat("9", 5000), 400, "not an id"},
	} {
		w := ask(h, c.method, c.target)
		require.Equal(t, c.code, w.Code, "%s %s: %s", c.method, c.target, w.Body)
		require.Contains(t, w.Body.String(), c.says, "%s %s", c.method, c.target)
		require.Less(t, w.Body.Len(), 500, "an answer does not repeat what it was sent")
	}
	require.Zero(t, f.Calls())
}

// TestTrouble: what the node cannot do is a 503 with a time to come back, not a 500.
func TestTrouble(t *testing.T) {
	f := &apitest.Fake{}
	h := New(Options{Service: f})
	for _, c := range []struct {
		err   error
		code  int
		retry string
	}{
		{api.ErrNoLease, 503, "1"},
		{fmt.Errorf("%w: %w", api.ErrNoLease, snowflake.ErrLeaseLost), 503, "1"},
		{&snowflake.ClockError{Back: time.Hour, Max: 5 * time.Second}, 503, "3595"},
		{&snowflake.ClockError{Back: math.MaxInt64, Max: 0}, 503, "3600"},
		{&snowflake.ClockError{Back: time.Hour, Stalled: true}, 503, "1"},
		{fmt.Errorf("%w: the disk is full", snowflake.ErrMark), 503, "1"},
		{snowflake.ErrExhausted, 503, ""},
		{errors.New("what is this"), 500, ""},
	} {
		f.Fail(c.err)
		w := ask(h, "GET", "/id?n=5")
		require.Equal(t, c.code, w.Code, "%v", c.err)
		require.Equal(t, c.retry, w.Header().Get("Retry-After"), "%v", c.err)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Contains(t, w.Body.String(), c.err.Error())
	}
	f.Fail(nil)
	require.Equal(t, 200, ask(h, "GET", "/id").Code)
}

func BenchmarkID(b *testing.B) {
	h := New(Options{Service: &apitest.Fake{}})
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := httptest.NewRequest("GET", fmt.Sprintf("/id?n=%d", n), nil)
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
