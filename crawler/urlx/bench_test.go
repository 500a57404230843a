package urlx

import (
	"net/url"
	"testing"
)

var inputs = map[string]string{
	"canonical": "https://www.example.org/products/shoes/index.html?colour=red&size=42&page=3",
	"untidy":    "HTTP://WWW.Example.ORG:80/products/./shoes/../hats/a b.html?q=é#top",
	"idn":       "https://www.bücher.example/products/shoes/index.html",
}

func BenchmarkParse(b *testing.B) {
	for name, in := range inputs {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(in); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/net-url", func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := url.Parse(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanonical(b *testing.B) {
	base, err := Parse("https://www.example.org/products/shoes/index.html")
	if err != nil {
		b.Fatal(err)
	}
	refs := map[string]string{"canonical": inputs["canonical"], "untidy": inputs["untidy"], "relative": "../hats/index.html?page=3#top"}
	dst := make([]byte, 0, 1024)
	for name, in := range refs {
		for profile, p := range map[string]*Profile{"zero": nil, "sorted": {SortQuery: true}} {
			b.Run(name+"/"+profile, func(b *testing.B) {
				ref := []byte(in)
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				for b.Loop() {
					if dst, err = Canonical(dst[:0], base, ref, p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSite(b *testing.B) {
	u, err := Parse(inputs["canonical"])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		u.Site()
	}
}

func BenchmarkShape(b *testing.B) {
	u, err := Parse(inputs["canonical"])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		u.Shape()
	}
}
