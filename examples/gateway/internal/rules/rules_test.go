package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const good = `{
  "trusted": ["127.0.0.0/8", "::1/128"],
  "ip": [{"name": "address", "events": 100, "per": "1s"}],
  "user": [{"name": "user", "events": 7, "per": "1m", "burst": 3, "algorithm": "gcra"}],
  "tiers": {"free": [{"name": "minute", "events": 10, "per": "1m"}]},
  "keys": [{"id": "k1", "sha256": "` + sum + `", "user": "ada", "tier": "free"}],
  "routes": [{"name": "src", "path": "/src/", "pool": "sources", "cost": 0, "strip": true}],
  "pools": [{"name": "sources", "backends": [{"id": "a", "url": "http://127.0.0.1:1", "weight": 2}]}]
}`

const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestParse(t *testing.T) {
	r, err := Parse([]byte(good))
	require.NoError(t, err)
	require.EqualValues(t, 0, r.Routes[0].RequestCost())
	l, _, err := r.Tiers["free"][0].Counted()
	require.NoError(t, err)
	require.EqualValues(t, 10, l.Burst)
	require.Empty(t, Diff(r, r))
}

// tokens stands before "ip" in rules that believe tokens.
const tokens = `"tokens": [{"id": "login", "issuer": "https://login", "audience": "api", "alg": "EdDSA", "key": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAM5E2pucAXJyM7AmUs3IbtiMDoTnTVzTkujm5Vy3jkeE=\n-----END PUBLIC KEY-----\n", "tier": "free", "leeway": "5s"}],
  "block": [{"name": "probe", "in": "header:User-Agent", "match": "(?i)scanner"}],
  "ip": [`

// procedure stands in the place of "cost" in a route that calls one.
const procedure = `"rpc": {"path": "/rpc", "method": "m", "params": {"a": "integer", "b": "any"}, "segments": ["a"], "errors": {"-1": 404}}, "shape": {"only": ["x"], "rename": {"x": "y"}}, "scopes": ["read"], "send": {"X-A": "b"}, "cost": 0`

func TestParseTokensAndProcedures(t *testing.T) {
	text := strings.Replace(strings.Replace(good, `"ip": [`, tokens, 1), `"cost": 0`, procedure, 1)
	r, err := Parse([]byte(text))
	require.NoError(t, err)
	lines := strings.Join(Diff(nil, r), "\n")
	require.Contains(t, lines, "token login: new: ")
	require.Contains(t, lines, "block probe: new: ")
	require.NotContains(t, lines, "PUBLIC KEY", "it might be a secret")
	require.Empty(t, Diff(r, r))

	base := strings.Replace(strings.Replace(good, `"ip": [`, tokens, 1), `"cost": 0`, procedure, 1)
	for _, c := range []struct{ from, to, says string }{
		{`"id": "login"`, `"id": ""`, "tokens need names"},
		{`"issuer": "https://login"`, `"issuer": ""`, "issuer"},
		{`"audience": "api"`, `"audience": ""`, "audience"},
		{`"alg": "EdDSA"`, `"alg": "none"`, "bad key"},
		{`"alg": "EdDSA"`, `"alg": "RS256"`, "bad key"},
		{`"alg": "EdDSA"`, `"alg": "HS256"`, "base64"},
		{`BEGIN PUBLIC`, `BEGIN PRIVATE`, "PEM"},
		{`"tier": "free", "leeway"`, `"tier": "gold", "leeway"`, `no tier "gold"`},
		{`"leeway": "5s"`, `"leeway": "11m"`, "leeway"},
		{`"leeway": "5s"`, `"leeway": "-1s"`, "leeway"},
		{`"leeway": "5s"`, `"prefix": "a b"`, "prefix"},
		{`"name": "probe"`, `"name": ""`, "proper name"},
		{`header:User-Agent`, `body`, "there are path, query"},
		{`header:User-Agent`, `header:`, "there are path, query"},
		{`(?i)scanner`, ``, "match is empty"},
		{`(?i)scanner`, `(`, "missing closing"},
		{`(?i)scanner`, strings.Repeat("a", 1001), "longer than"},
		{`(?i)scanner`, `(a{1000}){1000}`, "invalid repeat"},
		{`"/rpc"`, `"rpc"`, `path "rpc"`},
		{`"method": "m"`, `"method": ""`, "method"},
		{`"method": "m"`, `"method": "m", "version": "3.0"`, "no version"},
		{`"a": "integer"`, `"a": "int"`, "no type"},
		{`"segments": ["a"]`, `"segments": ["c"]`, "segment"},
		{`"segments": ["a"]`, `"segments": ["b"]`, "segment"},
		{`"segments": ["a"]`, `"segments": ["a", "a"]`, "segment"},
		{`"path": "/src/"`, `"path": "/src"`, "ends in a slash"},
		{`{"-1": 404}`, `{"-1": 200}`, "status 200"},
		{`"rename": {"x": "y"}`, `"rename": {"x": "y", "z": "y"}`, "twice"},
		{`"rename": {"x": "y"}`, `"rename": {"x": ""}`, "no name"},
		{`"scopes": ["read"]`, `"scopes": ["read write"]`, "scope"},
		{`"scopes": ["read"]`, `"scopes": ["read"], "public": true`, "public"},
		{`{"X-A": "b"}`, `{"X-A": "b\r\nX-B: c"}`, "cannot be"},
		{`{"X-A": "b"}`, `{"Host": "b"}`, "cannot be"},
		{`"pool": "sources", `, `"gather": {"a": "/b"}, `, "goes without"},
		{procedure, `"gather": {"a": "/b"}`, "goes without"},
		{`"pool": "sources", "rpc"`, `"gather": {}, "rpc"`, "gather has"},
	} {
		require.Contains(t, base, c.from)
		_, err := Parse([]byte(strings.Replace(base, c.from, c.to, 1)))
		require.ErrorIs(t, err, ErrRules, c.to)
		require.ErrorContains(t, err, c.says, c.to)
	}
}

// TestMalformedRules changes one thing in a good file at a time.
func TestMalformedRules(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{good, ``, "EOF"},
		{good, `null`, "at least one route"},
		{good, `[]`, "cannot unmarshal"},
		{good, `{`, "unexpected EOF"},
		{good, good + `{}`, "more than one value"},
		{good, strings.Repeat(" ", MaxSize+1), "longer than"},
		{`"ip"`, `"pi"`, `unknown field "pi"`},
		{`127.0.0.0/8`, `127.0.0.0`, "no prefix"},
		{`127.0.0.0/8`, `fe80::1%eth0/64`, "no prefix"},
		{`"ip": [`, `"cors": {"origins": []}, "ip": [`, "no origins"},
		{`"ip": [`, `"cors": {"origins": ["example.org"]}, "ip": [`, "is not https://host"},
		{`"ip": [`, `"cors": {"origins": ["https://example.org/"]}, "ip": [`, "is not https://host"},
		{`"ip": [`, `"cors": {"origins": ["*"], "headers": ["a b"]}, "ip": [`, "cannot be"},
		{`"events": 100`, `"events": 0`, "ip: limit"},
		{`"events": 100`, `"events": -1`, "ip: limit"},
		{`"events": 100`, `"events": NaN`, "invalid character"},
		{`"events": 100`, `"events": 1e400`, "cannot unmarshal"},
		{`"events": 100`, `"events": 0.5`, "cannot unmarshal"},
		{`"events": 100`, `"events": 9223372036854775808`, "cannot unmarshal"},
		{`"events": 100`, `"events": 9223372036854775807`, "ip: limit"},
		{`"per": "1s"`, `"per": "0s"`, "ip: limit"},
		{`"per": "1s"`, `"per": "-1s"`, "ip: limit"},
		{`"per": "1s"`, `"per": 1`, "a duration is a string"},
		{`"per": "1s"`, `"per": "1 second"`, "unknown unit"},
		{`"burst": 3`, `"burst": -3`, "user: limit"},
		{`"algorithm": "gcra"`, `"algorithm": "guess"`, "no algorithm"},
		{`"name": "address"`, `"name": ""`, "need names"},
		{`"name": "address"`, `"name": "a b"`, "need names"},
		{sum, sum[1:], "64 hexadecimal"},
		{`"tier": "free"`, `"tier": "gold"`, `no tier "gold"`},
		{`"id": "k1"`, `"id": ""`, "must be names"},
		{`"path": "/src/"`, `"path": "src"`, "path"},
		{`"pool": "sources", "cost"`, `"pool": "other", "cost"`, `no pool "other"`},
		{`"cost": 0`, `"cost": -1`, "cost -1"},
		{`"cost": 0`, `"cost": 1000000001`, "cost 1000000001"},
		{`"cost": 0`, `"maxBody": -1`, "maxBody"},
		{`"cost": 0`, `"timeout": "-1s"`, "a time of"},
		{`"cost": 0`, `"set": {"X": "a\r\nEvil: 1"}`, "cannot be"},
		{`"cost": 0`, `"host": "a/b"`, "host"},
		{`"cost": 0`, `"methods": ["get"]`, "method"},
		{`"http://127.0.0.1:1"`, `"127.0.0.1:1"`, "is not http"},
		{`"http://127.0.0.1:1"`, `"ftp://127.0.0.1:1"`, "is not http"},
		{`"http://127.0.0.1:1"`, `"http://u:p@127.0.0.1:1"`, "is not http"},
		{`"weight": 2`, `"weight": -2`, "weight"},
		{`"name": "sources", `, `"name": "sources", "policy": "best", `, "no policy"},
		{`"name": "sources", `, `"name": "sources", "retry": {"attempts": 99}, `, "attempts"},
		{`"name": "sources", `, `"name": "sources", "breaker": {"percent": 101}, `, "percentage"},
		{`"name": "sources", `, `"name": "sources", "inFlight": {"adapt": "magic"}, `, "magic"},
		{`"name": "sources", `, `"name": "sources", "inFlight": {"adapt": "aimd", "limit": 5, "min": 9}, `, "not in order"},
	} {
		require.Contains(t, good, c.from)
		_, err := Parse([]byte(strings.Replace(good, c.from, c.to, 1)))
		require.ErrorIs(t, err, ErrRules, c.to)
		require.ErrorContains(t, err, c.says, c.to)
	}
	_, _, err := Read(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDiff(t *testing.T) {
	a, err := Parse([]byte(good))
	require.NoError(t, err)
	b, err := Parse([]byte(strings.NewReplacer(`"events": 10,`, `"events": 20,`, `"ada"`, `"eve"`, `"ip"`, `"user"`, `"user": [`, `"ip": [`).Replace(good)))
	require.NoError(t, err)
	lines := strings.Join(Diff(a, b), "\n")
	require.Contains(t, lines, `tier free: [{"name":"minute","events":10,"per":"1m0s"}] → [{"name":"minute","events":20,"per":"1m0s"}]`)
	require.Contains(t, lines, "key k1: ")
	require.NotContains(t, lines, sum)
	require.NotEmpty(t, Diff(nil, a))
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"routes":[{"name":"a","path":"/","pool":"p"}],"pools":[{"name":"p","backends":[{"id":"b","url":"http://[::1]:0"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			require.ErrorIs(t, err, ErrRules)
			return
		}
		for _, limits := range r.Tiers {
			for _, l := range limits {
				_, _, err := l.Counted()
				require.NoError(t, err)
			}
		}
		require.Empty(t, Diff(r, r))
	})
}
