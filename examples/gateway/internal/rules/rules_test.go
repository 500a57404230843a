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
