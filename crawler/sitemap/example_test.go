package sitemap_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/ashlar-go/ashlar/crawler/sitemap"
)

func Example() {
	const body = `<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
		<url><loc>https://example.org/a?b=1&amp;c=2</loc><lastmod>2024-02-29</lastmod></url>
		<url><loc>https://example.org/d</loc><changefreq>daily</changefreq></url>`
	for e, err := range sitemap.Parse(strings.NewReader(body), sitemap.Options{}) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s %d %q\n", e.Loc, e.LastMod.Year(), e.ChangeFreq)
	}
	// Output:
	// https://example.org/a?b=1&c=2 2024 ""
	// https://example.org/d 1 "daily"
	// sitemap: broken file: it ends within url
}

func ExampleWalk() {
	files := map[string]string{
		"/sitemap.xml": "<sitemapindex><sitemap><loc>/news.txt</loc></sitemap><sitemap><loc>/sitemap.xml</loc></sitemap></sitemapindex>",
		"/news.txt":    "https://example.org/1\nhttps://example.org/2\n",
	}
	fetch := func(ctx context.Context, loc string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(files[loc])), nil
	}
	for e, err := range sitemap.Walk(context.Background(), "/sitemap.xml", fetch, sitemap.Options{}) {
		fmt.Println(e.Loc, err)
	}
	// Output:
	// https://example.org/1 <nil>
	// https://example.org/2 <nil>
}
