package extract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/crawler/urlx"
)

func mustURL(t require.TestingT, s string) *urlx.URL {
	u, err := urlx.Parse(s)
	require.NoError(t, err)
	return u
}

func parseText(t testing.TB, body string, o Options) (*Page, string) {
	t.Helper()
	var text bytes.Buffer
	o.Text = &text
	p, err := Parse(strings.NewReader(body), mustURL(t, "https://example.org/dir/page.html"), o)
	require.NoError(t, err)
	require.Equal(t, xxhash.Sum64(text.Bytes()), p.TextHash)
	require.Len(t, strings.Fields(text.String()), p.Words)
	return p, text.String()
}

func urls(p *Page) (out []string) {
	for _, l := range p.Links {
		out = append(out, strings.TrimPrefix(l.URL, "https://example.org"))
	}
	return out
}

const document = `<!DOCTYPE html>
<html lang="en-GB"><head>
<title> A
 &amp; B </title><title>no</title>
<meta name="Robots" content="noindex, NOARCHIVE"><meta name=otherbot content=nofollow>
<link rel="canonical" href="/canonical#x">
<link rel="alternate" hreflang="de" href="/de/"><link rel=alternate type=application/rss+xml href=/feed.xml>
<link rel="stylesheet" href="/style.css"><link rel="next" href="?page=2">
<meta http-equiv="Refresh" content="5; URL='/later'">
<script>document.write('<a href="/script">')</script>
<style>a { background: url(/css) }</style>
</head><body>
<!-- <a href="/comment"> -->
<p>Hello <b>wor</b>ld,<br>this&nbsp;is <a href="one">one</a><a href=./one rel="nofollow">again</a>
<a href="two" rel="ugc nofollow" style="color: red; DISPLAY : none">two</a>
<a href="mailto:a@b">mail</a><a href="javascript:void(0)">js</a><a name="x">none</a><a href="">self</a>
<map><area href="/area"></map><noscript>without <a href="/noscript">scripts</a></noscript>
<template><a href="/template">not</a> there</template>
<svg><title>pic</title></svg><iframe src="//frames.example/f">old</iframe>
<form action="/search"></form><form method=POST action="/post"></form><form method=GET></form>
<img src="/i.png" srcset="/i1.png 1x, /i2.png 2x"><textarea>draft</textarea>
</body></html>`

func TestDocument(t *testing.T) {
	p, text := parseText(t, document, Options{})
	require.Equal(t, "A & B", p.Title)
	require.Equal(t, "en-GB", p.Lang)
	require.Equal(t, "utf-8", p.Charset)
	require.Equal(t, "https://example.org/canonical", p.Canonical)
	require.Equal(t, Robots{NoIndex: true, NoArchive: true}, p.Robots)
	require.Equal(t, []Alternate{{"de", "https://example.org/de/"}}, p.Alternates)
	require.Equal(t, []Link{
		{URL: "https://example.org/feed.xml", Kind: Feed},
		{URL: "https://example.org/dir/page.html?page=2", Kind: Related},
		{URL: "https://example.org/later", Kind: Refresh, After: 5 * time.Second},
		{URL: "https://example.org/dir/one"},
		{URL: "https://example.org/dir/two", NoFollow: true, Hidden: true},
		{URL: "https://example.org/dir/page.html"},
		{URL: "https://example.org/area"},
		{URL: "https://example.org/noscript"},
		{URL: "https://frames.example/f", Kind: Frame},
		{URL: "https://example.org/search", Kind: Form},
	}, p.Links)
	require.Equal(t, 2, p.BadLinks)
	require.Equal(t, "Hello world, this is oneagain two mailjsnoneself without scripts", text)
	require.False(t, p.Truncated)

	p, _ = parseText(t, document, Options{Product: "OtherBot", Resources: true})
	require.Equal(t, Robots{NoIndex: true, NoArchive: true, NoFollow: true}, p.Robots)
	require.Subset(t, urls(p), []string{"/style.css", "/i.png", "/i1.png", "/i2.png"})
}

func TestLinks(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"base":               {`<a href=a><base href="/other/"><a href=b><base href="/third/"><a href=c>`, []string{"/dir/a", "/other/b", "/other/c"}},
		"base elsewhere":     {`<base href="https://b.example/x/y"><a href=a>`, []string{"https://b.example/x/a"}},
		"base without href":  {`<base target=_top><base href=/o/><a href=a>`, []string{"/o/a"}},
		"bad base":           {`<base href="http://[/"><base href=/o/><a href=a>`, []string{"/dir/a"}},
		"opaque base":        {`<base href="data:x"><a href=a>`, []string{"/dir/a"}},
		"file base":          {`<base href="file:///etc/"><a href=passwd><a href=https://example.org/x>`, []string{"/x"}},
		"entities":           {`<a href="?a=1&amp;b=2&copy=3">`, []string{"/dir/page.html?a=1&b=2&copy=3"}},
		"spaces":             {"<a href=\" \n a b\tc \">", []string{"/dir/a%20bc"}},
		"upper case":         {`<A HREF='/x'>`, []string{"/x"}},
		"no quotes":          {`<a href=/x/>y</a>`, []string{"/x/"}},
		"first attribute":    {`<a href=1 href=2>`, []string{"/dir/1"}},
		"never closed":       {`<a href="/x`, nil},
		"comment not closed": {`<a href=1><!-- <a href=2>`, []string{"/dir/1"}},
		"script not closed":  {`<a href=1><script> <a href=2>`, []string{"/dir/1"}},
		"template not ended": {`<template><a href=1>`, nil},
		"templates nested":   {`<template><template></template><a href=1></template><a href=2></template><a href=3>`, []string{"/dir/2", "/dir/3"}},
		"wrong nesting":      {`<p><a href=1><div></p></a></b></script><a href=2>`, []string{"/dir/1", "/dir/2"}},
		"not ASCII":          {`<a href="/ü?ü">`, []string{"/%C3%BC?%C3%BC"}},
		"no UTF-8":           {"\xE2\x82\xAC<a href=\"/\xff\">", []string{"/%C3%BF"}}, // Windows-1252, then
		"port":               {`<a href="//example.org:99999/"><a href="http://example.org:25/">`, []string{"http://example.org:25/"}},
		"userinfo":           {`<a href="http://good@evil.example/">`, []string{"http://evil.example/"}},
		"frames":             {`<frameset><frame src=1></frameset><noframes><a href=2></noframes>`, []string{"/dir/1", "/dir/2"}},
		"refresh":            {`<meta http-equiv=refresh content="0"><meta http-equiv=refresh content="0;url=1"><meta http-equiv=refresh content="1 ; 2"><meta http-equiv=refresh content="url=3">`, []string{"/dir/1", "/dir/2"}},
		"svg":                {`<svg><a href=1></a><script>x</script><a href=2></svg>`, []string{"/dir/1", "/dir/2"}},
	} {
		p, _ := parseText(t, c.body, Options{})
		require.Equal(t, c.want, urls(p), name)
	}
}

func TestSrcset(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                nil,
		" , ,":                            nil,
		"a":                               {"a"},
		"a 1x, b 2x":                      {"a", "b"},
		"a,b 1x,c":                        {"a,b", "c"},
		"a, b":                            {"a", "b"},
		"data:,x 1x, b":                   {"data:,x", "b"},
		"a (1x, 2x) 3w, b":                {"a", "b"},
		"a (":                             {"a"},
		strings.Repeat("a 1x,", 3) + "b,": {"a", "a", "a", "b"},
	} {
		var got []string
		for u := range srcset([]byte(in)) {
			got = append(got, string(u))
		}
		require.Equal(t, want, got, in)
	}
	for range srcset([]byte("a, b")) {
		break
	}
}

func TestRefresh(t *testing.T) {
	for in, want := range map[string]string{
		"5;url=x": "5s x", "5; URL = 'x y' z": "5s x y", `0;"x"`: "0s x", "1.9,x": "1s x", "99999999999999;x": "298261h37m4s x", ".5;x": "298261h37m4s x", "3 x": "3s x", "3;urlx": "3s urlx", "3;url": "3s url",
	} {
		d, to, ok := refresh(in)
		require.True(t, ok, in)
		require.Equal(t, want, fmt.Sprint(d, " ", to), in)
	}
	for _, in := range []string{"", "5", "x", ";x", "5;", "5;url=", "5;url=''", "-1;x"} {
		_, _, ok := refresh(in)
		require.False(t, ok, in)
	}
}

func TestRobotsOrders(t *testing.T) {
	var r Robots
	r.Add("index, follow")
	require.Zero(t, r)
	r.Add(" NoSnippet,nocache")
	require.Equal(t, Robots{NoSnippet: true, NoArchive: true}, r)
	r.Add("none")
	require.Equal(t, Robots{true, true, true, true}, r)
	for value, want := range map[string]Robots{
		"noindex":                           {NoIndex: true},
		"noindex, nofollow":                 {NoIndex: true, NoFollow: true},
		"examplebot: noindex":               {NoIndex: true},
		"ExampleBot:none":                   {NoIndex: true, NoFollow: true},
		"otherbot: noindex":                 {},
		"*: nofollow":                       {NoFollow: true},
		"unavailable_after: 1 Jan, noindex": {NoIndex: true},
		"":                                  {},
	} {
		var r Robots
		r.AddHeader(value, "examplebot")
		require.Equal(t, want, r, value)
	}
}

func TestCharsets(t *testing.T) {
	encode := func(label, s string) []byte {
		e, _ := charset.Lookup(label)
		b, err := e.NewEncoder().Bytes([]byte(s))
		require.NoError(t, err)
		return b
	}
	pad := strings.Repeat("<!-- padding -->", 100)
	for _, c := range []struct {
		name, header string
		body         []byte
		charset      string
		word         string
	}{
		{"nothing declared, UTF-8", "", []byte("<p>Grüße</p>"), "utf-8", "Grüße"},
		{"nothing declared, ASCII", "", []byte("<p>Hello</p>"), "utf-8", "Hello"},
		{"nothing declared, UTF-8 beyond the start", "", []byte(pad + "<p>Grüße</p>"), "utf-8", "Grüße"},
		{"nothing declared, neither", "", []byte("<p>Gr\xfc\xdfe</p>"), "windows-1252", "Grüße"},
		{"header", "text/html; charset=ISO-8859-1", []byte("<p>Gr\xfc\xdfe</p>"), "windows-1252", "Grüße"},
		{"header over meta", "text/html; charset=utf-8", []byte("<meta charset=gbk><p>Grüße</p>"), "utf-8", "Grüße"},
		{"mark over header", "text/html; charset=gbk", []byte("\xEF\xBB\xBF<p>Grüße</p>"), "utf-8", "Grüße"},
		{"meta", "text/html", append([]byte("<meta charset=gbk><p>"), encode("gbk", "你好")...), "gbk", "你好"},
		{"meta http-equiv", "", append([]byte(`<meta http-equiv=Content-Type content="text/html; charset=shift_jis"><p>`), encode("shift_jis", "日本語")...), "shift_jis", "日本語"},
		{"meta beyond 1024 bytes", "", append([]byte(pad+"<meta charset=koi8-r><p>"), encode("koi8-r", "Привет")...), "koi8-r", "Привет"},
		{"meta in a comment is none", "", []byte("<!-- <meta charset=gbk> --><p>Grüße</p>"), "utf-8", "Grüße"},
		{"meta says UTF-16, in ASCII", "", []byte("<meta charset=utf-16><p>Grüße</p>"), "utf-8", "Grüße"},
		{"UTF-16 with mark", "", append([]byte("\xFF\xFE"), encode("utf-16le", "<p>Grüße</p>")...), "utf-16le", "Grüße"},
		{"UTF-16 big end first", "", append([]byte("\xFE\xFF"), encode("utf-16be", "<p>Grüße</p>")...), "utf-16be", "Grüße"},
		{"UTF-16 by header", "text/html;charset=utf-16le", encode("utf-16le", "<p>Grüße</p>"), "utf-16le", "Grüße"},
		{"EUC-KR", "text/html; charset=euc-kr", encode("euc-kr", "<p>한국어</p>"), "euc-kr", "한국어"},
		{"Big5", "text/html; charset=big5", encode("big5", "<p>繁體</p>"), "big5", "繁體"},
		{"unknown label", "text/html; charset=nonsense", []byte("<p>Grüße</p>"), "utf-8", "Grüße"},
		{"UTF-7 is not spoken", "text/html; charset=utf-7", []byte("<p>+ADw-script+AD4-</p>"), "utf-8", "+ADw-script+AD4-"},
		{"bad header", "text/html; charset", []byte("<p>Grüße</p>"), "utf-8", "Grüße"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text bytes.Buffer
			p, err := Parse(bytes.NewReader(c.body), nil, Options{ContentType: c.header, Text: &text})
			require.NoError(t, err)
			require.Equal(t, c.charset, p.Charset)
			require.Equal(t, c.word, text.String())
		})
	}
}

func TestBadInput(t *testing.T) {
	base := mustURL(t, "https://example.org/")
	for name, body := range map[string]string{
		"binary": "\x89PNG\r\n\x1a\n\x00\x00\x00", "NULs": "<p>\x00</p>", "PDF": "%PDF-1.4\x01",
	} {
		p, err := Parse(strings.NewReader(body), base, Options{ContentType: "text/html"})
		require.ErrorIs(t, err, ErrBinary, name)
		require.NotNil(t, p)
	}
	for name, body := range map[string]string{
		"comment": "<a href=1><!-- " + strings.Repeat("x", 3<<20), "tag": "<a href=1><p " + strings.Repeat("x ", 2<<20), "script": "<a href=1><script>" + strings.Repeat("x", 3<<20),
		"value": "<a href=1><a href='" + strings.Repeat("x", 3<<20), "type": "<a href=1><!DOCTYPE " + strings.Repeat("x", 3<<20),
	} {
		p, err := Parse(strings.NewReader(body), base, Options{})
		require.ErrorIs(t, err, ErrToken, name)
		require.Equal(t, []string{"/1"}, urls(p), name)
		require.True(t, p.Truncated)
	}
	for name, body := range map[string]string{
		"deep":       strings.Repeat("<div>", 100_000) + "<a href=1>",
		"attributes": "<p " + strings.Repeat("a=b ", 200_000) + "><a href=1>",
		"end tags":   strings.Repeat("</template></title></script>", 10_000) + "<a href=1>",
		"many bases": strings.Repeat("<base href=/>", 10_000) + "<a href=1>",
		"text":       strings.Repeat("word ", 1<<17) + "<a href=1>",
		"one word":   strings.Repeat("word", 1<<17) + "<a href=1>",
		"long link":  "<a href='" + strings.Repeat("x", 1<<19) + "'><a href=1>",
		"title":      "<title>" + strings.Repeat("é", 1<<12) + "</title><a href=1>",
	} {
		p, err := Parse(strings.NewReader(body), base, Options{})
		require.NoError(t, err, name)
		require.Equal(t, []string{"/1"}, urls(p), name)
		require.LessOrEqual(t, len(p.Title), maxTitle+3)
	}
	p, err := Parse(strings.NewReader(strings.Repeat("<a href=1>", 100)+"<a href=2>"), base, Options{MaxBytes: 1000})
	require.NoError(t, err)
	require.Equal(t, []string{"/1"}, urls(p))
	require.True(t, p.Truncated)
	p, err = Parse(strings.NewReader("<a href=1>"), base, Options{MaxBytes: 10})
	require.NoError(t, err)
	require.False(t, p.Truncated)

	var many strings.Builder
	for i := range 20 {
		fmt.Fprintf(&many, "<a href=%d>", i%15)
	}
	p, err = Parse(strings.NewReader(many.String()), base, Options{MaxLinks: 10})
	require.NoError(t, err)
	require.Len(t, p.Links, 10)
	require.True(t, p.Truncated)

	broken := errors.New("reset")
	p, err = Parse(io.MultiReader(strings.NewReader("<a href=1>"), iotest.ErrReader(broken)), base, Options{})
	require.ErrorIs(t, err, broken)
	require.Equal(t, []string{"/1"}, urls(p))
	p, err = Parse(iotest.ErrReader(broken), base, Options{})
	require.ErrorIs(t, err, broken)
	require.NotNil(t, p)
	p, err = Parse(strings.NewReader(""), nil, Options{})
	require.NoError(t, err)
	require.Zero(t, p.Words)
}

// hrefsByTree finds the links of all anchors with the tree that this package does without.
func hrefsByTree(body string) (out []string) {
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || n.Namespace != "" {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == "href" && !seen[a.Val] {
				seen[a.Val] = true
				out = append(out, a.Val)
			}
		}
	}
	return out
}

// TestAgainstTree holds links against those in the tree that x/net/html builds, for pages
// without the elements that only one of the two looks into.
func TestAgainstTree(t *testing.T) {
	base := mustURL(t, "https://example.org/")
	pieces := []string{"<p>", "</p>", "<div>", "</div>", "<b>", "</a>", "<ul><li>", "text ", "&amp;", "<!-- c -->", "<script>x<a href=no></script>", "<style><a href=no></style>", "<br/>", "<h1>", "<", "<img src=x>", "<h2 a='>'>"}
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		n := 0
		for range rapid.IntRange(0, 30).Draw(t, "pieces") {
			if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				n++
				fmt.Fprintf(&b, rapid.SampledFrom([]string{"<a href=%d>", "<A x y HREF='%d'>", "<a class=\"c\" href=\"%d\" href=no>", "<a href=\n%d >"}).Draw(t, "form"), n)
				continue
			}
			b.WriteString(rapid.SampledFrom(pieces).Draw(t, "piece"))
		}
		p, err := Parse(strings.NewReader(b.String()), base, Options{})
		require.NoError(t, err)
		var got []string
		for _, l := range p.Links {
			got = append(got, strings.TrimPrefix(l.URL, "https://example.org/"))
		}
		require.ElementsMatch(t, hrefsByTree(b.String()), got, "%s", b.String())
	})
}

// TestRawAttributes holds our reading of a raw tag against the tokenizer's.
func TestRawAttributes(t *testing.T) {
	pieces := []string{" ", "\n", "/", "=", "'", "\"", ">", "href", "HREF", "rel", "a", "x=1", "x='/>'", "é", "<", "href=b", "\t=\f"}
	gen := rapid.Map(rapid.SliceOf(rapid.SampledFrom(pieces)), func(s []string) string { return strings.Join(s, "") })
	wanted := []string{"href", "rel"}
	rapid.Check(t, func(t *rapid.T) {
		z := html.NewTokenizer(strings.NewReader("<A" + gen.Draw(t, "tag") + ">"))
		if tt := z.Next(); tt != html.StartTagToken && tt != html.SelfClosingTagToken {
			return
		}
		name, rest := tagName(bytes.Clone(z.Raw()))
		var got, want attributes
		got.read(nil, rest, wanted)
		tname, more := z.TagName()
		require.Equal(t, string(tname), string(name))
		if more {
			for more := true; more; {
				var key, value []byte
				key, value, more = z.TagAttr()
				want.add(key, value, wanted)
			}
		}
		for _, w := range wanted {
			wv, wok := want.find(w)
			gv, gok := got.find(w)
			require.Equal(t, wok, gok, "%s of %q", w, z.Raw())
			require.Equal(t, string(wv), string(gv), "%s of %q", w, z.Raw())
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(document), "text/html")
	f.Add([]byte("\xFF\xFE<\x00p\x00"), "")
	f.Add([]byte("<base href=x><template><a href=y><svg><title>"), "text/html; charset=gbk")
	base, err := urlx.Parse("https://example.org/a/b")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte, ctype string) {
		o := Options{ContentType: ctype, Resources: true, MaxLinks: 50, MaxToken: 1 << 12, MaxBytes: 1 << 16}
		p, err := Parse(bytes.NewReader(body), base, o)
		if len(p.Links) > o.MaxLinks {
			t.Fatalf("%d links", len(p.Links))
		}
		for _, l := range p.Links {
			u, err := urlx.Parse(l.URL)
			if err != nil || u.String() != l.URL {
				t.Fatalf("%q: %v", l.URL, err)
			}
		}
		again, err2 := Parse(iotest.HalfReader(bytes.NewReader(body)), base, o)
		if (err == nil) != (err2 == nil) || again.TextHash != p.TextHash || len(again.Links) != len(p.Links) {
			t.Fatalf("in pieces it is another page: %v, %v", err, err2)
		}
	})
}
