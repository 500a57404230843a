package robots

import "strings"

// Classes of octets in a path or pattern, by RFC 9309 section 2.2.2 and RFC 3986.
const (
	encode     = iota // stands percent-encoded
	unreserved        // stands for itself; an encoding of it is undone
	reserved          // stands for itself; an encoding of it means something else
	special           // "*" and "$": themselves in a pattern, encoded in a path
	percent
	hash // ends a path
)

var class = func() (t [256]uint8) {
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = unreserved, unreserved
	}
	for _, c := range "0123456789-._~" {
		t[c] = unreserved
	}
	for _, c := range ":/?[]@!&'()+,;=" {
		t[c] = reserved
	}
	t['*'], t['$'], t['%'], t['#'] = special, special, percent, hash
	return t
}()

// canonicalPrefix returns how much of a path, from its start, is in canonical form and
// before a fragment. It is 0 if the path does not begin with a slash.
func canonicalPrefix(p string, m Mode) int {
	if p == "" || p[0] != '/' {
		return 0
	}
	if m == Google { // takes paths as they are
		if i := strings.IndexByte(p, '#'); i >= 0 {
			return i
		}
		return len(p)
	}
	for i := 0; i < len(p); i++ {
		switch class[p[i]] {
		case unreserved, reserved:
		case percent:
			c, ok := unescape(p, i)
			if !ok || class[c] == unreserved || lower(p[i+1]) || lower(p[i+2]) {
				return i
			}
			i += 2
		default:
			return i
		}
	}
	return len(p)
}

func lower(c byte) bool { return c >= 'a' }

// appendPath appends the canonical form of a path without fragment.
func appendPath(dst []byte, p string, m Mode) []byte {
	if p == "" || p[0] != '/' {
		dst = append(dst, '/')
	}
	if m == Google {
		return append(dst, p...)
	}
	for i := 0; i < len(p); i++ {
		dst, i = appendOctet(dst, p, i)
	}
	return dst
}

// canonicalPattern returns the canonical form of a pattern: most are in it already, and
// are not copied.
func canonicalPattern(p string, m Mode) string {
	if m == Google {
		for i := range len(p) {
			if p[i] >= 0x80 || p[i] == '%' {
				return string(appendPattern(nil, p, m))
			}
		}
		return p
	}
	if canonicalPrefix(p, m) == len(p) {
		return p
	}
	return string(appendPattern(nil, p, m))
}

// appendPattern appends the canonical form of a pattern: "*" anywhere and "$" at the end
// keep their meaning. By the RFC a pattern begins with a slash; one that does not, and not
// with "*" either, is read as if it did.
func appendPattern(dst []byte, p string, m Mode) []byte {
	if m == Google {
		return appendGoogle(dst, p)
	}
	if p[0] != '/' && p[0] != '*' {
		dst = append(dst, '/')
	}
	for i := 0; i < len(p); i++ {
		if p[i] == '*' || p[i] == '$' && i == len(p)-1 {
			dst = append(dst, p[i])
			continue
		}
		dst, i = appendOctet(dst, p, i)
	}
	return dst
}

// appendOctet appends the canonical form of the octet or encoded octet at p[i] and returns
// the index of its last byte.
func appendOctet(dst []byte, p string, i int) ([]byte, int) {
	c := p[i]
	switch class[c] {
	case unreserved, reserved:
		return append(dst, c), i
	case percent:
		d, ok := unescape(p, i)
		if !ok {
			break
		}
		if class[d] == unreserved {
			return append(dst, d), i + 2
		}
		return appendEscaped(dst, d), i + 2
	}
	return appendEscaped(dst, c), i
}

// appendGoogle writes a pattern as Google's parser does: octets outside of ASCII are
// encoded and encodings get capital digits; no more.
func appendGoogle(dst []byte, p string) []byte {
	for i := 0; i < len(p); i++ {
		if c, ok := unescape(p, i); ok {
			dst = appendEscaped(dst, c)
			i += 2
		} else if p[i] >= 0x80 {
			dst = appendEscaped(dst, p[i])
		} else {
			dst = append(dst, p[i])
		}
	}
	return dst
}

func appendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

// unescape returns the octet that a percent sign and two hexadecimal digits at p[i] stand
// for; ok is false if there is none.
func unescape(p string, i int) (c byte, ok bool) {
	if p[i] != '%' || i+2 >= len(p) {
		return 0, false
	}
	hi, ok1 := unhex(p[i+1])
	lo, ok2 := unhex(p[i+2])
	return hi<<4 | lo, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
