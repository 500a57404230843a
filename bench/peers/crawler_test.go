package peers

// Parts of the crawler. grobotstxt was not to be had when this table was made.

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
	temoto "github.com/temoto/robotstxt"

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
