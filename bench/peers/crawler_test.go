package peers

// Parts of the crawler. grobotstxt was not to be had when this table was made.

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/mfonda/simhash"
	whatwg "github.com/nlnwa/whatwg-url/url"
	temoto "github.com/temoto/robotstxt"

	"github.com/ashlar-go/ashlar/crawler/extract"
	"github.com/ashlar-go/ashlar/crawler/neardup"
	"github.com/ashlar-go/ashlar/crawler/robots"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// robotsFiles are the files in $ASHLAR_DATA/robots/*.tar.gz, or else two made ones.
func robotsFiles(b *testing.B) (files [][]byte) {
	b.Helper()
	archives, _ := filepath.Glob(filepath.Join(os.Getenv("ASHLAR_DATA"), "robots", "*.tar.gz"))
	for _, name := range archives {
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			b.Fatal(err)
		}
		for tr := tar.NewReader(z); ; {
			if _, err := tr.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
			body, err := io.ReadAll(tr)
			if err != nil {
				b.Fatal(err)
			}
			files = append(files, body)
		}
	}
	if len(files) > 0 {
		return files
	}
	var small, large strings.Builder
	small.WriteString("user-agent: *\ndisallow: /private/\ndisallow: /*?session=\nallow: /private/press/\n")
	large.WriteString("user-agent: *\n")
	for i := range 1000 {
		fmt.Fprintf(&large, "disallow: /section-%d/item-%d/\n", i%7, i)
	}
	return [][]byte{[]byte(small.String()), []byte(large.String())}
}

const agent = "examplebot"

var robotsPaths = []string{
	"/", "/index.html", "/products/shoes/index.html?colour=red&size=42", "/search?q=robots", "/private/report.pdf", "/de/news/2024/02/29/article-17.html",
}

// BenchmarkRobots asks all files about six paths; an operation is one answer, or one file.
func BenchmarkRobots(b *testing.B) {
	files := robotsFiles(b)
	b.Run("parse/ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			robots.Parse(files[i%len(files)], robots.Options{}).Agent(agent)
		}
	})
	b.Run("parse/temoto", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if d, err := temoto.FromBytes(files[i%len(files)]); err == nil {
				d.FindGroup(agent)
			}
		}
	})
	// Only what both can read: temoto refuses a file with one bad line.
	var ours []*robots.Rules
	var theirs []*temoto.Group
	for _, f := range files {
		if d, err := temoto.FromBytes(f); err == nil {
			theirs = append(theirs, d.FindGroup(agent))
			ours = append(ours, robots.Parse(f, robots.Options{}).Agent(agent))
		}
	}
	b.Logf("%d of %d files refused by temoto", len(files)-len(theirs), len(files))
	b.Run("allowed/ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			ours[i%len(ours)].Allowed(robotsPaths[i%len(robotsPaths)])
		}
	})
	b.Run("allowed/temoto", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			theirs[i%len(theirs)].Test(robotsPaths[i%len(robotsPaths)])
		}
	})
}

// BenchmarkURL parses, and resolves a reference.
func BenchmarkURL(b *testing.B) {
	const base = "https://www.example.org/products/shoes/index.html"
	for _, in := range []struct{ name, url string }{
		{"canonical", "https://www.example.org/products/shoes/index.html?colour=red&size=42&page=3"},
		{"untidy", "HTTP://WWW.Example.ORG:80/products/./shoes/../hats/a b.html?q=é#top"},
		{"idn", "https://www.bücher.example/products/shoes/index.html"},
		{"relative", "../hats/index.html?page=3#top"},
	} {
		ourBase, err := urlx.Parse(base)
		if err != nil {
			b.Fatal(err)
		}
		netBase, err := neturl.Parse(base)
		if err != nil {
			b.Fatal(err)
		}
		whatwgBase, err := whatwg.Parse(base)
		if err != nil {
			b.Fatal(err)
		}
		// What is absolute needs no base; net/url is faster without.
		parseNet := netBase.Parse
		if in.name != "relative" {
			parseNet = neturl.Parse
		}
		ref, dst := []byte(in.url), make([]byte, 0, 1<<10)
		for _, f := range []struct {
			name  string
			parse func() error
		}{
			{"ashlar", func() error { _, err := ourBase.Resolve(in.url); return err }},
			{"ashlar-append", func() error { dst, err = urlx.Canonical(dst[:0], ourBase, ref, nil); return err }},
			{"net-url", func() error { _, err := parseNet(in.url); return err }},
			{"net-url-string", func() error {
				u, err := parseNet(in.url)
				if err == nil {
					_ = u.String()
				}
				return err
			}},
			{"whatwg-url", func() error { _, err := whatwgBase.Parse(in.url); return err }},
		} {
			b.Run(in.name+"/"+f.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f.parse(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// manual is a page like those of a manual: prose, with a link in every paragraph.
func manual(paragraphs int) []byte {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><html lang=en><head><title>A manual</title><meta charset=utf-8></head><body>")
	for i := range paragraphs {
		fmt.Fprintf(&b, "\n<h2 id=\"s%d\" class=\"section title\">Section %d</h2>\n<p>The quick brown fox jumps over the <em>lazy</em> dog; see <a class=\"xref\" href=\"../part-%d/page.html#s%d\" title=\"more\">another section</a> for what &ldquo;lazy&rdquo; means here, and how the fox came to be quick.</p>", i, i, i%50, i)
	}
	b.WriteString("</body></html>")
	return []byte(b.String())
}

// BenchmarkExtract finds title, links, resolved and without fragment, and text of a page.
func BenchmarkExtract(b *testing.B) {
	const address = "https://www.example.org/manual/index.html"
	for _, n := range []int{10, 200} {
		body := manual(n)
		b.Run(fmt.Sprintf("%d/ashlar", n), func(b *testing.B) {
			base, err := urlx.Parse(address)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var text bytes.Buffer
				p, err := extract.Parse(bytes.NewReader(body), base, extract.Options{Text: &text})
				if err != nil || len(p.Links) == 0 {
					b.Fatal(err, len(p.Links))
				}
			}
		})
		b.Run(fmt.Sprintf("%d/goquery", n), func(b *testing.B) {
			base, err := neturl.Parse(address)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				doc, err := goquery.NewDocumentFromReader(bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				links := map[string]bool{}
				doc.Find("a[href]").Each(func(_ int, s *goquery.Selection) {
					href, _ := s.Attr("href")
					if u, err := base.Parse(href); err == nil {
						u.Fragment = ""
						links[u.String()] = true
					}
				})
				if doc.Find("title").Text() == "" || doc.Find("body").Text() == "" || len(links) == 0 {
					b.Fatal("nothing found")
				}
			}
		})
	}
}

// BenchmarkSimHash hashes prose: ours pairs of words, theirs single words, which is less.
func BenchmarkSimHash(b *testing.B) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "word%d of a text that goes on, ", spread(i)%1000)
	}
	body := []byte(text.String())
	b.Run("ashlar", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			neardup.Sum(body)
		}
	})
	b.Run("mfonda", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			simhash.Simhash(simhash.NewWordFeatureSet(bytes.Clone(body))) // it writes to what it gets
		}
	})
}
