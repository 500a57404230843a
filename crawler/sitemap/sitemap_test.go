package sitemap

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// all collects entries up to the first error.
func all(r io.Reader, o Options) (out []Entry, err error) {
	for e, err := range Parse(r, o) {
		if err != nil {
			return out, err
		}
		out = append(out, e)
	}
	return out, nil
}

func locs(entries []Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.Loc)
	}
	return out
}

func zipped(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	z.Write(b)
	z.Close()
	return buf.Bytes()
}

func in16(s string, order binary.ByteOrder) []byte {
	b := make([]byte, 2)
	order.PutUint16(b, 0xFEFF)
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, 0, 0)
		order.PutUint16(b[len(b)-2:], u)
	}
	return b
}

const urlset = `<?xml version="1.0" encoding="UTF-8"?>
<!-- <url><loc>http://a.example/comment</loc></url> -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1" xmlns:xhtml="http://www.w3.org/1999/xhtml">
  <url>
    <loc> http://a.example/1?x=1&amp;y=%20 </loc>
    <lastmod>2024-02-29T12:30:00+01:00</lastmod>
    <changefreq>Weekly</changefreq>
    <priority>0.8</priority>
    <image:image><image:loc>http://a.example/1.png</image:loc></image:image>
    <xhtml:link rel="alternate" hreflang="de" href="http://a.example/de/1?x&amp;y"/>
    <xhtml:link rel='alternate' hreflang='fr' href='http://a.example/fr/1'></xhtml:link>
  </url>
  <url><loc><![CDATA[http://a.example/2?x=1&y=2&amp;z]]></loc><lastmod>yesterday</lastmod><priority>7</priority><changefreq>often</changefreq></url>
  <url><priority>0.1</priority></url>
  <url><loc>http://a.example/ü&#x2F;&#47;&nbsp;&b=1&#0;</loc></url>
</urlset>
<url><loc>http://a.example/after</loc></url>`

func wantURLs() []Entry {
	return []Entry{
		{
			Loc: "http://a.example/1?x=1&y=%20", LastMod: time.Date(2024, 2, 29, 11, 30, 0, 0, time.UTC), ChangeFreq: "weekly", Priority: 0.8,
			Alternates: []Alternate{{"de", "http://a.example/de/1?x&y"}, {"fr", "http://a.example/fr/1"}},
		},
		{Loc: "http://a.example/2?x=1&y=2&amp;z", Priority: 0.5},
		{Loc: "http://a.example/ü//&nbsp;&b=1&#0;", Priority: 0.5},
	}
}

func TestURLSet(t *testing.T) {
	for name, body := range map[string][]byte{
		"plain":        []byte(urlset),
		"mark":         []byte("\xEF\xBB\xBF" + urlset),
		"space before": []byte("\n \t" + urlset),
		"gzip":         zipped([]byte(urlset)),
		"UTF-16LE":     in16(urlset, binary.LittleEndian),
		"UTF-16BE gz":  zipped(in16(urlset, binary.BigEndian)),
		"upper case":   []byte(strings.NewReplacer("<url>", "<URL>", "</url>", "</Url>", "<loc>", "<LOC>").Replace(urlset)),
		"prefixed":     []byte(strings.NewReplacer("<url", "<s:url", "</url", "</s:url", "<loc", "<s:loc", "</loc", "</s:loc").Replace(urlset)),
		"never closed": []byte(strings.ReplaceAll(urlset, "</url>\n", "\n")),
		"after a type": []byte(strings.Replace(urlset, "<urlset", `<!DOCTYPE urlset [<!ENTITY a "]>"> <!ELEMENT url (loc)>]><urlset`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(body), iotest.OneByteReader(bytes.NewReader(body))} {
				got, err := all(r, Options{})
				require.NoError(t, err)
				for i := range got {
					if !got[i].LastMod.IsZero() {
						got[i].LastMod = got[i].LastMod.UTC()
					}
				}
				require.Equal(t, wantURLs(), got)
			}
		})
	}
}

func TestOtherKinds(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"index", `<sitemapindex><sitemap><loc>http://a.example/1.xml</loc><lastmod>2024</lastmod></sitemap><sitemap><loc>http://a.example/2.xml.gz</loc></sitemap></sitemapindex>`, []string{"http://a.example/1.xml", "http://a.example/2.xml.gz"}},
		{"index without loc", "<sitemapindex><sitemap>\nhttp://a.example/?a&amp;b\n</sitemap><sitemap>no address</sitemap></sitemapindex>", []string{"http://a.example/?a&b"}},
		{"rss", `<rss version="2.0"><channel><link>http://a.example/</link><item><title>x</title><link>http://a.example/1</link><pubDate>Thu, 29 Feb 2024 12:00:00 GMT</pubDate><description>&lt;a href="http://b"&gt; <link>no</link></description></item></channel></rss>`, []string{"http://a.example/1"}},
		{"rdf", `<rdf:RDF xmlns:rdf="x"><channel/><item rdf:about="http://a"><link>http://a.example/1</link></item></rdf:RDF>`, []string{"http://a.example/1"}},
		{"atom", `<feed><link href="http://a.example/"/><entry><link rel="self" href="http://a.example/no"/><link rel="alternate" href="http://a.example/1"/><author><uri>http://no</uri></author><updated>2024-02-29T00:00:00Z</updated></entry><entry><link href="http://a.example/2" /></entry></feed>`, []string{"http://a.example/1", "http://a.example/2"}},
		{"list", "http://a.example/1\r\n\n  HTTPS://a.example/2 \nnot an address\nftp://a.example/\nhttp://a.example/3", []string{"http://a.example/1", "HTTPS://a.example/2", "http://a.example/3"}},
		{"list with mark", "\xEF\xBB\xBFhttp://a.example/1", []string{"http://a.example/1"}},
		{"empty set", "<urlset/>", nil},
		{"empty set with more", "<urlset></urlset>\x00rubbish", nil},
		{"bare <", "<urlset><url><loc>http://a.example/?a<b</loc></url></urlset>", []string{"http://a.example/?a<b"}},
	} {
		got, err := all(strings.NewReader(c.body), Options{})
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, locs(got), c.name)
		for _, e := range got {
			require.Equal(t, strings.HasPrefix(c.name, "index"), e.Sitemap)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want error
		n    int // entries before the error
	}{
		"empty":             {"", ErrKind, 0},
		"space":             {" \n ", ErrKind, 0},
		"html":              {"<!DOCTYPE html><html><body>Not found", ErrKind, 0},
		"text":              {"User-agent: *\nDisallow: /\n", ErrKind, 0},
		"binary":            {"\x89PNG\r\n\x1a\n\x00\x00", ErrKind, 0},
		"only a prologue":   {"<?xml version='1.0'?>", ErrKind, 0},
		"endless prologue":  {"<?xml " + strings.Repeat("x", 1<<16), ErrKind, 0},
		"endless comment":   {"<urlset><!-- " + strings.Repeat("-", 1<<16), ErrSyntax, 0},
		"cut in an entry":   {"<urlset><url><loc>http://a/1</loc></url><url><loc>http://a/2", ErrSyntax, 1},
		"cut in a tag":      {"<urlset><url><loc>http://a/1</loc></url><url", ErrSyntax, 1},
		"cut in a value":    {`<urlset><url a="`, ErrSyntax, 0},
		"cut in CDATA":      {`<urlset><url><loc><![CDATA[http://a/`, ErrSyntax, 0},
		"cut gzip":          {string(zipped([]byte(urlset))[:200]), io.ErrUnexpectedEOF, -1},
		"no gzip":           {"\x1f\x8b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", ErrSyntax, 0},
		"gzip in gzip":      {string(zipped(zipped([]byte(urlset)))), ErrKind, 0},
		"billion laughs":    {`<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><urlset><url><loc>http://a/&b;</loc></url></urlset>`, nil, 1},
		"external entity":   {`<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><urlset><url><loc>http://a/&a;</loc></url></urlset>`, nil, 1},
		"deep":              {"<urlset>" + strings.Repeat("<a>", 100_000) + "<url><loc>http://a/</loc></url></urlset>", nil, 1},
		"long address":      {"<urlset><url><loc>http://a/" + strings.Repeat("a", 1<<20) + "</loc></url><url><loc>http://a/</loc></url></urlset>", nil, 1},
		"long tag":          {"<urlset><url><loc " + strings.Repeat("a='b' ", 1<<16) + ">http://a/</loc></url></urlset>", nil, 1},
		"long link":         {"<feed><entry><link href='http://a/" + strings.Repeat("a", 1<<16) + "'/></entry></feed>", nil, 0},
		"long name":         {"<urlset><" + strings.Repeat("a", 1<<20) + "/></urlset>", nil, 0},
		"long line":         {"http://a/" + strings.Repeat("a", 1<<20) + "\nhttp://a/", nil, 1},
		"many alternates":   {"<urlset><url><loc>http://a/</loc>" + strings.Repeat("<x:link rel='alternate' hreflang='de' href='http://a/'/>", 1000) + "</url></urlset>", nil, 1},
		"end tags only":     {"</urlset></url>", ErrKind, 0},
		"a line, then XML":  {"http://a/\n<urlset>", nil, 1},
		"NULs":              {"<urlset>\x00<url\x00></urlset>", nil, 0},
		"declaration first": {"<!", ErrKind, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := all(strings.NewReader(c.body), Options{})
			if c.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, c.want)
			}
			if c.n >= 0 {
				require.Len(t, got, c.n)
			}
			for _, e := range got {
				require.LessOrEqual(t, len(e.Alternates), maxAlternates)
			}
		})
	}
	broken := errors.New("reset")
	got, err := all(io.MultiReader(strings.NewReader(urlset[:strings.Index(urlset, "often")]), iotest.ErrReader(broken)), Options{})
	require.ErrorIs(t, err, broken)
	require.Len(t, got, 1)
}

// endless repeats a text for ever.
type endless struct {
	head, text string
	read       int64
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.head)
	e.head = e.head[n:]
	for i := n; i < len(p); i++ {
		p[i] = e.text[(e.read+int64(i))%int64(len(e.text))]
	}
	e.read += int64(len(p))
	return len(p), nil
}

func TestBounds(t *testing.T) {
	for name, e := range map[string]*endless{
		"text in an element": {head: "<urlset><url><loc>", text: "a"},
		"comment":            {head: "<!--", text: "a"},
		"tag":                {head: "<urlset><url ", text: "a"},
		"elements":           {head: "<urlset>", text: "<a>"},
		"CDATA":              {head: "<urlset><![CDATA[", text: "]"},
		"type":               {head: "<!DOCTYPE ", text: "["},
		"line":               {text: "a"},
		"white space":        {text: " "},
	} {
		_, err := all(e, Options{MaxBytes: 1 << 18})
		require.ErrorIs(t, err, ErrTooLarge, name)
		require.Less(t, e.read, int64(1<<18+4*bufSize), name)
	}
	e := &endless{head: "<urlset>", text: "<url><loc>http://a.example/</loc></url>"}
	got, err := all(e, Options{})
	require.ErrorIs(t, err, ErrTooMany)
	require.Len(t, got, DefaultMaxEntries)

	got, err = all(strings.NewReader(urlset), Options{MaxEntries: 3})
	require.NoError(t, err)
	require.Len(t, got, 3)
	_, err = all(strings.NewReader(urlset), Options{MaxEntries: 2})
	require.ErrorIs(t, err, ErrTooMany)

	size := int64(len(urlset))
	end := int64(strings.Index(urlset, "</urlset>") + len("</urlset>"))
	for _, n := range []int64{1, size / 2, end - 1, end, size} {
		_, err := all(strings.NewReader(urlset), Options{MaxBytes: n})
		if n < end {
			require.ErrorIs(t, err, ErrTooLarge, "%d", n)
		} else {
			require.NoError(t, err, "%d: not a byte too many", n)
		}
	}

	bomb := zipped([]byte("<urlset>" + strings.Repeat(" ", 8<<20)))
	_, err = all(bytes.NewReader(bomb), Options{})
	require.ErrorIs(t, err, ErrRatio)
	_, err = all(bytes.NewReader(bomb), Options{MaxRatio: 1 << 30})
	require.ErrorIs(t, err, ErrSyntax, "a sitemap of spaces")
}

func TestBreak(t *testing.T) {
	for range Parse(strings.NewReader(urlset), Options{}) {
		break
	}
	for range Parse(strings.NewReader("http://a/\nhttp://b/"), Options{}) {
		break
	}
}

// TestMemory reads a file of 50,000 entries and looks at the heap on the way.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	body := large(DefaultMaxEntries)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for _, err := range Parse(bytes.NewReader(body), Options{}) {
		require.NoError(t, err)
		if n++; n%25_000 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			require.Less(t, int64(now.HeapAlloc)-int64(before.HeapAlloc), int64(1<<20))
		}
	}
	require.Equal(t, DefaultMaxEntries, n)
}

func large(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`)
	for i := range n {
		fmt.Fprintf(&b, "\n  <url>\n    <loc>https://www.example.org/products/item-%d.html?colour=red&amp;size=%d</loc>\n    <lastmod>2024-02-29</lastmod>\n    <priority>0.5</priority>\n  </url>", i, i%40)
	}
	b.WriteString("\n</urlset>")
	return b.Bytes()
}

// TestAgainstEncodingXML holds well-formed files against Go's own decoder.
func TestAgainstEncodingXML(t *testing.T) {
	type page struct {
		Loc     string `xml:"loc"`
		Comment string `xml:",comment"`
		Image   struct {
			Loc string `xml:"loc"`
		} `xml:"image"`
	}
	type file struct {
		XMLName xml.Name `xml:"urlset"`
		URL     []page   `xml:"url"`
	}
	text := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"http://a/", "&", "<", ">", "'", "\"", "ü", "]]>", "x y", "&amp;", "😀"}), 0, 6), func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		var f file
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "pages") {
			p := page{Loc: text.Draw(t, "loc"), Comment: "<loc>no</loc>"}
			p.Image.Loc = text.Draw(t, "image")
			f.URL = append(f.URL, p)
			if s := strings.TrimSpace(p.Loc); s != "" {
				want = append(want, s)
			}
		}
		body, err := xml.MarshalIndent(f, "", rapid.SampledFrom([]string{"", "\t"}).Draw(t, "indent"))
		require.NoError(t, err)
		got, err := all(bytes.NewReader(body), Options{})
		require.NoError(t, err)
		require.Equal(t, want, locs(got), "%s", body)
	})
}

func TestDates(t *testing.T) {
	for in, want := range map[string]string{
		"2024": "2024-01-01T00:00:00Z", "2024-02": "2024-02-01T00:00:00Z", "2024-02-29": "2024-02-29T00:00:00Z", "2024-02-29T10:20+01:00": "2024-02-29T09:20:00Z",
		"2024-02-29T10:20:30Z": "2024-02-29T10:20:30Z", "2024-02-29T10:20:30.123Z": "2024-02-29T10:20:30Z", "2024-02-29T10:20:30+0100": "2024-02-29T09:20:30Z",
		"2024-02-29 10:20:30": "2024-02-29T10:20:30Z", "Thu, 29 Feb 2024 10:20:30 +0000": "2024-02-29T10:20:30Z", "Thu, 29 Feb 2024 10:20:30 GMT": "2024-02-29T10:20:30Z", "Thu, 1 Feb 2024 10:20:30 +0000": "2024-02-01T10:20:30Z",
		"9999-12-31": "9999-12-31T00:00:00Z", "0001-01-01": "0001-01-01T00:00:00Z",
	} {
		got, ok := parseTime(in)
		require.True(t, ok, in)
		require.Equal(t, want, got.UTC().Format(time.RFC3339), in)
	}
	for _, in := range []string{"", "x", "yesterday", "2024-13-01", "2023-02-29", strings.Repeat("2", 100), "-2024"} {
		_, ok := parseTime(in)
		require.False(t, ok, in)
	}
}

func TestWalk(t *testing.T) {
	index := func(locs ...string) string {
		return "<sitemapindex><sitemap><loc>" + strings.Join(locs, "</loc></sitemap><sitemap><loc>") + "</loc></sitemap></sitemapindex>"
	}
	opened, closed := 0, 0
	files := map[string]string{
		"/":    index("/", "/a", "/b", "/a", "/none", "/deep1"),
		"/a":   "http://h/1\nhttp://h/2",
		"/b":   urlset,
		"/bad": "<html>",
	}
	for i := 1; i < 9; i++ {
		files[fmt.Sprint("/deep", i)] = index(fmt.Sprint("/deep", i+1), "/bad")
	}
	fetch := func(ctx context.Context, loc string) (io.ReadCloser, error) {
		s, ok := files[loc]
		if !ok {
			return nil, errors.New("404")
		}
		opened++
		return closer{strings.NewReader(s), &closed}, nil
	}
	var got, errs []string
	for e, err := range Walk(t.Context(), "/", fetch, Options{}) {
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		require.False(t, e.Sitemap)
		got = append(got, e.Loc)
	}
	require.Equal(t, []string{"http://h/1", "http://h/2", "http://a.example/1?x=1&y=%20", "http://a.example/2?x=1&y=2&amp;z", "http://a.example/ü//&nbsp;&b=1&#0;"}, got)
	require.Equal(t, []string{"/none: 404", "/bad: sitemap: not a sitemap", "/deep4: sitemap: too many entries: indexes within indexes"}, errs)
	require.Equal(t, opened, closed)

	for range Walk(t.Context(), "/", fetch, Options{}) {
		break
	}
	require.Equal(t, opened, closed)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range Walk(ctx, "/", fetch, Options{}) {
		if n++; err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		cancel()
	}
	require.Equal(t, 3, n, "the open file is read to its end")

	// An index of endlessly many files, each an index of more.
	count := 0
	var last error
	for _, err := range Walk(t.Context(), "", func(ctx context.Context, loc string) (io.ReadCloser, error) {
		count++
		return io.NopCloser(strings.NewReader(index(loc+"/a", loc+"/b"))), nil
	}, Options{MaxFiles: 50, MaxDepth: 1000}) {
		last = err
	}
	require.ErrorIs(t, last, ErrTooMany)
	require.Equal(t, 50, count)
	for _, err := range Walk(t.Context(), "", func(context.Context, string) (io.ReadCloser, error) { return nil, nil }, Options{}) {
		require.Error(t, err)
	}
}

type closer struct {
	io.Reader
	n *int
}

func (c closer) Close() error { *c.n++; return nil }

func FuzzParse(f *testing.F) {
	f.Add([]byte(urlset))
	f.Add(zipped([]byte(urlset)))
	f.Add(in16("<urlset><url><loc>http://a</loc>", binary.LittleEndian))
	f.Add([]byte("<feed><entry><link href='http://a'/><updated>2024</updated></entry>"))
	f.Add([]byte("http://a\nhttp://b"))
	f.Fuzz(func(t *testing.T, body []byte) {
		o := Options{MaxBytes: 1 << 16, MaxEntries: 100, MaxLoc: 256}
		got, err := all(bytes.NewReader(body), o)
		if len(got) > o.MaxEntries {
			t.Fatalf("%d entries", len(got))
		}
		for _, e := range got {
			if e.Loc == "" || len(e.Loc) > o.MaxLoc || e.Priority < 0 || e.Priority > 1 {
				t.Fatalf("%+v", e)
			}
		}
		again, err2 := all(iotest.OneByteReader(bytes.NewReader(body)), o)
		if (err == nil) != (err2 == nil) || len(got) != len(again) {
			t.Fatalf("in pieces: %d entries, %v; at once: %d, %v", len(again), err2, len(got), err)
		}
	})
}
