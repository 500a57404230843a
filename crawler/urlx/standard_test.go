package urlx

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// suite reads one of the web platform tests, $ASHLAR_DATA/url/name.json.gz: a list of
// objects with comments, which are strings, between them.
func suite[T any](t *testing.T, name string) (cases []T) {
	t.Helper()
	dir := os.Getenv("ASHLAR_DATA")
	if dir == "" {
		t.Skip("ASHLAR_DATA names no folder with url/*.json.gz in it: the web platform tests are not run")
	}
	f, err := os.Open(filepath.Join(dir, "url", name+".json.gz"))
	if err != nil {
		t.Skipf("the web platform tests are not run: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	var raw []json.RawMessage
	require.NoError(t, json.NewDecoder(z).Decode(&raw))
	for _, r := range raw {
		if r[0] == '{' {
			var c T
			require.NoError(t, json.Unmarshal(r, &c))
			cases = append(cases, c)
		}
	}
	return cases
}

type urlCase struct {
	Input                                                                                    string
	Base                                                                                     *string
	Failure                                                                                  bool
	Href, Protocol, Username, Password, Host, Hostname, Port, Pathname, Search, Hash, Origin string
	RelativeTo                                                                               string
}

func (c urlCase) base() string {
	if c.Base == nil {
		return ""
	}
	return *c.Base
}

// shown is a part as the standard's interface shows it: nothing if it is empty.
func shown(mark, s string) string {
	if s == "" {
		return ""
	}
	return mark + s
}

// TestStandard runs the web platform's own cases, all of them.
func TestStandard(t *testing.T) {
	passed := 0
	for _, c := range suite[urlCase](t, "urltestdata") {
		u, err := parseWithBase(c.Input, c.Base)
		if c.Failure {
			if err == nil {
				t.Errorf("%q at %q: %q, want a failure", c.Input, c.base(), u)
				continue
			}
			passed++
			continue
		}
		if err != nil {
			t.Errorf("%q at %q: %v, want %q", c.Input, c.base(), err, c.Href)
			continue
		}
		query, _ := u.Query()
		fragment, _ := u.Fragment()
		got := urlCase{
			Href: u.String(), Protocol: u.Scheme() + ":", Username: u.Username(), Password: u.Password(), Host: u.Host(), Hostname: u.Hostname(), Port: u.Port(),
			Pathname: u.Path(), Search: shown("?", query), Hash: shown("#", fragment), Origin: u.Origin(),
		}
		if c.Origin == "" {
			got.Origin = "" // the case does not say
		}
		c2 := c
		c2.Input, c2.Base, c2.RelativeTo = "", nil, ""
		if got != c2 {
			t.Errorf("%q at %q:\n got %+v\nwant %+v", c.Input, c.base(), got, c2)
			continue
		}
		again, err := Parse(u.String())
		if err != nil || *again != *u {
			t.Errorf("%q parsed again is %q, %v", u, again, err)
			continue
		}
		passed++
	}
	t.Logf("%d cases", passed)
}

func parseWithBase(input string, base *string) (*URL, error) {
	if base == nil {
		return Parse(input)
	}
	b, err := Parse(*base)
	if err != nil {
		return nil, err
	}
	return b.Resolve(input)
}

type hostCase struct {
	Comment, Input string
	Output         *string
}

// TestHosts runs the web platform's cases on host names, of which the second suite is
// made from Unicode's own.
func TestHosts(t *testing.T) {
	for _, name := range []string{"toascii", "IdnaTestV2"} {
		t.Run(name, func(t *testing.T) {
			passed, failed := 0, 0
			for _, c := range suite[hostCase](t, name) {
				if c.Input == "" {
					continue // without a host "x" would be one
				}
				// What ends a host is encoded, to be part of it none the less.
				host := strings.NewReplacer(":", "%3A", "/", "%2F", "?", "%3F", "#", "%23", `\`, "%5C").Replace(c.Input)
				u, err := Parse("https://" + host + "/x")
				switch {
				case c.Output == nil || *c.Output == "":
					if err == nil {
						t.Errorf("%q (%+q) is %q, want a failure: %s", c.Input, c.Input, u.Hostname(), c.Comment)
						failed++
						continue
					}
				case err != nil:
					t.Errorf("%q (%+q): %v, want %q: %s", c.Input, c.Input, err, *c.Output, c.Comment)
					failed++
					continue
				case u.Hostname() != *c.Output:
					t.Errorf("%q is %q, want %q: %s", c.Input, u.Hostname(), *c.Output, c.Comment)
					failed++
					continue
				}
				passed++
			}
			t.Logf("%d cases, %d differ", passed, failed)
		})
	}
}
