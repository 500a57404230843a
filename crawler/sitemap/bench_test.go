package sitemap

import (
	"bytes"
	"encoding/xml"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	body := large(10_000)
	small := zipped(body)
	for name, in := range map[string][]byte{"xml": body, "gzip": small} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range Parse(bytes.NewReader(in), Options{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	b.Run("encoding-xml", func(b *testing.B) { // what one would write without this package
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			var f struct {
				URL []struct {
					Loc      string  `xml:"loc"`
					LastMod  string  `xml:"lastmod"`
					Priority float64 `xml:"priority"`
				} `xml:"url"`
			}
			if err := xml.Unmarshal(body, &f); err != nil {
				b.Fatal(err)
			}
		}
	})
}
