package gate

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// login makes tokens and the rule that believes them.
type login struct{ key ed25519.PrivateKey }

func newLogin() login {
	seed := sha256.Sum256([]byte("login"))
	return login{ed25519.NewKeyFromSeed(seed[:])}
}

func (l login) rule(t *testing.T) string {
	b, err := x509.MarshalPKIXPublicKey(l.key.Public())
	require.NoError(t, err)
	key, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b})))
	require.NoError(t, err)
	return `"tokens": [{"id": "login", "issuer": "https://login", "audience": "api", "alg": "EdDSA", "key": ` + string(key) + `, "tier": "free", "tierClaim": "plan", "prefix": "login."}], `
}

func (l login) token(t *testing.T, claims map[string]any) string {
	b, err := json.Marshal(claims)
	require.NoError(t, err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(b)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(l.key, []byte(text)))
}

func (l login) of(t *testing.T, sub, plan, scope string, life time.Duration) string {
	return l.token(t, map[string]any{"iss": "https://login", "aud": "api", "sub": sub, "plan": plan, "scope": scope, "exp": time.Now().Add(life).Unix()})
}

// TestTokens: a token is as good as a key, for whom it was made out to, until it ends, and
// for what it has scopes for.
func TestTokens(t *testing.T) {
	l := newLogin()
	x := newRig(t, func(s string) string {
		s = strings.Replace(s, `"ip":`, l.rule(t)+`"ip":`, 1)
		s = strings.Replace(s, `"id": "k2",`, `"id": "k2", "scopes": ["search"],`, 1)
		return strings.Replace(s, `"cost": 4`, `"cost": 1, "scopes": ["search"]`, 1)
	}, Options{})
	search := func(token string) (int, string, string) {
		res, body := x.do("GET", "/search?q=txt", "Authorization", "Bearer "+token)
		return res.StatusCode, res.Header.Get("WWW-Authenticate"), body
	}
	for i := range 6 { // five in an hour are free
		status, _, _ := search(l.of(t, "ada", "", "read search", time.Duration(i+1)*time.Minute))
		require.Equal(t, map[bool]int{true: 200, false: 429}[i < 5], status, "another token is the same user")
	}
	status, _, _ := search(l.of(t, "bob", "", "search", time.Minute))
	require.Equal(t, 200, status, "another user")
	for range 10 {
		status, _, _ = search(l.of(t, "cyd", "gold", "search", time.Minute))
		require.Equal(t, 200, status, "of a tier that the token names")
	}
	status, challenge, _ := search(l.of(t, "dee", "platinum", "read", time.Minute))
	require.Equal(t, 403, status)
	require.Equal(t, `Bearer realm="gateway", error="insufficient_scope", scope="search"`, challenge)
	res, _ := x.do("GET", "/search?q=txt", "X-Api-Key", "secret1")
	require.Equal(t, 403, res.StatusCode, "a key without scopes")
	res, _ = x.do("GET", "/search?q=txt", "X-Api-Key", "secret2")
	require.Equal(t, 200, res.StatusCode, "a key with them")

	served := x.backend.Served()
	for what, token := range map[string]string{
		"over":             l.of(t, "ada", "", "search", -time.Minute),
		"another audience": l.token(t, map[string]any{"iss": "https://login", "aud": "shop", "sub": "ada", "exp": time.Now().Add(time.Hour).Unix()}),
		"unsigned":         "eyJhbGciOiJub25lIn0.e30.",
		"nonsense":         "a.b.c",
		"empty":            "..",
		"huge":             strings.Repeat("a", 9000) + ".b.c",
	} {
		status, challenge, body := search(token)
		require.Equal(t, 401, status, what)
		require.Contains(t, challenge, `error="invalid_token"`, what)
		require.NotContains(t, body, token, what)
	}
	res, _ = x.do("GET", "/search?q=txt", "X-Api-Key", l.of(t, "eve", "", "search", time.Minute))
	require.Equal(t, 401, res.StatusCode, "a token is no key")
	require.Equal(t, served, x.backend.Served())

	res, _ = x.do("POST", "/echo", "body", "x", "Authorization", "Bearer "+l.of(t, "ada", "gold", "", time.Minute))
	require.Equal(t, "login.ada", res.Header.Get("Saw-X-User"))
	require.Equal(t, "gold", res.Header.Get("Saw-X-Tier"))
	require.Empty(t, res.Header.Get("Saw-Authorization"), "the token stays here")
	require.NotContains(t, x.log.String(), "eyJ")
	require.Contains(t, x.log.String(), `"key":"token:login.ada"`)
}

// TestTokensAfterReload: who has lost a key has lost it with the next request.
func TestTokensAfterReload(t *testing.T) {
	l := newLogin()
	without := strings.ReplaceAll(file(), "BACKEND", "127.0.0.1:1")
	x := newRig(t, func(s string) string { return strings.Replace(s, `"ip":`, l.rule(t)+`"ip":`, 1) }, Options{})
	token := l.of(t, "ada", "gold", "", time.Minute)
	res, _ := x.do("GET", "/files/a.txt", "Authorization", "Bearer "+token)
	require.Equal(t, 200, res.StatusCode)
	require.NoError(t, x.Load([]byte(without), "test"))
	res, _ = x.do("GET", "/files/a.txt", "Authorization", "Bearer "+token)
	require.Equal(t, 401, res.StatusCode)
	audits := x.Audits()
	require.Contains(t, strings.Join(audits[len(audits)-1].Changes, "\n"), "token login: gone")
	require.NotContains(t, fmt.Sprint(audits), "PUBLIC KEY")
}

// TestBlocked: what looks like an attack is refused, after it was counted for its address.
func TestBlocked(t *testing.T) {
	x := newRig(t, func(s string) string {
		return strings.Replace(s, `"ip":`, `"block": [
			{"name": "probe", "in": "path", "match": "(?i)\\.(php|env)$"},
			{"name": "sql", "in": "query", "match": "(?i)union\\s+select"},
			{"name": "scanner", "in": "header:User-Agent", "match": "^sqlmap/"}], "ip":`, 1)
	}, Options{})
	for _, c := range []struct {
		path, agent string
		status      int
	}{
		{"/files/.env", "", 403},
		{"/files/%2eENV", "", 403},
		{"/files/a.txt?q=1+UNION%20%20select+2", "", 403},
		{"/files/a.txt?q=%zz+%75nion+select", "", 403},
		{"/files/a.txt?q=union+select%2", "", 403},
		{"/files/a.txt", "sqlmap/1.7", 403},
		{"/files/a.txt", "curl (not sqlmap/1.7)", 200},
		{"/files/a.txt?q=the+union+may+select", "", 200},
	} {
		res, _ := x.do("GET", c.path, "User-Agent", c.agent)
		require.Equal(t, c.status, res.StatusCode, c)
	}
	require.EqualValues(t, 2, x.backend.Served())
	require.Contains(t, x.log.String(), `"blocked":"sql"`)
	status := 0
	for range 50 {
		res, _ := x.do("GET", "/files/.env", "X-Forwarded-For", "9.9.9.9")
		require.Equal(t, 403, res.StatusCode)
	}
	res, _ := x.do("GET", "/files/.env", "X-Forwarded-For", "9.9.9.9")
	status = res.StatusCode
	require.Equal(t, 429, status, "attacks use up what their address may do")
}

// TestTraces: a request is a span between its client's and its backend's.
func TestTraces(t *testing.T) {
	x := newRig(t, as, Options{})
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	saw := func(set ...string) (string, string) {
		res, _ := x.do("GET", "/echo", set...)
		require.Equal(t, 200, res.StatusCode)
		return res.Header.Get("Saw-Traceparent"), res.Header.Get("Saw-Tracestate")
	}
	got, state := saw("Traceparent", "00-"+id+"-"+parent+"-01", "Tracestate", "a=b")
	require.Regexp(t, "^00-"+id+"-[0-9a-f]{16}-01$", got)
	require.NotContains(t, got, parent)
	require.Equal(t, "a=b", state)
	require.Contains(t, x.log.String(), `"trace":"`+id+`"`)
	require.Contains(t, x.log.String(), `"parent":"`+parent+`"`)
	got, _ = saw("Traceparent", "cc-"+id+"-"+parent+"-01-later")
	require.Contains(t, got, id, "of a version to come")
	for _, bad := range []string{
		"", "00", "00-" + id + "-" + parent, "00-" + id + "-" + parent + "-01-more", "ff-" + id + "-" + parent + "-01",
		"00-" + strings.ToUpper(id) + "-" + parent + "-01", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01",
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01", "00-" + id[1:] + "-" + parent + "-01", "00-" + id + "-" + parent + "-zz",
	} {
		got, state := saw("Traceparent", bad, "Tracestate", "a=b")
		require.Regexp(t, "^00-[0-9a-f]{32}-[0-9a-f]{16}-00$", got, bad)
		require.NotContains(t, got, id, bad)
		require.Empty(t, state)
	}
}
