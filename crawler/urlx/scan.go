package urlx

// What the scan lets pass. Everything else goes to the parser, which decides.
const (
	okHost = 1 << iota
	okPath
	okQuery
	okFragment
)

var plain = func() (t [256]uint8) {
	for c := range t {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' {
			t[c] |= okHost
		}
		if sets[c]&inPath == 0 && c != '\\' {
			t[c] |= okPath
		}
		if sets[c]&inSpecialQuery == 0 {
			t[c] |= okQuery
		}
		if sets[c]&inFragment == 0 {
			t[c] |= okFragment
		}
	}
	t['/'] &^= okPath // looked at more closely
	return t
}()

// scan finds the parts of s if it is an http or https URL in normal form of the common
// kind: a host name in ASCII, no userinfo, no segment that begins with a dot. Most links
// are; they are taken as they are, at the price of a look at each byte.
func scan(s string) (p parts, ok bool) {
	if len(s) < 8 || len(s) > maxInput || s[:4] != "http" {
		return p, false
	}
	i := 4
	if s[i] == 's' {
		i++
	}
	p.scheme = int32(i)
	if len(s) < i+4 || s[i:i+3] != "://" {
		return p, false
	}
	i += 3
	p.userEnd, p.passEnd, p.hostStart, p.hasHost = int32(i), int32(i), int32(i), true

	label := i // where the label begins that i is in
	last := i  // the last label that is not empty
	for ; i < len(s) && plain[s[i]]&okHost != 0; i++ {
		switch s[i] {
		case '.':
			label = i + 1
		case '-':
			if i-label == 3 && s[label:i] == "xn-" {
				return p, false // Punycode may be wrong
			}
			last = label
		default:
			last = label
		}
	}
	p.hostEnd = int32(i)
	// A last label that begins with a digit may be part of an address.
	if i == int(p.hostStart) || last >= i || isDigit(s[last]) || s[last] == '.' {
		return p, false
	}
	if i < len(s) && s[i] == ':' {
		start := i + 1
		port := 0
		for i = start; i < len(s) && i < start+6 && isDigit(s[i]); i++ {
			port = port*10 + int(s[i]-'0')
		}
		own := 80
		if p.scheme == 5 {
			own = 443
		}
		if i == start || s[start] == '0' && i > start+1 || port > 65535 || port == own {
			return p, false
		}
	}
	p.portEnd, p.path = int32(i), int32(i)
	if i >= len(s) || s[i] != '/' {
		return p, false
	}
	p.query, p.fragment = -1, -1
	for ; i < len(s); i++ {
		if plain[s[i]]&okPath != 0 {
			continue
		}
		if s[i] != '/' {
			break
		}
		// A dot behind a slash may be a step to here or to above, also if encoded.
		if i+1 < len(s) && (s[i+1] == '.' || i+3 < len(s) && s[i+1] == '%' && s[i+2] == '2' && s[i+3]|0x20 == 'e') {
			return p, false
		}
	}
	if i < len(s) && s[i] == '?' {
		p.query = int32(i)
		for i++; i < len(s) && plain[s[i]]&okQuery != 0; i++ {
		}
	}
	if i < len(s) && s[i] == '#' {
		p.fragment = int32(i)
		for i++; i < len(s) && plain[s[i]]&okFragment != 0; i++ {
		}
	}
	return p, i == len(s)
}
