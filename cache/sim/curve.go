package sim

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"math"
)

// Curve is the hit ratios of one policy over cache sizes.
type Curve struct {
	Name   string
	Ratios []float64 // 0 to 1, one for each size
}

// hues of up to ten curves, fit for light and dark.
var hues = [...]string{"#888888", "#d1495b", "#2e86ab", "#3c9d6b", "#e08e1b", "#8f5bb3", "#c2578a", "#5b7db1", "#a38a2c", "#4aa3a2"}

// WriteSVG draws hit-ratio curves over sizes, which ascend; the axis of sizes is
// logarithmic.
func WriteSVG(w io.Writer, title string, sizes []int, curves []Curve) error {
	const width, height, left, right, top, bottom = 720, 400, 56, 130, 40, 44
	b := bufio.NewWriter(w)
	lo, hi := 1.0, 2.0
	if len(sizes) > 0 {
		lo, hi = math.Log(float64(max(1, sizes[0]))), math.Log(float64(max(1, sizes[len(sizes)-1])))
	}
	if hi <= lo {
		hi = lo + 1
	}
	best := 0.01
	for _, c := range curves {
		for _, r := range c.Ratios {
			best = max(best, r)
		}
	}
	best = math.Ceil(best*10) / 10
	x := func(size int) float64 {
		return left + (width-left-right)*(math.Log(float64(max(1, size)))-lo)/(hi-lo)
	}
	y := func(r float64) float64 { return height - bottom - (height-top-bottom)*r/best }
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12" role="img">`+"\n", width, height)
	fmt.Fprintf(b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintln(b, `<style>text{fill:#333}.grid{stroke:#8884}@media(prefers-color-scheme:dark){text{fill:#ddd}}</style>`)
	fmt.Fprintf(b, `<text x="%d" y="22" font-size="15">%s</text>`+"\n", left, html.EscapeString(title))
	for i := range 6 {
		r := best * float64(i) / 5
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%.0f %%</text>`+"\n", left, width-right, y(r), y(r), left-6, y(r)+4, 100*r)
	}
	for _, s := range sizes {
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(s), x(s), top, height-bottom, x(s), height-bottom+18, s)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">entries</text>`+"\n", (left+width-right)/2, height-8)
	for i, c := range curves {
		hue := hues[i%len(hues)]
		fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, hue)
		for j, r := range c.Ratios {
			if j < len(sizes) {
				fmt.Fprintf(b, "%.1f,%.1f ", x(sizes[j]), y(r))
			}
		}
		fmt.Fprintf(b, `"/><rect x="%d" y="%d" width="14" height="4" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", width-right+14, top+18*i, hue, width-right+34, top+6+18*i, html.EscapeString(c.Name))
	}
	fmt.Fprintln(b, "</svg>")
	return b.Flush()
}
