package crawlertest_test

import (
	"fmt"
	"net/http"

	"github.com/ashlar-go/ashlar/crawler/crawlertest"
)

func Example() {
	web, err := crawlertest.New(crawlertest.Options{Hosts: 3, Latency: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	net := web.Listen()
	client := &http.Client{Transport: &http.Transport{DialContext: net.DialContext}}
	for _, path := range []string{"/robots.txt", "/private/1.html"} {
		resp, err := client.Get("http://h0.example" + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(path, resp.StatusCode)
	}
	client.CloseIdleConnections()
	net.Close()
	r := web.Audit(crawlertest.AuditOptions{})
	fmt.Println(r.Visits, r.Count(crawlertest.Hasty), r.Count(crawlertest.Disallowed), r.Count(crawlertest.Blind))
	// Output:
	// /robots.txt 200
	// /private/1.html 200
	// 2 1 1 0
}

func ExampleAudit() {
	log := []crawlertest.Visit{{Host: "a.example", Path: "/", Status: 200}}
	rules := func(host string) crawlertest.Rules { return crawlertest.Rules{} }
	fmt.Println(crawlertest.Audit(log, rules, crawlertest.AuditOptions{}))
	// Output:
	// 1 visits to 1 hosts: 1 violations, 1 blind
	//   blind: http://a.example/
}
