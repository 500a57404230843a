package extract

import (
	"bytes"
	"iter"

	"golang.org/x/net/html"
)

// wantedIn names the elements that matter and their attributes that do.
var wantedIn = map[string][]string{
	"html": {"lang"}, "base": {"href"}, "meta": {"name", "content", "http-equiv"},
	"a": {"href", "rel", "hidden", "style"}, "area": {"href", "rel", "hidden", "style"},
	"frame": {"src"}, "iframe": {"src", "hidden", "style"}, "form": {"action", "method", "rel"},
	"link": {"href", "rel", "type", "hreflang"},
	"img":  {"src", "srcset"}, "source": {"src", "srcset"}, "script": {"src"}, "embed": {"src"}, "audio": {"src"}, "track": {"src"},
	"video": {"src", "poster"}, "object": {"data"}, "input": {"src", "type"},
}

// attributes are those of one tag. The values are the tokenizer's, good until its next
// token.
type attributes struct {
	n    int
	list [4]struct {
		key   string
		value []byte
	}
}

// read takes the wanted attributes of the tokenizer's tag, whose attributes begin in rest.
// Of two with one name the first counts.
//
// The tokenizer has read them already, but hands them out as copies, two for each,
// whether they are wanted or not. So they are cut out of the raw tag, and the tokenizer is
// asked only if there is something to decode.
func (a *attributes) read(z *html.Tokenizer, rest []byte, wanted []string) {
	a.n = 0
	for len(rest) > 0 && a.n < len(wanted) {
		var key, value []byte
		key, value, rest = nextAttr(rest)
		if bytes.IndexByte(value, '&') >= 0 || bytes.IndexByte(value, 0) >= 0 {
			a.readDecoded(z, wanted)
			return
		}
		a.add(key, value, wanted)
	}
}

func (a *attributes) readDecoded(z *html.Tokenizer, wanted []string) {
	a.n = 0
	z.TagName()
	for more := true; more && a.n < len(wanted); {
		var key, value []byte
		key, value, more = z.TagAttr()
		a.add(key, value, wanted)
	}
}

// add keeps a wanted attribute that is not there yet.
func (a *attributes) add(key, value []byte, wanted []string) {
	for _, w := range wanted {
		if equalLower(key, w) {
			if _, ok := a.find(w); !ok {
				a.list[a.n].key, a.list[a.n].value = w, value
				a.n++
			}
			return
		}
	}
}

// equalLower reports whether b in lower case is s, which is.
func equalLower(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// tagName cuts the name out of a raw tag and puts it in lower case, in place.
func tagName(raw []byte) (name, rest []byte) {
	i := 1
	if len(raw) > 1 && raw[1] == '/' {
		i = 2
	}
	start := min(i, len(raw))
	for i = start; i < len(raw) && !isTagSpace(raw[i]) && raw[i] != '/' && raw[i] != '>'; i++ {
		if 'A' <= raw[i] && raw[i] <= 'Z' {
			raw[i] |= 0x20
		}
	}
	return raw[start:i], bytes.TrimSuffix(raw[i:], []byte{'>'})
}

func isTagSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r' }

// nextAttr cuts an attribute off what is left of a tag. Its key is empty if there is none.
func nextAttr(b []byte) (key, value, rest []byte) {
	i := 0
	for i < len(b) && (isTagSpace(b[i]) || b[i] == '/') {
		i++
	}
	start := i
	for i < len(b) && !isTagSpace(b[i]) && b[i] != '/' && (b[i] != '=' || i == start) {
		i++
	}
	key = b[start:i]
	for i < len(b) && isTagSpace(b[i]) {
		i++
	}
	if i == len(b) || b[i] != '=' {
		return key, nil, b[i:]
	}
	i++
	for i < len(b) && isTagSpace(b[i]) {
		i++
	}
	if i < len(b) && (b[i] == '"' || b[i] == '\'') {
		end := bytes.IndexByte(b[i+1:], b[i])
		if end < 0 {
			return key, nil, nil
		}
		return key, b[i+1 : i+1+end], b[i+2+end:]
	}
	start = i
	for i < len(b) && !isTagSpace(b[i]) {
		i++
	}
	return key, b[start:i], b[i:]
}

func (a *attributes) find(key string) (value []byte, ok bool) {
	for i := range a.n {
		if a.list[i].key == key {
			return a.list[i].value, true
		}
	}
	return nil, false
}

func (a *attributes) get(key string) []byte {
	v, _ := a.find(key)
	return v
}

// hidden reports whether the element's own attributes keep it from being seen.
func (a *attributes) hidden() bool {
	if _, ok := a.find("hidden"); ok {
		return true
	}
	style := a.get("style")
	if len(style) == 0 {
		return false
	}
	plain := make([]byte, 0, 64)
	for _, c := range style[:min(len(style), 1<<10)] {
		if c > ' ' {
			if 'A' <= c && c <= 'Z' {
				c |= 0x20
			}
			plain = append(plain, c)
		}
	}
	return bytes.Contains(plain, []byte("display:none")) || bytes.Contains(plain, []byte("visibility:hidden"))
}

// srcset returns the addresses in a list of images with their sizes. An address ends at a
// space; commas separate, but may also be in an address, though not at its end, and within
// parentheses.
func srcset(s []byte) iter.Seq[[]byte] {
	const space = " \t\n\r\f"
	return func(yield func([]byte) bool) {
		for {
			if s = bytes.TrimLeft(s, space+","); len(s) == 0 {
				return
			}
			end := bytes.IndexAny(s, space)
			if end < 0 {
				end = len(s)
			}
			url := s[:end]
			s = s[end:]
			bare := bytes.TrimRight(url, ",")
			if !yield(bare) {
				return
			}
			if len(bare) < len(url) {
				continue // a comma ended it: there is no size
			}
			depth, i := 0, 0
			for i < len(s) && (s[i] != ',' || depth > 0) {
				switch s[i] {
				case '(':
					depth++
				case ')':
					depth--
				}
				i++
			}
			s = s[i:]
		}
	}
}
