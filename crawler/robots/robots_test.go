package robots

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// verdicts is a file, an agent, and paths with what is to be said of them: "+/x" is
// allowed, "-/x" is not.
type verdicts struct {
	name, file, agent string
	paths             []string
}

func (v verdicts) run(t *testing.T, m Mode) {
	t.Run(v.name, func(t *testing.T) {
		r := Parse([]byte(v.file), Options{Mode: m}).Agent(v.agent)
		for _, p := range v.paths {
			require.Equal(t, p[0] == '+', r.Allowed(p[1:]), "%.80s for %q in\n%.500s", p[1:], v.agent, v.file)
		}
	})
}

// both holds what the RFC and Google's parser agree on.
var both = []verdicts{
	{"empty file", "", "foobot", []string{"+/", "+"}},
	{"empty agent has only the rules for all", "user-agent: foobot\ndisallow: /\n", "", []string{"+/"}},
	{"empty path is the root", "user-agent: foobot\ndisallow: /\n", "foobot", []string{"-", "-/"}},
	{"other keys are no rules", "foo: FooBot\nbar: /\n", "FooBot", []string{"+/x/y"}},
	{"a missing colon", "user-agent FooBot\ndisallow /\n", "FooBot", []string{"-/x/y"}},
	{"three words are no rule", "user-agent: FooBot\ndisallow / x\n", "FooBot", []string{"+/x/y"}},
	{"case of keys", "USER-AGENT: FooBot\nALLOW: /x/\ndIsAlLoW: /\n", "FooBot", []string{"+/x/y", "-/a/b"}},
	{"case of agents", "User-Agent: FOO BAR\nAllow: /x/\nDisallow: /\n", "foo", []string{"+/x/y", "-/a/b"}},
	{"case of paths", "user-agent: FooBot\ndisallow: /X/\n", "FooBot", []string{"+/x/y", "-/X/y"}},
	{"typos", "useragent: a\ndissallow: /1\ndissalow: /2\ndisalow: /3\ndiasllow: /4\ndisallaw: /5", "a", []string{"-/1", "-/2", "-/3", "-/4", "-/5", "+/6"}},
	{"agent up to its version", "user-agent: FooBot/2.1\ndisallow: /", "foobot", []string{"-/"}},
	{"star with a tail", "user-agent: * all of you\ndisallow: /", "foobot", []string{"-/"}},
	{"rules before any agent", "disallow: /a\nuser-agent: *\ndisallow: /b", "foobot", []string{"+/a", "-/b"}},
	{"own group, no rules", "user-agent: *\ndisallow: /\nuser-agent: foobot\ndisallow:\n", "foobot", []string{"+/x"}},
	{"own group at the end", "user-agent: *\ndisallow: /\nuser-agent: foobot", "foobot", []string{"+/x"}},
	{"no group for it", "user-agent: a\nallow: /\nuser-agent: b\ndisallow: /\n", "c", []string{"+/x"}},
	{"own group hides that for all", "User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n", "FooBot", []string{"+/x/page", "-/y/page"}},
	{"groups for all are put together", "user-agent: *\ndisallow: /a\nuser-agent: x\ndisallow: /\nuser-agent: *\ndisallow: /b", "y", []string{"-/a", "-/b", "+/c"}},
	{"longest wins 1", "user-agent: F\ndisallow: /x/page.html\nallow: /x/\n", "F", []string{"-/x/page.html"}},
	{"longest wins 2", "user-agent: F\nallow: /x/page.html\ndisallow: /x/\n", "F", []string{"+/x/page.html", "-/x/"}},
	{"longest wins 3", "user-agent: F\ndisallow: /x\nallow: /x/\n", "F", []string{"-/x", "+/x/"}},
	{"longest wins over wildcard", "user-agent: F\nallow: /x/page.\ndisallow: /*.html\n", "F", []string{"+/x/page.html", "-/x/y.html"}},
	{"wildcards count as octets", "user-agent: F\nallow: /page\ndisallow: /*.html\n", "F", []string{"-/page.html", "+/page"}},
	{"allow wins a tie", "user-agent: F\ndisallow: /x/\nallow: /x/\n", "F", []string{"+/x/y"}},
	{"allow wins a tie of kinds 1", "user-agent: F\ndisallow: /ab\nallow: /a*\n", "F", []string{"+/ab"}},
	{"allow wins a tie of kinds 2", "user-agent: F\nallow: /ab\ndisallow: /a*\n", "F", []string{"+/ab"}},
	{"empty rules", "user-agent: F\ndisallow: \nallow: \n", "F", []string{"+/x"}},
	{"query in a rule", "User-agent: F\nDisallow: /\nAllow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par\n", "F", []string{"+/foo/bar?qux=taz&baz=http://foo.bar?tar&par"}},
	{"rule is encoded", "User-agent: F\nDisallow: /\nAllow: /foo/bar/ツ\n", "F", []string{"+/foo/bar/%E3%83%84"}},
	{"encoded rule", "User-agent: F\nDisallow: /\nAllow: /foo/bar/%e3%83%84\n", "F", []string{"+/foo/bar/%E3%83%84"}},
	{"star inside", "User-agent: F\nDisallow: /foo/bar/quz\nAllow: /foo/*/qux\n", "F", []string{"-/foo/bar/quz", "+/foo/quz", "+/foo//quz", "+/foo/bax/quz"}},
	{"anchor", "User-agent: F\nDisallow: /foo/bar$\nAllow: /foo/bar/qux\n", "F", []string{"-/foo/bar", "+/foo/bar/qux", "+/foo/bar/", "+/foo/bar/baz"}},
	{"comments", "User-agent: F\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n", "F", []string{"+/foo/bar", "-/foo/quz"}},
	{"only the root", "user-agent: F\nallow: /$\ndisallow: /\n", "F", []string{"+/", "-/page.html", "-/?q"}},
	{"fragment", "user-agent: F\ndisallow: /a$\n", "F", []string{"-/a#b", "+/ab#", "+#/a"}},
	{"fish", "user-agent: F\ndisallow: /\nallow: /fish\n", "F", []string{
		"-/bar", "+/fish", "+/fish.html", "+/fish/salmon.html", "+/fishheads", "+/fish.html?id=anything", "-/Fish.asp", "-/catfish", "-/?id=fish",
	}},
	{"fish*", "user-agent: F\ndisallow: /\nallow: /fish*\n", "F", []string{"-/bar", "+/fish", "+/fish/salmon.html", "+/fishheads/yummy.html", "-/Fish.bar", "-/catfish", "-/?id=fish"}},
	{"fish/", "user-agent: F\ndisallow: /\nallow: /fish/\n", "F", []string{"-/bar", "+/fish/", "+/fish/?salmon", "+/fish/salmon.html", "-/fish", "-/fish.html", "-/Fish/Salmon.html"}},
	{"*.php", "user-agent: F\ndisallow: /\nallow: /*.php\n", "F", []string{
		"-/bar", "+/filename.php", "+/folder/filename.php?parameters", "+//folder/any.php.file.html", "+/filename.php/", "+/index?f=filename.php/", "-/php/", "-/index?php", "-/windows.PHP",
	}},
	{"*.php$", "user-agent: F\ndisallow: /\nallow: /*.php$\n", "F", []string{
		"-/bar", "+/filename.php", "+/folder/filename.php", "-/filename.php?parameters", "-/filename.php/", "-/filename.php5", "-/php/", "-/filename?php", "-/aaaphpaaa", "-//windows.PHP",
	}},
	{"fish*.php", "user-agent: F\ndisallow: /\nallow: /fish*.php\n", "F", []string{"-/bar", "+/fish.php", "+/fishheads/catfish.php?parameters", "-/Fish.PHP"}},
	{"stars at the end", "user-agent: F\ndisallow: /a**\ndisallow: /b*$\ndisallow: /c*d*$", "F", []string{"-/a", "-/ax", "-/b", "-/bx", "+/c", "-/cxdy"}},
	{"a last part twice", "user-agent: F\ndisallow: /*ab$\ndisallow: /x*yy$", "F", []string{"-/abab", "+/aba", "+/xy", "-/xyyy"}},
	{"line ends", "user-agent: F\rdisallow: /a\r\n\r\ndisallow: /b\n\rdisallow: /c", "F", []string{"-/a", "-/b", "-/c", "+/d"}},
	{"byte order mark", "\xEF\xBB\xBFuser-agent: F\ndisallow: /", "F", []string{"-/"}},
	{"half a mark", "\xEF\xBBuser-agent: F\ndisallow: /", "F", []string{"-/"}},
	{"broken mark", "\xEF\x11\xBFuser-agent: F\ndisallow: /", "F", []string{"+/"}},
	{"mark in the middle", "user-agent: F\n\xEF\xBB\xBFdisallow: /", "F", []string{"+/"}},
	{"a page of HTML", "<!DOCTYPE html>\n<style>a:hover { color: red }</style>\n<p>Disallow: / is what we would say.</p>", "F", []string{"+/"}},
	{"other lines end no group", "User-agent: BarBot\nSitemap: https://foo.bar/sitemap\nUser-agent: *\nDisallow: /\n", "BarBot", []string{"-/"}},
	{"unknown lines end no group", "User-agent: FooBot\nInvalid-Unknown-Line: unknown\nUser-agent: *\nDisallow: /\n", "FooBot", []string{"-/"}},
}

// groups has three groups, two of them for one agent, and one with two agents.
const groups = `allow: /foo/bar/

user-agent: FooBot
disallow: /
allow: /x/
user-agent: BarBot
disallow: /
allow: /y/


allow: /w/
user-agent: BazBot

user-agent: FooBot
allow: /z/
disallow: /
`

func TestBothModes(t *testing.T) {
	cases := append([]verdicts{
		{"groups foo", groups, "FooBot", []string{"+/x/b", "+/z/d", "-/y/c", "-/foo/bar/"}},
		{"groups bar", groups, "BarBot", []string{"+/y/c", "+/w/a", "-/z/d", "-/foo/bar/"}},
		{"groups baz", groups, "BazBot", []string{"+/z/d", "-/foo/bar/"}},
		{"groups for nobody", groups, "QuxBot", []string{"+/z/d", "+/foo/bar/"}},
	}, both...)
	for _, m := range []Mode{RFC9309, Google} {
		t.Run(m.String(), func(t *testing.T) {
			for _, c := range cases {
				c.run(t, m)
			}
		})
	}
}

// TestRFC holds what the standard says and Google's parser does not do.
func TestRFC(t *testing.T) {
	// Sections 5.1 and 5.2 of the RFC.
	simple := "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\nUser-Agent: foobot\nDisallow:/\nAllow:/example/page.html\nAllow:/example/allowed.gif\n\n" +
		"User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\nUser-Agent: quxbot\n"
	for _, c := range []verdicts{
		{"5.1 all", simple, "other", []string{"-/a.gif", "+/a.gif?x", "-/example/", "+/publications/x"}},
		{"5.1 foobot", simple, "foobot", []string{"-/", "+/example/page.html", "+/example/allowed.gif", "-/publications/"}},
		{"5.1 barbot", simple, "barbot", []string{"+/", "-/example/page.html", "+/example/allowed.gif"}},
		{"5.1 bazbot", simple, "BAZBOT", []string{"+/", "-/example/page.html"}},
		{"5.1 quxbot", simple, "quxbot", []string{"+/example/page.html", "+/a.gif"}},
		{"5.2", "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n", "foobot", []string{"+/example/page/", "-/example/page/disallowed.gif"}},
		{"2.2.2 stays", "user-agent: *\ndisallow: /foo/bar?baz=https://foo.bar", "a", []string{"-/foo/bar?baz=https://foo.bar"}},
		{"2.2.2 not ASCII", "user-agent: *\ndisallow: /foo/bar/ツ", "a", []string{"-/foo/bar/ツ", "-/foo/bar/%E3%83%84", "-/foo/bar/%e3%83%84"}},
		{"2.2.2 encoded", "user-agent: *\ndisallow: /foo/bar/%E3%83%84", "a", []string{"-/foo/bar/ツ", "-/foo/bar/%E3%83%84"}},
		{"2.2.2 unreserved", "user-agent: *\ndisallow: /foo/bar/%62%61%7A", "a", []string{"-/foo/bar/baz", "-/foo/bar/%62az"}},
		{"2.2.2 reserved stay apart", "user-agent: *\ndisallow: /a%2Fb\ndisallow: /c/d", "a", []string{"-/a%2fb", "+/a/b", "+/c%2Fd", "-/c/d"}},
		{"2.2.3 star", "user-agent: *\ndisallow: /path/file-with-a-%2A.html", "a", []string{"-/path/file-with-a-*.html", "-/path/file-with-a-%2a.html", "+/path/file-with-a-x.html"}},
		{"2.2.3 dollar", "user-agent: *\ndisallow: /path/foo-%24", "a", []string{"-/path/foo-$", "-/path/foo-%24x", "+/path/foo-"}},
		{"dollar in the middle", "user-agent: *\ndisallow: /a$b", "a", []string{"-/a$b", "-/a%24b", "+/a"}},
		{"star at the start", "user-agent: *\ndisallow: */private", "a", []string{"-/x/private/y", "-/private"}},
		{"no slash at the start", "user-agent: *\ndisallow: private/", "a", []string{"-/private/x", "+/x/private/"}},
		{"bad encodings", "user-agent: *\ndisallow: /100%\ndisallow: /%zz", "a", []string{"-/100%", "-/100%25", "-/%zz", "-/%25zz"}},
		{"spaces", "user-agent: *\ndisallow: /a b\ndisallow: /c%20d", "a", []string{"-/a%20b", "-/a b", "-/c d"}},
		{"robots.txt itself", "user-agent: *\ndisallow: /", "a", []string{"+/robots.txt", "-/robots.txt.bak"}},
		{"a key must be whole", "user-agent: *\ndisallow-not: /", "a", []string{"+/"}},
		{"names with digits", "user-agent: MJ12bot\ndisallow: /", "MJ12bot/1.4", []string{"-/"}},
		{"names with commas", "user-agent: one, Two/2,three\ndisallow: /", "two", []string{"-/"}},
		{"rules in a page", "<html><body>\nuser-agent: *<br>\ndisallow: /x/<BR>\ncrawl-delay: 3<br>", "a", []string{"-/x/y", "+/x<"}},
		{"no page", "user-agent: *\ndisallow: /x<y", "a", []string{"-/x%3Cyz", "+/x"}},
		{"index.html is a file", "user-agent: *\nallow: /d/index.html\ndisallow: /", "a", []string{"-/d/", "+/d/index.html"}},
		{"UTF-16", "\xFF\xFEu\x00s\x00e\x00r\x00-\x00a\x00g\x00e\x00n\x00t\x00:\x00*\x00\n\x00d\x00i\x00s\x00a\x00l\x00l\x00o\x00w\x00:\x00/\x00x\x00", "a", []string{"-/x", "+/y"}},
		{"UTF-16, big end first", "\xFE\xFF\x00u\x00s\x00e\x00r\x00-\x00a\x00g\x00e\x00n\x00t\x00:\x00*\x00\n\x00d\x00i\x00s\x00a\x00l\x00l\x00o\x00w\x00:\x00/\x00x", "a", []string{"-/x", "+/y"}},
		{"NUL ends a line", "user-agent: *\x00\x00\ndisallow: /a\x00b", "a", []string{"-/a"}},
	} {
		c.run(t, RFC9309)
	}
}

// TestGoogle holds what Google's parser does and the standard does not say.
func TestGoogle(t *testing.T) {
	limit := 2083 * 8
	as, bs := "/x/"+strings.Repeat("a", limit-len("disallow: ")-5), "/x/"+strings.Repeat("b", limit-len("allow: ")-5)
	for _, c := range []verdicts{
		{"agent up to a space", "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n", "Foo", []string{"+/x/y"}},
		{"an agent with a space is nobody", "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n", "Foo Bar", []string{"-/x/y"}},
		{"paths are not encoded", "User-agent: F\nDisallow: /\nAllow: /foo/bar/ツ\n", "F", []string{"-/foo/bar/ツ"}},
		{"nor decoded", "User-agent: F\nDisallow: /\nAllow: /foo/bar/%62%61%7A\n", "F", []string{"-/foo/bar/baz", "+/foo/bar/%62%61%7A"}},
		{"index.html", "User-Agent: *\nAllow: /allowed-slash/index.html\nDisallow: /\n", "foobot", []string{"+/allowed-slash/", "-/allowed-slash/index.htm", "+/allowed-slash/index.html", "-/anyother-url"}},
		{"index.html is not forbidden so", "User-Agent: *\nDisallow: /d/index.html\n", "foobot", []string{"+/d/", "-/d/index.html"}},
		{"keys by their start", "user-agent-list: F\ndisallow-all: /x", "F", []string{"-/x"}},
		{"long disallow", "user-agent: F\ndisallow: " + as + "a/qux\n", "F", []string{"+/fux", "-" + as + "a/fux"}},
		{"long allow", "user-agent: F\ndisallow: /\nallow: " + as + "/qux\nallow: " + bs + "b/qux\n", "F", []string{"-/", "+" + as + "/qux", "+" + bs + "b/fux"}},
		{"no slash at the start", "user-agent: F\ndisallow: x", "F", []string{"+/x"}},
		{"digits end a name", "user-agent: MJ12bot\ndisallow: /", "MJ", []string{"-/"}},
	} {
		c.run(t, Google)
	}
}

func TestPathQuery(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "http://www.example.com": "/", "http://www.example.com/": "/", "http://www.example.com/a": "/a",
		"http://www.example.com/a/b?c=http://d.e/": "/a/b?c=http://d.e/", "http://www.example.com/a/b?c=d&e=f#fragment": "/a/b?c=d&e=f",
		"example.com": "/", "example.com/a/b?c=d&e=f#fragment": "/a/b?c=d&e=f", "a": "/", "/a": "/a", "a/b": "/b", "example.com?a": "/?a", "example.com/a;b#c": "/a;b",
		"//a/b/c": "/b/c", "http://a#/b": "/",
	} {
		require.Equal(t, want, PathQuery(in), in)
	}
}

func TestCrawlDelay(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "1": time.Second, "1.5": 1500 * time.Millisecond, "1,5": 1500 * time.Millisecond, "10 seconds": 10 * time.Second, "10s": 10 * time.Second,
		".5": 500 * time.Millisecond, "2.": 2 * time.Second, "1e2": 100 * time.Second, "1e9": maxDelay, "1e999": maxDelay, "99999999999999999999": maxDelay,
	} {
		d, ok := parseDelay(in)
		require.True(t, ok, in)
		require.Equal(t, want, d, in)
	}
	for _, in := range []string{"", "-1", "ten", "NaN", "Inf", "-", "e", "--1", "1-2", "1.2.3"} {
		_, ok := parseDelay(in)
		require.False(t, ok, in)
	}

	file := Parse([]byte("user-agent: a\ncrawl-delay: 5\nuser-agent: b\nuser-agent: c\nCrawl-Delay: 2\ndisallow: /\nuser-agent: *\ncrawl-delay: 1\nuser-agent: a\ndisallow: /x\ncrawl-delay: 3"), Options{})
	for agent, want := range map[string]time.Duration{"a": 5 * time.Second, "b": 2 * time.Second, "c": 2 * time.Second, "d": 3 * time.Second} {
		d, ok := file.Agent(agent).CrawlDelay()
		require.True(t, ok)
		require.Equal(t, want, d, agent)
	}
	_, ok := Parse([]byte("crawl-delay: 9\nuser-agent: *\ndisallow: /"), Options{}).Agent("a").CrawlDelay()
	require.False(t, ok, "a delay before the first agent is nobody's")
}

func TestSitemaps(t *testing.T) {
	f := Parse([]byte("Sitemap: https://a.example/1.xml\nuser-agent: x\nsite-map:https://a.example/2.xml # two\nsitemap:\ndisallow: /\nSITEMAP /3.xml"), Options{})
	require.Equal(t, []string{"https://a.example/1.xml", "https://a.example/2.xml", "/3.xml"}, slices.Collect(f.Sitemaps()))
	for s := range f.Sitemaps() {
		require.Equal(t, "https://a.example/1.xml", s)
		break
	}
}

func TestMatchNamesTheRule(t *testing.T) {
	r := Parse([]byte("user-agent: *\ndisallow: /a\n\nallow: /a/*/Ü$ # why not\ndisallow: /a"), Options{}).Agent("x")
	got, ok := r.Match("/a/b/%c3%9c")
	require.True(t, ok)
	require.Equal(t, Rule{Allow: true, Pattern: "/a/*/Ü$", Line: 4}, got)
	got, ok = r.Match("/ab")
	require.True(t, ok)
	require.Equal(t, Rule{Pattern: "/a", Line: 2}, got)
	_, ok = r.Match("/b")
	require.False(t, ok)
	require.Equal(t, 2, r.Len())
	require.True(t, (&Rules{}).Allowed("/"), "the zero value allows")
}

func TestFromStatus(t *testing.T) {
	body := func() io.Reader { return strings.NewReader("user-agent: *\ndisallow: /x") }
	for _, c := range []struct {
		status, redirects int
		body              io.Reader
		want              Policy
		root, x           bool
	}{
		{200, 0, body(), Obey, true, false},
		{206, 5, body(), Obey, true, false},
		{204, 0, nil, Obey, true, true},
		{301, 0, nil, Follow, false, false},
		{307, 4, nil, Follow, false, false},
		{302, 5, nil, AllowAll, true, true},
		{200, 6, body(), AllowAll, true, true},
		{400, 0, nil, AllowAll, true, true},
		{401, 0, body(), AllowAll, true, true},
		{403, 0, nil, AllowAll, true, true},
		{404, 0, nil, AllowAll, true, true},
		{410, 0, nil, AllowAll, true, true},
		{429, 0, nil, DisallowAll, false, false},
		{500, 0, body(), DisallowAll, false, false},
		{503, 3, nil, DisallowAll, false, false},
		{0, 0, nil, DisallowAll, false, false},
		{999, 0, nil, DisallowAll, false, false},
		{-1, 0, nil, DisallowAll, false, false},
		{101, 0, nil, DisallowAll, false, false},
		{304, 0, nil, DisallowAll, false, false},
		{200, 0, io.MultiReader(body(), iotest.ErrReader(errors.New("reset"))), DisallowAll, false, false},
	} {
		f, policy := FromStatus(c.status, c.redirects, c.body, Options{})
		require.Equal(t, c.want, policy, "%d", c.status)
		r := f.Agent("any")
		require.Equal(t, c.root, r.Allowed("/"), "%d", c.status)
		require.Equal(t, c.x, r.Allowed("/x"), "%d", c.status)
		require.True(t, r.Allowed("/robots.txt"), "the way back is open")
	}
	require.Equal(t, "obey, allow all, disallow all, follow, unknown", strings.Join([]string{Obey.String(), AllowAll.String(), DisallowAll.String(), Follow.String(), Policy(9).String()}, ", "))
}

// endless is a body without end, of one line or of many.
type endless struct {
	text string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.read%len(e.text)]
		e.read++
	}
	return len(p), nil
}

// TestLines holds the numbers of lines, for all ways to end one.
func TestLines(t *testing.T) {
	for _, end := range []string{"\n", "\r", "\r\n"} {
		for _, last := range []string{"", end, end + end} {
			text := strings.Join([]string{"user-agent: *", "", "disallow: /a", "", "", "disallow: /b"}, end) + last
			r := Parse([]byte(text), Options{}).Agent("x")
			a, _ := r.Match("/a")
			b, _ := r.Match("/b")
			require.Equal(t, []int{3, 6}, []int{a.Line, b.Line}, "%q", text)
		}
	}
	r := Parse([]byte("\r\n\n\ruser-agent: *\n\rdisallow: /a\r\r\ndisallow: /b\r"), Options{}).Agent("x")
	a, _ := r.Match("/a")
	b, _ := r.Match("/b")
	require.Equal(t, []int{6, 8}, []int{a.Line, b.Line})
}

func TestBounds(t *testing.T) {
	e := &endless{text: "user-agent: *\ndisallow: /x\n"}
	f, policy := FromStatus(200, 0, e, Options{})
	require.Equal(t, Obey, policy)
	require.False(t, f.Agent("a").Allowed("/x"))
	require.Less(t, e.read, 3*DefaultMaxBytes)

	e = &endless{text: "disallow: /"} // one line
	f, _ = FromStatus(200, 0, e, Options{})
	require.True(t, f.Agent("a").Allowed("/"))

	const text = "user-agent: *\ndisallow: /abc\n"
	for n := 1; n <= len(text)+1; n++ {
		r := Parse([]byte(text), Options{MaxBytes: n}).Agent("a")
		require.Equal(t, n < len(text), r.Allowed("/abc"), "%d bytes: half a rule is no rule", n)
		require.True(t, r.Allowed("/a"))
	}
}

// TestHostilePatterns has files and paths made to keep a matcher busy. It would not end
// with a matcher that tries all places for all stars.
func TestHostilePatterns(t *testing.T) {
	path := "/" + strings.Repeat("a", 100_000)
	r := Parse([]byte("user-agent: *\ndisallow: /"+strings.Repeat("*a", 50_000)+"*b"), Options{}).Agent("x")
	require.True(t, r.Allowed(path))
	require.False(t, r.Allowed(path+"b"))

	r = Parse([]byte(strings.Repeat("\r", DefaultMaxBytes-100)+"user-agent: *\rdisallow: /x\r"), Options{}).Agent("x")
	require.False(t, r.Allowed("/x"))

	var nested strings.Builder
	nested.WriteString("user-agent: *\n")
	for n := 1; nested.Len() < 400<<10; n++ {
		nested.WriteString("disallow: /" + strings.Repeat("a", n) + "\n")
	}
	r = Parse([]byte(nested.String()), Options{}).Agent("x")
	require.False(t, r.Allowed(path))
	require.True(t, r.Allowed("/b"))
}
