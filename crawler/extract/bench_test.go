package extract

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/ashlar-go/ashlar/crawler/neardup"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// manual is a page like those of a manual: prose, with a link in every paragraph.
func manual(paragraphs int) []byte {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><html lang=en><head><title>A manual</title><meta charset=utf-8><link rel=canonical href=/manual.html></head><body>")
	for i := range paragraphs {
		fmt.Fprintf(&b, "\n<h2 id=\"s%d\" class=\"section title\">Section %d</h2>\n<p>The quick brown fox jumps over the <em>lazy</em> dog; see <a class=\"xref\" href=\"../part-%d/page.html#s%d\" title=\"more\">another section</a> for what &ldquo;lazy&rdquo; means here, and how the fox came to be quick.</p>", i, i, i%50, i)
	}
	b.WriteString("</body></html>")
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	base, err := urlx.Parse("https://www.example.org/manual/index.html")
	if err != nil {
		b.Fatal(err)
	}
	body := manual(200)
	b.Run("links", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Parse(bytes.NewReader(body), base, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("links-simhash", func(b *testing.B) {
		var h neardup.Hasher
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			h.Reset()
			if _, err := Parse(bytes.NewReader(body), base, Options{Text: &h}); err != nil {
				b.Fatal(err)
			}
			h.Sum64()
		}
	})
	b.Run("tree-only", func(b *testing.B) { // what goquery and its like begin with
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := html.Parse(bytes.NewReader(body)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestAllocations holds that a page costs less than half of what its tree would. What is
// left is the tokenizer's own: two for each attribute.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	base, err := urlx.Parse("https://www.example.org/manual/index.html")
	if err != nil {
		t.Fatal(err)
	}
	body := manual(500)
	ours := testing.AllocsPerRun(5, func() { Parse(bytes.NewReader(body), base, Options{}) })
	tree := testing.AllocsPerRun(5, func() { html.Parse(bytes.NewReader(body)) })
	if t.Logf("%v allocations, the tree %v", ours, tree); 2*ours > tree {
		t.Fatal("too many")
	}
}
