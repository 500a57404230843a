package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/apitest"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
)

// serve runs a node over h and returns its address.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// memory runs a node over a store in memory.
func memory(t testing.TB) (*apitest.Memory, string) {
	t.Helper()
	m := apitest.New()
	return m, serve(t, httpapi.New(httpapi.Options{Store: m}))
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// deaf is an address where nobody listens.
func deaf(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{},
		{Addrs: []string{"localhost"}},
		{Addrs: []string{"localhost:"}},
		{Addrs: []string{"localhost:0"}},
		{Addrs: []string{"localhost:http"}},
		{Addrs: []string{"localhost:80/path"}},
		{Addrs: []string{"a/b:80"}},
		{Addrs: []string{"user@host:80"}},
		{Addrs: []string{"http://localhost:80"}},
		{Addrs: []string{"localhost:80", ""}},
		{Addrs: []string{"localhost:80"}, Timeout: -1},
	} {
		_, err := New(o)
		require.ErrorIs(t, err, ErrOptions, "%+v", o)
	}
	newClient(t, Options{Addrs: []string{"localhost:80", "[::1]:8001", ":8002"}})
}

// Whatever is asked, the answer over HTTP is the one that the store itself gives.
func TestSameAsTheStore(t *testing.T) {
	var node atomic.Pointer[httpapi.Handler]
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { node.Load().ServeHTTP(w, r) }))
	c := newClient(t, Options{Addrs: []string{addr}})
	rapid.Check(t, func(t *rapid.T) {
		local, remote := apitest.New(), apitest.New()
		now := time.Unix(1e9, 0).UTC()
		local.Now = func() time.Time { return now }
		remote.Now = local.Now
		node.Store(httpapi.New(httpapi.Options{Store: remote}))
		key := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 3), rapid.SampledFrom([][]byte{
			[]byte("a"), []byte("a/b"), []byte("."), []byte(".."), []byte("a//../b"), []byte("%2F?#&+ "), {0, 0xff}, []byte("日本"),
		}))
		levels := rapid.SampledFrom([]api.Level{api.Quorum, api.One, api.All})
		var contexts [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"put or delete": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "value")
				o := api.WriteOptions{
					Level: levels.Draw(t, "level"), W: rapid.IntRange(-1, 4).Draw(t, "w"),
					TTL:    time.Duration(rapid.SampledFrom([]int{0, 0, 0, -1, 1, 1500}).Draw(t, "ttl")) * time.Millisecond,
					Sloppy: rapid.Bool().Draw(t, "sloppy"),
					If:     rapid.SampledFrom([]api.Condition{api.Always, api.Always, api.IfAbsent, api.IfPresent}).Draw(t, "if"),
					Mode:   rapid.SampledFrom([]api.ContextMode{api.ReadFirst, api.Blind}).Draw(t, "mode"),
				}
				if len(contexts) > 0 && rapid.Bool().Draw(t, "given") {
					o.Mode, o.Context = api.Given, rapid.SampledFrom(contexts).Draw(t, "context")
				}
				call, over := local.Put, c.Put
				if rapid.Bool().Draw(t, "delete") {
					call = func(ctx context.Context, k, _ []byte, o api.WriteOptions) (*api.Written, error) {
						return local.Delete(ctx, k, o)
					}
					over = func(ctx context.Context, k, _ []byte, o api.WriteOptions) (*api.Written, error) {
						return c.Delete(ctx, k, o)
					}
				}
				want, err := call(t.Context(), k, v, o)
				got, err2 := over(t.Context(), k, v, o)
				sameError(t, err, err2)
				require.Equal(t, want, got)
				if want != nil {
					contexts = append(contexts, want.Context)
				}
			},
			"get": func(t *rapid.T) {
				k, o := key.Draw(t, "key"), api.ReadOptions{Level: levels.Draw(t, "level"), R: rapid.IntRange(-1, 4).Draw(t, "r")}
				want, err := local.Get(t.Context(), k, o)
				got, err2 := c.Get(t.Context(), k, o)
				sameError(t, err, err2)
				require.Equal(t, want, got)
			},
			"scan": func(t *rapid.T) {
				prefix := rapid.SliceOfN(rapid.Byte(), 0, 1).Draw(t, "prefix")
				o := api.ScanOptions{Limit: rapid.SampledFrom([]int{-1, 0, 1, 2, 5000}).Draw(t, "limit"), KeysOnly: rapid.Bool().Draw(t, "keys")}
				o.R = rapid.IntRange(-1, 4).Draw(t, "r")
				for range 100 {
					want, err := local.Scan(t.Context(), prefix, o)
					got, err2 := c.Scan(t.Context(), prefix, o)
					sameError(t, err, err2)
					if err != nil {
						return
					}
					for i := range want.Entries {
						want.Entries[i].Answers, want.Entries[i].Epoch = 0, 0
					}
					require.Equal(t, want, got)
					if o.After = want.Next; o.After == nil {
						return
					}
				}
				t.Fatal("a scan without end")
			},
			"time passes": func(*rapid.T) { now = now.Add(700 * time.Millisecond) },
		})
	})
}

// sameError wants one kind of error on both sides. Of a request with two faults each side
// may name another one.
func sameError(t *rapid.T, want, got error) {
	t.Helper()
	if want == nil || !refused(want) {
		require.Equal(t, want, got)
		return
	}
	require.True(t, refused(got), "%v: %v", want, got)
	require.Equal(t, errors.Is(want, api.ErrCondition), errors.Is(got, api.ErrCondition), "%v: %v", want, got)
}

// call names the four operations for the tests of errors.
var calls = map[string]func(c api.Store) error{
	"get": func(c api.Store) error {
		_, err := c.Get(context.Background(), []byte("k"), api.ReadOptions{})
		return err
	},
	"scan": func(c api.Store) error {
		_, err := c.Scan(context.Background(), nil, api.ScanOptions{})
		return err
	},
	"put": func(c api.Store) error {
		_, err := c.Put(context.Background(), []byte("k"), []byte("v"), api.WriteOptions{})
		return err
	},
	"delete": func(c api.Store) error {
		_, err := c.Delete(context.Background(), []byte("k"), api.WriteOptions{})
		return err
	},
}

func isRead(name string) bool { return name == "get" || name == "scan" }

func TestErrorsComeBack(t *testing.T) {
	m, addr := memory(t)
	c := newClient(t, Options{Addrs: []string{addr}})
	for _, want := range append(refusals[:len(refusals)-1:len(refusals)-1], failures...) { // ErrRefused is no node's
		m.Fail(fmt.Errorf("get %q: %w: more about it", "k", want))
		for name, call := range calls {
			err := call(c)
			require.ErrorIs(t, err, want, name)
			require.ErrorContains(t, err, "more about it", name)
			for _, other := range append(refusals, failures...) {
				require.Equal(t, errors.Is(want, other), errors.Is(err, other), "%s: %v is not %v", name, want, other)
			}
		}
	}
	// What a node has no words for is a read that failed, or a write with an open end.
	for _, odd := range []error{errors.New("the disk is on fire\x1b[2J"), context.DeadlineExceeded, context.Canceled} {
		m.Fail(odd)
		for name, call := range calls {
			err := call(c)
			require.Equal(t, isRead(name), errors.Is(err, api.ErrUnavailable), "%s: %v", name, err)
			require.Equal(t, !isRead(name), errors.Is(err, api.ErrUnknown), "%s: %v", name, err)
			require.NotContains(t, err.Error(), "\x1b")
		}
	}
	m.Fail(nil)
	for name, call := range calls {
		require.NoError(t, call(c), name)
	}
}

func TestRequestsThatNeverLeave(t *testing.T) {
	c := newClient(t, Options{Addrs: []string{deaf(t)}})
	ctx := t.Context()
	_, err := c.Get(ctx, nil, api.ReadOptions{})
	require.ErrorIs(t, err, api.ErrEmptyKey)
	_, err = c.Delete(ctx, make([]byte, api.MaxKey+1), api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrKeyTooLarge)
	_, err = c.Put(ctx, []byte("k"), make([]byte, api.MaxValue+1), api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrValueTooLarge)
	_, err = c.Put(ctx, []byte("k"), nil, api.WriteOptions{TTL: -1})
	require.ErrorIs(t, err, api.ErrTTL)
}

func TestRefusalsWithoutAWord(t *testing.T) {
	for status, want := range map[int]error{
		400: ErrRefused, 405: ErrRefused, 409: api.ErrSiblings, 412: api.ErrCondition, 503: api.ErrUnavailable, 507: api.ErrNoSpace,
	} {
		addr, _ := stub(t, status, "")
		c := newClient(t, Options{Addrs: []string{addr}})
		for op, call := range calls {
			require.ErrorIs(t, call(c), want, "%s: %d", op, status)
		}
	}
}

func TestLargestKeyAndValue(t *testing.T) {
	_, addr := memory(t)
	c := newClient(t, Options{Addrs: []string{addr}})
	key := []byte(strings.Repeat("\xff", api.MaxKey))
	value := make([]byte, api.MaxValue)
	value[len(value)-1] = 1
	_, err := c.Put(t.Context(), key, value, api.WriteOptions{})
	require.NoError(t, err)
	r, err := c.Get(t.Context(), key, api.ReadOptions{})
	require.NoError(t, err)
	require.Len(t, r.Values, 1)
	require.True(t, string(value) == string(r.Values[0].Data))
}

// stub answers every request alike and counts them.
func stub(t testing.TB, status int, body string, headers ...string) (string, *atomic.Int64) {
	var n atomic.Int64
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})), &n
}

func TestOtherServersAndBrokenAnswers(t *testing.T) {
	good := []string{httpapi.HeaderEpoch, "1", httpapi.HeaderAnswers, "2", httpapi.HeaderPrimaries, "2", httpapi.HeaderFallbacks, "0"}
	with := func(h ...string) []string { return append(good[:len(good):len(good)], h...) }
	for name, a := range map[string]struct {
		status  int
		body    string
		headers []string
	}{
		"some other server":     {404, "404 page not found", nil},
		"a page of another":     {200, "<html>", nil},
		"a redirect":            {302, "", []string{"Location", "http://127.0.0.1:1/"}},
		"a proxy":               {502, "", nil},
		"a context of nonsense": {200, "{", with(httpapi.HeaderContext, "!!")},
		"a count of nonsense":   {204, "", with(httpapi.HeaderAnswers, "-1", httpapi.HeaderPrimaries, "many")},
		"a time of nonsense":    {200, "[", with(httpapi.HeaderWritten, "yesterday")},
		"siblings without any":  {300, `{"siblings":[]}`, good},
		"half an answer":        {300, `{"siblings":[`, good},
		"a key of nonsense":     {200, `{"entries":[{"key":"%zz"}]}`, nil},
		"a token of nonsense":   {200, `{"entries":[],"next":"!!"}`, nil},
		"an entry's context":    {200, `{"entries":[{"key":"a","context":"!!"}]}`, nil},
	} {
		addr, _ := stub(t, a.status, a.body, a.headers...)
		c := newClient(t, Options{Addrs: []string{addr}})
		for op, call := range calls {
			if name == "a time of nonsense" && op != "get" {
				continue
			}
			err := call(c)
			require.Equal(t, isRead(op), errors.Is(err, api.ErrUnavailable), "%s: %s: %v", name, op, err)
			require.Equal(t, !isRead(op), errors.Is(err, api.ErrUnknown), "%s: %s: %v", name, op, err)
		}
	}
}

func TestNodesTakeTurns(t *testing.T) {
	a, na := stub(t, 404, "", httpapi.HeaderEpoch, "1", httpapi.HeaderAnswers, "2")
	b, nb := stub(t, 404, "", httpapi.HeaderEpoch, "1", httpapi.HeaderAnswers, "2")
	c := newClient(t, Options{Addrs: []string{a, b}})
	for range 10 {
		require.NoError(t, calls["get"](c))
	}
	require.Equal(t, [2]int64{5, 5}, [2]int64{na.Load(), nb.Load()})
}

// A write goes to the next node only if nothing can have happened at this one.
func TestGoingOn(t *testing.T) {
	for _, tc := range []struct {
		name         string
		status       int
		text         string
		reads, write bool // go on
	}{
		{"closing", 503, api.ErrClosed.Error(), true, true},
		{"too few replicas", 503, api.ErrUnavailable.Error(), true, false},
		{"a 503 of somebody else", 503, "try later", true, false},
		{"unknown", 504, api.ErrUnknown.Error(), true, false},
		{"closing with the write on its way", 504, fmt.Sprintf("%v: %v", api.ErrUnknown, api.ErrClosed), true, false},
		{"no space", 507, api.ErrNoSpace.Error(), true, false},
		{"damaged", 500, api.ErrDamaged.Error(), true, false},
		{"bad request", 400, api.ErrQuorum.Error(), false, false},
		{"condition", 412, api.ErrCondition.Error(), false, false},
		{"no node", 404, "no such page", true, false},
	} {
		for op, call := range calls {
			bad, asked := stub(t, tc.status, tc.text)
			m, good := memory(t)
			c := newClient(t, Options{Addrs: []string{bad, good}})
			c.turn.Store(1) // the bad node is next
			err := call(c)
			require.EqualValues(t, 1, asked.Load(), "%s: %s", tc.name, op)
			on := tc.write
			if isRead(op) {
				on = tc.reads
			}
			require.Equal(t, on, err == nil, "%s: %s: %v", tc.name, op, err)
			if op == "put" {
				r, err := m.Get(t.Context(), []byte("k"), api.ReadOptions{})
				require.NoError(t, err)
				require.Equal(t, on, len(r.Values) == 1, tc.name)
			}
		}
	}
}

func TestDeadNodesAreSkippedAndRest(t *testing.T) {
	_, good := memory(t)
	now := time.Unix(1000, 0)
	c := newClient(t, Options{Addrs: []string{deaf(t), good}})
	c.now = func() time.Time { return now }
	for range 4 {
		for name, call := range calls {
			require.NoError(t, call(c), name)
		}
	}
	first := func() (addrs [2]string) {
		for i := range addrs {
			addrs[i] = c.order()[0].addr
		}
		return addrs
	}
	require.Equal(t, [2]string{good, good}, first(), "the dead node rests")
	now = now.Add(restTime)
	require.Contains(t, first(), c.nodes[0].addr, "and is tried again")

	nobody := newClient(t, Options{Addrs: []string{deaf(t), deaf(t)}})
	for name, call := range calls {
		require.ErrorIs(t, call(nobody), api.ErrUnavailable, name)
	}
}

// A node that takes a request and never answers: a read still reaches the next node within
// its time, a write ends as unknown.
func TestNodeThatHangs(t *testing.T) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	hang := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	}))
	_, good := memory(t)
	for op, call := range calls {
		c := newClient(t, Options{Addrs: []string{hang, good}, Timeout: 500 * time.Millisecond})
		c.turn.Store(1)
		err := call(c)
		if isRead(op) {
			require.NoError(t, err, op)
			require.Equal(t, good, c.order()[0].addr, "the one that hangs rests")
			continue
		}
		require.ErrorIs(t, err, api.ErrUnknown, op)
		require.ErrorIs(t, err, context.DeadlineExceeded, op)
	}
}

func TestConnectionCutAfterTheRequest(t *testing.T) {
	cut := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	c := newClient(t, Options{Addrs: []string{cut}})
	for op, call := range calls {
		err := call(c)
		require.Equal(t, isRead(op), errors.Is(err, api.ErrUnavailable), "%s: %v", op, err)
		require.Equal(t, !isRead(op), errors.Is(err, api.ErrUnknown), "%s: %v", op, err)
	}
}

func TestCancelledBeforeAnything(t *testing.T) {
	_, addr := memory(t)
	c := newClient(t, Options{Addrs: []string{addr}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Put(ctx, []byte("k"), nil, api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
}

func TestStatus(t *testing.T) {
	_, addr := memory(t)
	c := newClient(t, Options{Addrs: []string{addr, deaf(t)}})
	for range 3 {
		require.JSONEq(t, `{"node":"memory"}`, string(c.Status().(json.RawMessage)))
	}
	got, err := c.StatusOf(t.Context(), 0)
	require.NoError(t, err)
	require.JSONEq(t, `{"node":"memory"}`, string(got))
	_, err = c.StatusOf(t.Context(), 1)
	require.ErrorIs(t, err, api.ErrUnavailable)
	nobody := newClient(t, Options{Addrs: []string{deaf(t)}})
	require.Contains(t, nobody.Status(), "error")
}

// A client made over somebody's http.Client leaves that one's connections alone.
func TestForeignHTTPClient(t *testing.T) {
	_, addr := memory(t)
	c := newClient(t, Options{Addrs: []string{addr}, HTTP: &http.Client{Transport: &http.Transport{}}})
	for name, call := range calls {
		require.NoError(t, call(c), name)
	}
	require.False(t, c.own)
}
