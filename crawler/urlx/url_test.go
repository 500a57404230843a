package urlx

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestParse has one case or two for each thing that the standard decides; TestStandard has
// all of the platform's. An expectation that begins with "!" is an error.
func TestParse(t *testing.T) {
	const base = "http://user@example.org:8080/a/b/c?q#f"
	for _, c := range []struct{ base, in, want string }{
		{"", "HTTP://EXAMPLE.org", "http://example.org/"},
		{"", " \t http://example.org/a b\n/c \x00", "http://example.org/a%20b/c"},
		{"", "ht\ttp://exa\nmple.org/\r", "http://example.org/"},
		{"", "http:example.org", "http://example.org/"},
		{"", `http:\\example.org\x\..\y`, "http://example.org/y"},
		{"", "http:////example.org/", "http://example.org/"},
		{"", "example.org/", "!relative"},
		{"", "", "!relative"},
		{"", "//example.org", "!relative"},
		{"", "http://", "!host"},
		{"", "http://user@/x", "!host"},
		{"", "http://:80/", "!host"},
		{"", "http://a b/", "!host"},
		{"", "http://a<b/", "!host"},
		{"", "http://a%00b/", "!host"},
		{"", "http://exampl%65.org/", "http://example.org/"},
		{"", "http://a%2eb/", "http://a.b/"},
		{"", "http://%41/", "http://a/"},
		{"", "http://a%zz/", "!host"},
		{"", "http://Bücher.example/", "http://xn--bcher-kva.example/"},
		{"", "http://faß.de/", "http://xn--fa-hia.de/"},
		{"", "http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"},
		{"", "http://xn--a/", "!host"},
		{"", "http://example。org/", "http://example.org/"},
		{"", "http://\xff.org/", "!host"},
		{"", "http://a..b/", "http://a..b/"},
		{"", "http://example.org./", "http://example.org./"},
		{"", "http://127.1/", "http://127.0.0.1/"},
		{"", "http://0x7f.1/", "http://127.0.0.1/"},
		{"", "http://2130706433/", "http://127.0.0.1/"},
		{"", "http://0177.0.0.01/", "http://127.0.0.1/"},
		{"", "http://127.0.0.1./", "http://127.0.0.1/"},
		{"", "http://0X7F000001/", "http://127.0.0.1/"},
		{"", "http://１２７.0.0.1/", "http://127.0.0.1/"},
		{"", "http://256.256.256.256/", "!host"},
		{"", "http://1.2.3.4.5/", "!host"},
		{"", "http://a.1/", "!host"},
		{"", "http://a.09/", "!host"},
		{"", "http://4294967296/", "!host"},
		{"", "http://[::1]/", "http://[::1]/"},
		{"", "http://[1:0:0:2:0:0:0:3]/", "http://[1:0:0:2::3]/"},
		{"", "http://[0:1:0:1:0:1:0:1]/", "http://[0:1:0:1:0:1:0:1]/"},
		{"", "http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"},
		{"", "http://[1::]/", "http://[1::]/"},
		{"", "http://[::1%25eth0]/", "!host"},
		{"", "http://[::1]x/", "!host"},
		{"", "http://[::1/", "!host"},
		{"", "http://a:80/", "http://a/"},
		{"", "http://a:/", "http://a/"},
		{"", "http://a:0443/", "http://a:443/"},
		{"", "https://a:443/", "https://a/"},
		{"", "http://a:0/", "http://a:0/"},
		{"", "http://a:65536/", "!port"},
		{"", "http://a:1x/", "!port"},
		{"", "http://a:-1/", "!port"},
		{"", "http://good.example@evil.example/", "http://good.example@evil.example/"},
		{"", `http://good.example\@evil.example/`, "http://good.example/@evil.example/"},
		{"", "http://a:b:c@d@host/", "http://a:b%3Ac%40d@host/"},
		{"", "http://:p@host/", "http://:p@host/"},
		{"", "http://:@host/", "http://host/"},
		{"", "http://h/a/./b/../c/%2E%2e/d/.", "http://h/a/d/"},
		{"", "http://h/../../x", "http://h/x"},
		{"", "http://h/a//../b", "http://h/a/b"},
		{"", "http://h/...", "http://h/..."},
		{"", "http://h/a%2fb%zz{}\x7fü", "http://h/a%2fb%zz%7B%7D%7F%C3%BC"},
		{"", "http://h/\xff", "http://h/%EF%BF%BD"},
		{"", "http://h/?a'b\"<>`{}|\\^", "http://h/?a%27b%22%3C%3E`{}|\\^"},
		{"", "http://h#a b`#", "http://h/#a%20b%60#"},
		{"", "http://h?", "http://h/?"},
		{"", "http://h/#", "http://h/#"},
		{"", "mailto:a@b?c d#e", "mailto:a@b?c%20d#e"},
		{"", "javascript:alert('x y')", "javascript:alert('x y')"},
		{"", "data:,\x01ü", "data:,%01%C3%BC"},
		{"", "foo://h", "foo://h"},
		{"", "foo://H%41 /", "!host"},
		{"", "foo://H%41ü?", "foo://H%41%C3%BC?"},
		{"", "foo:///x", "foo:///x"},
		{"", "foo:/..//p", "foo:/.//p"},
		{"", "foo:/a/../b", "foo:/b"},
		{"", "foo://:1/", "!host"},
		{"", "file:c|/x/../../y", "file:///c:/y"},
		{"", "file://localhost/x", "file:///x"},
		{"", "file:///../C:/..", "file:///C:/"},
		{"", "1http://x/", "!relative"},
		{base, "", "http://user@example.org:8080/a/b/c?q"},
		{base, "#x", "http://user@example.org:8080/a/b/c?q#x"},
		{base, "?x", "http://user@example.org:8080/a/b/c?x"},
		{base, "d", "http://user@example.org:8080/a/b/d"},
		{base, "./d/", "http://user@example.org:8080/a/b/d/"},
		{base, "../../../d", "http://user@example.org:8080/d"},
		{base, "/d", "http://user@example.org:8080/d"},
		{base, `\d`, "http://user@example.org:8080/d"},
		{base, "//h/d", "http://h/d"},
		{base, `/\h/d`, "http://h/d"},
		{base, "///h/d", "http://h/d"},
		{base, "http:d", "http://user@example.org:8080/a/b/d"},
		{base, "https:d", "https://d/"},
		{base, "http:/d", "http://user@example.org:8080/d"},
		{base, "mailto:x", "mailto:x"},
		{"mailto:x", "y", "!relative"},
		{"mailto:x#a", "#b", "mailto:x#b"},
		{"foo:/.//p", "?q", "foo:/.//p?q"},
		{"foo:/a", "//h", "foo://h"},
		{"foo://h", "x", "foo://h/x"},
		{"file:///C:/a/b", "/x", "file:///C:/x"},
		{"file:///C:/a/b", "D|/x", "file:///D:/x"},
		{"file://h/a/b", "x", "file://h/a/x"},
		{"http://h/a", "file:x", "file:///x"},
	} {
		u, err := parseWithBase(c.in, baseOf(c.base))
		if want, fails := strings.CutPrefix(c.want, "!"); fails {
			require.ErrorIs(t, err, map[string]error{"relative": ErrRelative, "host": ErrHost, "port": ErrPort}[want], "%q gave %v", c.in, u)
			continue
		}
		require.NoError(t, err, "%q", c.in)
		require.Equal(t, c.want, u.String(), "%q at %q", c.in, c.base)
		again, err := Parse(u.String())
		require.NoError(t, err)
		require.Equal(t, u, again)
	}
}

func baseOf(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func TestParts(t *testing.T) {
	u, err := Parse("https://us%65r:pa@ss@WWW.Example.co.uk.:8443/a/b?c=d&e#f?g")
	require.NoError(t, err)
	require.Equal(t, "https", u.Scheme())
	require.Equal(t, "us%65r", u.Username())
	require.Equal(t, "pa%40ss", u.Password())
	require.Equal(t, "www.example.co.uk.:8443", u.Host())
	require.Equal(t, "www.example.co.uk.", u.Hostname())
	require.Equal(t, "8443", u.Port())
	require.Equal(t, "/a/b", u.Path())
	require.Equal(t, "/a/b?c=d&e", u.PathQuery())
	require.Equal(t, "www.example.co.uk:8443", u.HostKey())
	require.Equal(t, "example.co.uk", u.Site())
	require.Equal(t, "https://www.example.co.uk.:8443", u.Origin())
	require.False(t, u.Opaque())
	require.False(t, u.IsIP())
	q, ok := u.Query()
	require.True(t, ok)
	require.Equal(t, "c=d&e", q)
	f, ok := u.Fragment()
	require.True(t, ok)
	require.Equal(t, "f?g", f)

	u, err = Parse("mailto:x")
	require.NoError(t, err)
	require.True(t, u.Opaque())
	require.Empty(t, u.Host()+u.Hostname()+u.Port()+u.Username()+u.Password())
	_, ok = u.Query()
	require.False(t, ok)
	_, ok = u.Fragment()
	require.False(t, ok)
}

func TestSites(t *testing.T) {
	for in, want := range map[string]string{
		"http://a.b.example.com/": "example.com", "http://example.com./": "example.com", "http://com/": "com", "http://localhost/": "localhost",
		"http://a.github.io/": "a.github.io", "http://github.io/": "github.io", "http://127.1/": "127.0.0.1", "http://[::1]/": "[::1]", "http://www.食狮.公司.cn/": "xn--85x722f.xn--55qx5d.cn",
	} {
		u, err := Parse(in)
		require.NoError(t, err)
		require.Equal(t, want, u.Site(), in)
	}
}

func TestLongInput(t *testing.T) {
	for _, in := range []string{
		"http://h/" + strings.Repeat("../a/", 400_000),
		"http://h/?" + strings.Repeat("a=b&", 500_000),
		"http://" + strings.Repeat("a.", 1_000_000) + "b/",
		"http://" + strings.Repeat("@", 1_000_000) + "b/",
		"http:" + strings.Repeat("/", 1_000_000) + "b/",
		"http://h/" + strings.Repeat("\n", 1_000_000),
		"foo:" + strings.Repeat("/..//", 400_000),
	} {
		u, err := Parse(in)
		require.NoError(t, err, "%.40s", in)
		_, err = Parse(u.String())
		require.NoError(t, err)
		u.Shape()
		u.AppendTemplate(nil)
	}
	for _, in := range []string{
		"http://xn--" + strings.Repeat("a", 1_000_000) + "/",
		"http://" + strings.Repeat("ü", 1_000_000) + "/",
		"http://" + strings.Repeat("%C3%BC", 300_000) + "/",
		"http://" + strings.Repeat("1", 1_000_000) + "/",
		"http://[" + strings.Repeat(":", 1_000_000) + "]/",
	} {
		_, err := Parse(in)
		require.ErrorIs(t, err, ErrHost, "%.40s", in)
	}
}

// parts to draw inputs from, so that what is drawn is a URL now and then.
var pieces = []string{
	"http", "https", "file", "foo", "ws", ":", "//", "/", `\`, "@", "?", "#", ".", "..", "%2e", "a", "B", "www.", "example.org", "co.uk", "127.1", "0x7f", "[::1]",
	":80", ":443", ":8080", "c|", "C:", "ü", "xn--", "xn--bcher-kva", " ", "\t", "\n", "%", "%41", "%7E", "'", "\"", "&", "=", "\xff", "-", "{", "|", "^", "`", "~",
}

func genURL() *rapid.Generator[string] {
	loose := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12), func(s []string) string { return strings.Join(s, "") })
	tail := rapid.Map(rapid.SliceOfN(rapid.SampledFrom(pieces[5:]), 0, 8), func(s []string) string { return strings.Join(s, "") })
	near := rapid.Map(tail, func(s string) string { return "http://www.example.org/" + s })
	host := rapid.Map(tail, func(s string) string { return "https://" + s })
	return rapid.OneOf(loose, near, host)
}

var profiles = []*Profile{
	nil,
	{KeepFragment: true, KeepUserinfo: true},
	{SortQuery: true, StripWWW: true, UpgradeHTTPS: true},
	{DropParam: func(name string) bool { return name == "a" }, KeepFragment: true},
}

// checkInput holds for every input: the scan agrees with the parser, a normal form is its
// own, a canonical form too, and nothing panics.
func checkInput(t require.TestingT, base *URL, in string) {
	buf, slow, slowErr := appendParsed(nil, nil, in)
	if p, ok := scan(in); ok {
		require.NoError(t, slowErr, "%q", in)
		require.Equal(t, in, string(buf))
		require.Equal(t, slow, p, "%q", in)
	}
	for _, b := range []*URL{nil, base} {
		u, err := parse(b, in)
		if err == nil {
			again, err := Parse(u.String())
			require.NoError(t, err, "%q became %q", in, u)
			require.Equal(t, u, again, "%q", in)
			u.Shape()
			u.AppendTemplate(nil)
			u.Site()
			u.HostKey()
		}
		for i, p := range profiles {
			out, cerr := Canonical([]byte("before "), b, []byte(in), p)
			require.Equal(t, "before ", string(out[:7]))
			if err != nil {
				require.Error(t, cerr)
			}
			if cerr != nil {
				require.Len(t, out, 7)
				continue
			}
			again, err := Canonical(nil, nil, out[7:], p)
			require.NoError(t, err, "%q became %q", in, out[7:])
			require.Equal(t, string(out[7:]), string(again), "%q by profile %d", in, i)
			c, err := Parse(string(again))
			require.NoError(t, err)
			require.Equal(t, string(again), c.String(), "a canonical form is a normal form")
		}
	}
}

func TestProperties(t *testing.T) {
	base, err := Parse("http://user@example.org:8080/a/b/c?q#f")
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) { checkInput(t, base, genURL().Draw(t, "url")) })
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"http://example.org/a?b#c", "//h/../x", `file:\\h\C|/`, "http://0x7f.1:8080/%2e%2E/", "foo:/..//p", "http://a@b:c@www.Bücher.example.:80/?b=1&a=2&a", "http://[::ffff:1.2.3.4]/"} {
		f.Add(s)
	}
	base, err := Parse("http://user@example.org:8080/a/b/c?q#f")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, in string) {
		start := time.Now()
		checkInput(t, base, in)
		if took := time.Since(start); took > 5*time.Second && len(in) < 1<<16 {
			t.Fatalf("%v for %d bytes", took, len(in))
		}
	})
}
