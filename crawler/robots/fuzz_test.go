package robots

import (
	"strings"
	"testing"
)

// FuzzParse holds every file and path against the definition.
func FuzzParse(f *testing.F) {
	f.Add([]byte("user-agent: *\ndisallow: /a*b$\nallow: /%61\ncrawl-delay: 1.5"), "/ab?c#d")
	f.Add([]byte("\xEF\xBB\xBFuser-agent *\rdisallow /\r\nsitemap: x"), "")
	f.Add([]byte("\xFF\xFEu\x00"), "/%")
	f.Add([]byte("user-agent:*\nallow:/x/index.html\ndisallow:*"), "/x/")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		if len(body) > 1<<12 || len(path) > 1<<9 {
			return // the definition is slow
		}
		for _, m := range []Mode{RFC9309, Google} {
			file := Parse(body, Options{Mode: m})
			for _, agent := range []string{"a", ""} {
				r := file.Agent(agent)
				if got, want := r.Allowed(path), allowedByDefinition(file, agent, path); got != want {
					t.Fatalf("%s %q: Allowed says %v, the definition %v", m, path, got, want)
				}
				if d, ok := r.CrawlDelay(); d < 0 || d > maxDelay || !ok && d != 0 {
					t.Fatalf("delay of %v", d)
				}
			}
			for s := range file.Sitemaps() {
				if s == "" || strings.ContainsAny(s, "\r\n") {
					t.Fatalf("sitemap %q", s)
				}
			}
		}
	})
}
