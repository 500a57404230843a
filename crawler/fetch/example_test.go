package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/urlx"
)

func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusMovedPermanently)
			return
		}
		io.WriteString(w, "hello")
	}))
	defer server.Close()
	ctx := context.Background()

	// The server is on this machine, so an exception is needed.
	c, err := fetch.New(fetch.Options{
		UserAgent: "examplebot/1.0 (+https://example.org/bot)",
		Permit:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	u, _ := urlx.Parse(server.URL + "/old")
	resp, err := c.Fetch(ctx, fetch.Request{URL: u, Follow: func(_ context.Context, h fetch.Hop) error {
		fmt.Println(h.Status, h.To.Path(), h.Permanent())
		return nil
	}})
	fmt.Println(resp.Status, string(resp.Body), err)
	// Output:
	// 301 /new true
	// 200 hello <nil>
}

func ExampleError() {
	c, err := fetch.New(fetch.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	u, _ := urlx.Parse("http://169.254.169.254/latest/meta-data/")
	_, err = c.Fetch(context.Background(), fetch.Request{URL: u})
	var fe *fetch.Error
	if errors.As(err, &fe) {
		fmt.Println(fe.Phase, errors.Is(err, fetch.ErrAddress), fe.Temporary())
	}
	// Output: resolve true false
}

func ExamplePublic() {
	for _, s := range []string{"1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1"} {
		fmt.Println(s, fetch.Public(netip.MustParseAddr(s)))
	}
	// Output:
	// 1.1.1.1 true
	// 10.0.0.1 false
	// ::ffff:127.0.0.1 false
	// 64:ff9b::a00:1 false
}
