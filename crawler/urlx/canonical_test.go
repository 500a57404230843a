package urlx

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCanonical(t *testing.T) {
	base, err := Parse("https://www.example.org/a/b")
	require.NoError(t, err)
	all := &Profile{SortQuery: true, StripWWW: true, UpgradeHTTPS: true, DropParam: func(name string) bool { return strings.HasPrefix(name, "utm_") || name == "sid" }}
	for _, c := range []struct {
		p        *Profile
		in, want string
	}{
		{nil, "c#top", "https://www.example.org/a/c"},
		{nil, "#!/state", "https://www.example.org/a/b"},
		{nil, "http://good@evil.example/#x", "http://evil.example/"},
		{nil, "http://evil.example/?#", "http://evil.example/?"},
		{&Profile{KeepFragment: true}, "#top", "https://www.example.org/a/b#top"},
		{&Profile{KeepUserinfo: true}, "http://u:p@h/", "http://u:p@h/"},
		{&Profile{KeepFragment: true, SortQuery: true}, "http://u:p@h/?b&a#c", "http://h/?a&b#c"},
		{all, "http://www.example.org/?b=2&a=1&b=1&&utm_source=x&sid=7#f", "https://example.org/?a=1&b=2&b=1"},
		{all, "http://www.example.org/?sid=7", "https://example.org/"},
		{all, "http://www.example.org/?", "https://example.org/"},
		{all, "http://www.example.org:8080/", "http://example.org:8080/"},
		{all, "http://www.example.org:443/", "http://example.org:443/"},
		{all, "http://www.com/", "https://www.com/"},
		{all, "http://www.www.www.com/", "https://www.com/"},
		{all, "http://www.co.uk/", "https://www.co.uk/"},
		{all, "http://www.github.io/", "https://www.github.io/"},
		{all, "http://U:P@WWW.Example.ORG/a b", "https://example.org/a%20b"},
	} {
		got, err := Canonical([]byte("x"), base, []byte(c.in), c.p)
		require.NoError(t, err, c.in)
		require.Equal(t, "x"+c.want, string(got), c.in)
	}
	for in, want := range map[string]error{
		"mailto:a@b": ErrScheme, "javascript:void(0)": ErrScheme, "data:,x": ErrScheme, "ftp://h/": ErrScheme, "blob:https://a/b": ErrScheme, "tel:1": ErrScheme,
		"http://a:99999/": ErrPort, "http://[/": ErrHost, "http://h/" + strings.Repeat("a", DefaultMaxLen): ErrTooLong, "http://h/" + strings.Repeat("a", 1<<21): ErrTooLong,
	} {
		got, err := Canonical([]byte("x"), base, []byte(in), nil)
		require.ErrorIs(t, err, want, "%.40s", in)
		require.Equal(t, "x", string(got))
	}
	_, err = Canonical(nil, nil, []byte("/a"), nil)
	require.ErrorIs(t, err, ErrRelative)
	got, err := Canonical(nil, nil, []byte("http://h/12345"), &Profile{MaxLen: 14})
	require.NoError(t, err)
	require.Len(t, got, 14)
	_, err = Canonical(nil, nil, []byte("http://h/123456"), &Profile{MaxLen: 14})
	require.ErrorIs(t, err, ErrTooLong)
}

// TestManyParams has a query like those of a facet trap, in an order of its own.
func TestManyParams(t *testing.T) {
	var b strings.Builder
	b.WriteString("http://h/?z=0")
	for i := range 400 {
		b.WriteString("&p" + string(rune('a'+i%26)) + "=" + strings.Repeat("1", i%7))
	}
	p := &Profile{SortQuery: true}
	one, err := Canonical(nil, nil, []byte(b.String()), p)
	require.NoError(t, err)
	two, err := Canonical(nil, nil, one, p)
	require.NoError(t, err)
	require.Equal(t, string(one), string(two))
	require.True(t, strings.HasSuffix(string(one), "&z=0"))
}

func TestShape(t *testing.T) {
	for in, want := range map[string]Shape{
		"http://h/":                            {Length: 9},
		"http://h/a/bcd//e?x=1&&y":             {Length: 24, Depth: 3, Params: 2, Longest: 3, Repeats: 1, Cycle: 1},
		"http://h/x/a/b/a/b/a/b":               {Length: 22, Depth: 7, Longest: 1, Repeats: 3, Cycle: 3},
		"http://h/a/a/a/a":                     {Length: 16, Depth: 4, Longest: 1, Repeats: 4, Cycle: 4},
		"http://h/" + strings.Repeat("a/", 99): {Length: 207, Depth: 99, Longest: 1, Repeats: 64, Cycle: 64},
	} {
		u, err := Parse(in)
		require.NoError(t, err)
		require.Equal(t, want, u.Shape(), in)
	}
}

func TestTemplate(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example/cal/2024-02-29/x17?from=3&to=4":                           "a.example/cal/{date}/x{n}?from&to",
		"https://a.example:81/cal/2024/02/":                                          "a.example:81/cal/{n}/{n}/",
		"http://h/s/123e4567-e89b-12d3-a456-426614174000/p?f[0]=a":                   "h/s/{uuid}/p?f[{n}]",
		"http://h/d41d8cd98f00b204e9800998ecf8427e/deadbeef/cafe1234x/x_0badcafe1.z": "h/{hex}/deadbeef/cafe{n}x/x_{hex}.z",
		"http://h/a/a/a/b/b": "h/a/b",
		"http://h/a%20b7":    "h/a%20b{n}",
		"mailto:x":           "/x",
	} {
		u, err := Parse(in)
		require.NoError(t, err)
		require.Equal(t, want, string(u.AppendTemplate(nil)), in)
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	base, err := Parse("https://www.example.org/a/b")
	require.NoError(t, err)
	dst := make([]byte, 0, 1024)
	for _, in := range []string{"https://www.example.org/a/b?c=d&e#f", "../x y?z#f", "HTTP://u@EXAMPLE.org:80/./%7e", "http://127.1/"} {
		ref := []byte(in)
		for _, p := range []*Profile{nil, {SortQuery: true, UpgradeHTTPS: true, KeepFragment: true}} {
			require.Zero(t, testing.AllocsPerRun(100, func() { dst, _ = Canonical(dst[:0], base, ref, p) }), in)
		}
	}
	require.EqualValues(t, 1, testing.AllocsPerRun(100, func() { Parse("https://www.example.org/a/b?c=d&e#f") }))
}
