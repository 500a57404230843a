package robots_test

import (
	"fmt"
	"strings"

	"github.com/ashlar-go/ashlar/crawler/robots"
)

const text = `
User-agent: examplebot
Disallow: /private/
Allow: /private/press/
Crawl-delay: 2.5

User-agent: *
Disallow: /

Sitemap: https://www.example.org/sitemap.xml
`

func Example() {
	file, policy := robots.FromStatus(200, 0, strings.NewReader(text), robots.Options{})
	rules := file.Agent("examplebot")
	delay, _ := rules.CrawlDelay()
	fmt.Println(policy, delay)
	fmt.Println(rules.Allowed("/private/diary.html"), rules.Allowed("/private/press/today.html"), rules.Allowed("/"))
	for s := range file.Sitemaps() {
		fmt.Println(s)
	}
	// Output:
	// obey 2.5s
	// false true true
	// https://www.example.org/sitemap.xml
}

func ExampleRules_Match() {
	rules := robots.Parse([]byte(text), robots.Options{}).Agent("otherbot")
	rule, ok := rules.Match(robots.PathQuery("https://www.example.org/index.html"))
	fmt.Println(ok, rule.Allow, rule.Pattern, rule.Line)
	// Output: true false / 8
}

func ExamplePolicy() {
	for _, status := range []int{200, 301, 404, 503, 0} {
		file, policy := robots.FromStatus(status, 0, strings.NewReader(""), robots.Options{})
		fmt.Println(status, policy, file.Agent("examplebot").Allowed("/"))
	}
	// Output:
	// 200 obey true
	// 301 follow false
	// 404 allow all true
	// 503 disallow all false
	// 0 disallow all false
}
