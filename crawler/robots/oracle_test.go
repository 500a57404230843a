package robots

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// allowedByDefinition reads the whole file for one path, as the RFC's text and Google's
// parser tell it: no index, no compiled rules, every rule is tried.
func allowedByDefinition(f *File, product, path string) bool {
	if f.mode == RFC9309 && path == "/robots.txt" {
		return true
	}
	path, _, _ = strings.Cut(path, "#")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if f.mode == RFC9309 {
		path = octets(path, "")
	}
	names := func(token string) (out []group) {
		for _, g := range f.groups {
			for _, a := range g.agents {
				if strings.EqualFold(a.token, token) {
					out = append(out, g)
					break
				}
			}
		}
		return out
	}
	apply := names(product)
	if product == "" || len(apply) == 0 {
		apply = names("*")
	}
	best := map[bool]int{}
	for _, g := range apply {
		for _, r := range g.rules {
			p := r.Pattern
			if f.mode == RFC9309 {
				if p[0] != '/' && p[0] != '*' {
					p = "/" + p
				}
				body, anchored := strings.CutSuffix(p, "$")
				p = octets(body, "*")
				if anchored {
					p += "$"
				}
			} else {
				p = string(appendGoogle(nil, p))
			}
			if fits(path, p) {
				best[r.Allow] = max(best[r.Allow], len(p))
			} else if i := strings.LastIndexByte(p, '/'); f.mode == Google && r.Allow && i >= 0 && strings.HasPrefix(p[i:], "/index.htm") && fits(path, p[:i+1]+"$") {
				best[true] = max(best[true], i+2)
			}
		}
	}
	return best[false] <= best[true]
}

// octets decodes s where it can and encodes what is left and is not in keep.
func octets(s, keep string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c, encoded := s[i], false
		if c == '%' && i+2 < len(s) {
			if d, err := url.PathUnescape(s[i : i+3]); err == nil {
				c, encoded = d[0], true
				i += 2
			}
		}
		plain := strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", c) >= 0
		asIs := strings.IndexByte(":/?[]@!&'()+,;="+keep, c) >= 0
		if plain || asIs && !encoded {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper("%" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15])))
		}
	}
	return b.String()
}

// fits follows all places of the path that the pattern may have reached, octet by octet.
func fits(path, pattern string) bool {
	at := make([]bool, len(path)+1)
	at[0] = true
	for i := range len(pattern) {
		switch {
		case pattern[i] == '$' && i == len(pattern)-1:
			return at[len(path)]
		case pattern[i] == '*':
			for j := 1; j < len(at); j++ {
				at[j] = at[j] || at[j-1]
			}
		default:
			for j := len(path); j > 0; j-- {
				at[j] = at[j-1] && path[j-1] == pattern[i]
			}
			at[0] = false
		}
	}
	for _, ok := range at {
		if ok {
			return true
		}
	}
	return false
}

// genText makes strings of few parts, so that rules and paths meet often.
func genText(parts []string, most int) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(parts), 0, most), func(s []string) string { return strings.Join(s, "") })
}

func TestAgainstDefinition(t *testing.T) {
	pattern := genText([]string{"/", "a", "b", "ab", "*", "$", "%61", "%2f", "%2A", "%24", "ü", "%c3%bc", "?", "index.html", "%"}, 7)
	path := genText([]string{"/", "a", "b", "ab", "*", "$", "%61", "%2F", "%2a", "%24", "ü", "%C3%BC", "?", "#", "index.html", "%"}, 9)
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			key := rapid.SampledFrom([]string{"user-agent", "disallow", "disallow", "allow", "allow", "noise"}).Draw(t, "key")
			if key == "user-agent" {
				b.WriteString(key + ": " + rapid.SampledFrom([]string{"a", "A", "b", "*", "c/1"}).Draw(t, "agent") + "\n")
				continue
			}
			b.WriteString(key + ":" + pattern.Draw(t, "pattern") + "\n")
		}
		agent := rapid.SampledFrom([]string{"a", "b", "c", "d", ""}).Draw(t, "who")
		paths := rapid.SliceOfN(path, 1, 8).Draw(t, "paths")
		for _, m := range []Mode{RFC9309, Google} {
			f := Parse([]byte("user-agent: *\n"+b.String()), Options{Mode: m})
			r := f.Agent(agent)
			for _, p := range paths {
				require.Equal(t, allowedByDefinition(f, agent, p), r.Allowed(p), "%s %q %q in\n%s", m, agent, p, b.String())
			}
		}
	})
}
