package robots

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// synthetic is a file of n rules, one in eight with a wildcard, the size of a shop's.
func synthetic(n int) []byte {
	var b strings.Builder
	b.WriteString("user-agent: *\n")
	for i := range n {
		if i%8 == 0 {
			fmt.Fprintf(&b, "disallow: /*/sort-%d/*.html$\n", i)
		} else {
			fmt.Fprintf(&b, "disallow: /section-%d/item-%d/\n", i%7, i)
		}
	}
	return []byte(b.String())
}

var paths = map[string]string{
	"allowed":   "/section-3/products/shoes/index.html?colour=red",
	"forbidden": "/section-3/item-3/x",
	"encoded":   "/section-3/%e3%83%84/~user/%7Ename",
}

// TestAllowedAllocatesNothing covers paths in canonical form, paths that the stack has
// room to rewrite, and paths that it has not.
func TestAllowedAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := Parse(synthetic(100), Options{}).Agent("a")
	for name, p := range paths {
		require.Zero(t, testing.AllocsPerRun(100, func() { r.Allowed(p) }), name)
	}
	long := strings.Repeat("/ü", 4000)
	require.Less(t, testing.AllocsPerRun(100, func() { r.Allowed(long) }), 1.0, "long")
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{10, 1000} {
		body := synthetic(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(body, Options{}).Agent("a")
			}
		})
	}
}

func BenchmarkAllowed(b *testing.B) {
	for _, n := range []int{10, 1000} {
		r := Parse(synthetic(n), Options{}).Agent("a")
		for name, p := range paths {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r.Allowed(p)
				}
			})
		}
	}
}
