package urlx_test

import (
	"fmt"
	"strings"

	"github.com/ashlar-go/ashlar/crawler/urlx"
)

func Example() {
	u, _ := urlx.Parse("HTTP://Bücher.example:80/a/./b/../c d?q=1#top")
	fmt.Println(u)
	link, _ := u.Resolve(`\\cdn.example\x.js`)
	fmt.Println(link)
	_, err := urlx.Parse("http://[::1/")
	fmt.Println(err)
	// Output:
	// http://xn--bcher-kva.example/a/c%20d?q=1#top
	// http://cdn.example/x.js
	// urlx: bad host
}

func ExampleURL_Site() {
	u, _ := urlx.Parse("https://news.example.co.uk.:8443/today?page=2")
	fmt.Println(u.HostKey(), u.Site(), u.PathQuery())
	// Output: news.example.co.uk:8443 example.co.uk /today?page=2
}

func ExampleCanonical() {
	p := &urlx.Profile{
		SortQuery: true,
		DropParam: func(name string) bool { return strings.HasPrefix(name, "utm_") },
	}
	var key []byte
	for _, ref := range []string{"/shop?size=42&colour=red#reviews", "/shop?colour=red&size=42&utm_source=mail"} {
		base, _ := urlx.Parse("https://www.example.org/")
		key, _ = urlx.Canonical(key[:0], base, []byte(ref), p)
		fmt.Println(string(key))
	}
	// Output:
	// https://www.example.org/shop?colour=red&size=42
	// https://www.example.org/shop?colour=red&size=42
}

func ExampleShape() {
	u, _ := urlx.Parse("https://example.org/news/en/news/en/news/en?id=17")
	s := u.Shape()
	fmt.Println(s.Depth, s.Repeats, s.Cycle, s.Params)
	fmt.Println(string(u.AppendTemplate(nil)))
	// Output:
	// 6 3 3 1
	// example.org/news/en/news/en/news/en?id
}
