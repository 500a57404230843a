package gate

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// block is a rules.Block made ready. Package regexp takes time in proportion to the text,
// whatever the text.
type block struct {
	name, header string
	path         bool
	match        *regexp.Regexp
}

func blocks(all []rules.Block) (out []block, err error) {
	for _, b := range all {
		one := block{name: b.Name, path: b.In == "path"}
		one.header, _ = strings.CutPrefix(b.In, "header:")
		if b.In == "path" || b.In == "query" {
			one.header = ""
		}
		if one.match, err = regexp.Compile(b.Match); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// blocked is the name of the first rule that a request is blocked by; empty: none.
func (p *plan) blocked(r *http.Request) string {
	for i := range p.blocks {
		if p.blocks[i].hits(r) {
			return p.blocks[i].name
		}
	}
	return ""
}

func (b *block) hits(r *http.Request) bool {
	switch {
	case b.header != "":
		for _, v := range r.Header.Values(b.header) {
			if b.match.MatchString(v) {
				return true
			}
		}
		return false
	case b.path:
		return b.match.MatchString(r.URL.Path)
	}
	return b.match.MatchString(unescape(r.URL.RawQuery))
}

// unescape decodes a query, and leaves as it is what cannot be decoded: one broken escape
// must not hide the rest.
func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c = byte(n)
				i += 2
			}
		} else if c == '+' {
			c = ' '
		}
		out = append(out, c)
	}
	return string(out)
}
