package crawler_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/ashlar-go/ashlar/crawler"
	"github.com/ashlar-go/ashlar/crawler/crawlertest"
	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
)

func Example() {
	web, err := crawlertest.New(crawlertest.Options{Hosts: 1, Pages: 2, Calm: true, Latency: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	net := web.Listen()
	defer net.Close()
	dir, err := os.MkdirTemp("", "crawl")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	c, err := crawler.New(crawler.Options{
		Dir:       dir,
		UserAgent: "examplebot/1.0 (+https://example.org/bot)",
		Workers:   1,
		Handlers: map[string]crawler.Handler{"text/html": func(_ context.Context, p *crawler.Page) error {
			fmt.Println(p.Response.Status, p.URL, p.Content.Title)
			return nil
		}},

		// Only for a web of one's own: a second between requests is the default.
		Frontier: frontier.Options{MinDelay: -time.Second, LatencyFactor: -1},
		Fetch:    fetch.Options{DNS: fetch.DNS{Resolver: net}, Dial: net.Dial, Permit: []netip.Prefix{crawlertest.Range}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Add(ctx, "http://h0.example/private/open.html"); err != nil {
		fmt.Println(err)
	}
	fmt.Println(c.Run(ctx))
	// Output:
	// 200 http://h0.example/private/open.html private open.html of h0.example
	// <nil>
}

func ExampleNew() {
	_, err := crawler.New(crawler.Options{Dir: "crawl", UserAgent: "Mozilla/5.0 (compatible; examplebot)"})
	fmt.Println(errors.Is(err, crawler.ErrContact))
	// Output: true
}
