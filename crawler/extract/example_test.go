package extract_test

import (
	"fmt"
	"strings"

	"github.com/ashlar-go/ashlar/crawler/extract"
	"github.com/ashlar-go/ashlar/crawler/neardup"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

func Example() {
	const body = `<title>Foxes</title><meta name=robots content=noarchive>
		<p>The quick brown <a href="/fox#tail">fox</a> and <a href="dog.html" rel=nofollow>friends</a>.
		<script>var a = "<a href=/no>"</script>`
	base, _ := urlx.Parse("https://example.org/animals/")
	var sum neardup.Hasher
	page, err := extract.Parse(strings.NewReader(body), base, extract.Options{ContentType: "text/html; charset=utf-8", Text: &sum})
	fmt.Println(page.Title, page.Words, page.Robots.NoArchive, err)
	for _, l := range page.Links {
		fmt.Println(l.Kind, l.URL, l.NoFollow)
	}
	fmt.Println(neardup.Distance(sum.Sum64(), neardup.Sum([]byte("the quick brown fox and friends"))))
	// Output:
	// Foxes 6 true <nil>
	// anchor https://example.org/fox false
	// anchor https://example.org/animals/dog.html true
	// 0
}

func ExampleRobots() {
	var orders extract.Robots
	orders.AddHeader("examplebot: noindex", "examplebot")
	orders.AddHeader("otherbot: nofollow", "examplebot")
	fmt.Println(orders.NoIndex, orders.NoFollow)
	// Output: true false
}

func ExampleKind() {
	fmt.Println(extract.Anchor, extract.Refresh)
	// Output: anchor refresh
}
