package crawlertest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// words are what pages are made of.
var words = strings.Fields(`stone mortar arch river bridge tower garden window lantern copper iron wood carpenter mason
quarry winter summer harvest barley wheat orchard apple pear cherry walnut oak elm birch harbour sail rope anchor tide
market silver wool linen weaver potter kiln clay glass furnace smith hammer anvil saddle bridle horse meadow hill valley
spring well mill wheel grain bread salt honey wax candle book page ink quill letter seal road milestone inn stable cart
north south east west morning evening thunder frost rain snow cloud star moon compass map island shore gull heron otter
castle gate wall moat courtyard stair cellar roof slate thatch beam hinge key lock chain bell clock hour day month year
song drum flute dance feast guest friend stranger traveller merchant sailor shepherd farmer teacher pupil slow quick old
new bright dark heavy light narrow wide steep gentle quiet loud warm cold early late empty full broken whole deep shallow`)

// rand is a generator for one thing on one host: the same on every visit.
func (w *Web) rand(h *Host, what string) *random {
	f := fnv.New64a()
	io.WriteString(f, what)
	return &random{rand.New(rand.NewPCG(w.o.Seed^uint64(h.n)<<32, f.Sum64()))}
}

type random struct{ *rand.Rand }

// N returns a time below d.
func (r *random) N(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// page writes the n-th real page of a host. The pages are a tree of three branches, so that
// all are found from the first, with links back and to other hosts; the first leads to
// all that is not a page.
func (w *Web) page(h *Host, sw *statusWriter, n int) {
	var links []string
	for c := 3*n + 1; c <= 3*n+3 && c < h.Pages; c++ {
		links = append(links, pagePath(c))
	}
	rng := w.rand(h, "links"+pagePath(n))
	links = append(links, "/", pagePath(rng.IntN(h.Pages)), "http://"+w.hosts[rng.IntN(len(w.hosts))].Name+"/", pagePath(n)+"#top")
	if n == 0 {
		links = append(links, "/private/1.html", "/private/open.html", "/nowhere.html")
		if !w.o.Calm {
			links = append(links, fmt.Sprintf("/copy/%d.html", h.Pages-1), "/go/page", "/go/away", "/go/self", "/go/a", "/go/inside", "/go/meta", "/go/mail",
				"javascript:void(0)", "mailto:a@b.example", "http://[::1", "http://nobody.invalid/", "http://169.254.169.254/")
		}
		if h.Trap {
			links = append(links, "/calendar/2024/1", "/shop?session=0", "deep/", "/find?colour=1")
		}
		if h.Faults {
			links = append(links, "/flaky/1.html", "/busy/1.html")
			for _, f := range faults {
				links = append(links, "/"+f+"/1.html")
			}
		}
	}
	w.write(h, sw, pagePath(n), links)
}

// write writes a page of words that belong to what it is, with links.
func (w *Web) write(h *Host, rw http.ResponseWriter, what string, links []string) {
	rng := w.rand(h, what)
	var b bytes.Buffer
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=en><meta charset=utf-8><title>%s of %s</title>\n<p>", what, h.Name)
	for i := range 120 {
		if i%30 == 29 {
			b.WriteString("\n<p>")
		}
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	for _, l := range links {
		fmt.Fprintf(&b, "\n<a href=%q>%s</a>", l, words[rng.IntN(len(words))])
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Write(b.Bytes())
}

// trap writes a page of which there are endlessly many, and reports whether the path is of one.
// What stands on it is nearly the same each time.
func (w *Web) trap(h *Host, sw *statusWriter, r *http.Request, first, rest string) bool {
	switch first {
	case "calendar":
		var year, month int
		if _, err := fmt.Sscanf(rest, "%d/%d", &year, &month); err != nil || month < 1 || month > 12 {
			return false
		}
		at := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC)
		link := func(t time.Time) string { return fmt.Sprintf("/calendar/%d/%d", t.Year(), t.Month()) }
		w.write(h, sw, "calendar", []string{link(at.AddDate(0, 1, 0)), link(at.AddDate(0, -1, 0)), link(at.AddDate(1, 0, 0))})
	case "shop":
		w.mu.Lock()
		w.ids += 2
		id := w.ids
		w.mu.Unlock()
		w.write(h, sw, "shop", []string{fmt.Sprintf("/shop?session=%d", id), fmt.Sprintf("/shop?session=%d", id+1)})
	case "deep":
		w.write(h, sw, "deep", []string{"down/", "further/"})
	case "find":
		q := r.URL.RawQuery
		w.write(h, sw, "find", []string{"/find?" + q + "&size=1", "/find?" + q + "&size=2", "/find?" + q + "&sort=up"})
	default:
		return false
	}
	return true
}

// bomb is 64 MiB of nothing in 64 KiB.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zero := make([]byte, 1<<20)
	for range 64 {
		z.Write(zero)
	}
	z.Close()
	return b.Bytes()
})
