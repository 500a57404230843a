package urlx

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxIDN bounds hosts that need Punycode, whose coding is quadratic. A name in the DNS
// has at most 253 bytes.
const maxIDN = 1 << 10

// names converts internationalized names as the standard asks: UTS #46 without the old
// transitional mappings, and without the rules that only registries care for.
var names = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
	idna.CheckJoiners(true),
	idna.BidiRule(),
	idna.VerifyDNSLength(false),
)

// appendHost writes a host that is not empty and reports whether it is an address.
func (q *parser) appendHost(s string) (ip bool, err error) {
	if s[0] == '[' {
		if s[len(s)-1] != ']' {
			return false, ErrHost
		}
		return true, q.appendIPv6(s[1 : len(s)-1])
	}
	if !q.special {
		for i := range len(s) {
			if sets[s[i]]&badHost != 0 {
				return false, ErrHost
			}
		}
		q.buf = appendEncoded(q.buf, s, inControl)
		return false, nil
	}
	start := len(q.buf)
	if err := q.appendDomain(s); err != nil {
		return false, err
	}
	domain := q.buf[start:]
	if !endsInNumber(domain) {
		return false, nil
	}
	addr, ok := parseIPv4(view(domain))
	if !ok {
		return false, ErrHost
	}
	q.buf = netip.AddrFrom4(addr).AppendTo(q.buf[:start])
	return true, nil
}

// appendDomain writes a domain in lower case and Punycode.
func (q *parser) appendDomain(s string) error {
	start := len(q.buf)
	if isPlainDomain(s) {
		q.buf = append(q.buf, s...)
	} else {
		if len(s) > 3*maxIDN {
			return ErrHost
		}
		q.buf = appendDecoded(q.buf, s)
		if decoded := q.buf[start:]; !isPlainDomain(string(decoded)) {
			if len(decoded) > maxIDN || !utf8.Valid(decoded) {
				return ErrHost
			}
			name, err := names.ToASCII(string(decoded))
			if err != nil {
				return ErrHost
			}
			q.buf = append(q.buf[:start], name...)
		}
	}
	domain := q.buf[start:]
	for i, c := range domain {
		if sets[c]&badDomain != 0 {
			return ErrHost
		}
		domain[i] = toLower(c)
	}
	if len(domain) == 0 {
		return ErrHost
	}
	return nil
}

// isPlainDomain reports whether s is ASCII without percent signs and Punycode, so that
// lower case is all it needs.
func isPlainDomain(s string) bool {
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf || c == '%':
			return false
		case c == '.':
			label = i + 1
		case c == '-' && i-label == 3 && strings.EqualFold(s[label:i], "xn-"):
			return false
		}
	}
	return true
}

// endsInNumber reports whether the last label is a number, so that the host can only be
// an address.
func endsInNumber(s []byte) bool {
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	i := len(s)
	digits := true
	for i > 0 && s[i-1] != '.' {
		i--
		digits = digits && isDigit(s[i])
	}
	if s = s[i:]; digits {
		return len(s) > 0
	}
	if len(s) < 2 || s[0] != '0' || s[1] != 'x' {
		return false
	}
	for _, c := range s[2:] {
		if _, ok := unhex(c); !ok {
			return false
		}
	}
	return true
}

// parseIPv4 reads an address of one to four numbers, decimal, octal or hexadecimal, of
// which the last fills what is left.
func parseIPv4(s string) (addr [4]byte, ok bool) {
	s = strings.TrimSuffix(s, ".")
	if strings.Count(s, ".") > 3 {
		return addr, false
	}
	var all uint64
	for i := 3; ; i-- { // the byte that the next number is for
		f, rest, more := strings.Cut(s, ".")
		n, ok := parseNumber(f)
		if !ok || more && n > 255 || !more && n >= 1<<(8*(i+1)) {
			return addr, false
		}
		if !more {
			all += n
			break
		}
		all += n << (8 * i)
		s = rest
	}
	return [4]byte{byte(all >> 24), byte(all >> 16), byte(all >> 8), byte(all)}, true
}

func parseNumber(s string) (uint64, bool) {
	base := 10
	switch {
	case s == "":
		return 0, false
	case len(s) >= 2 && s[0] == '0' && s[1] == 'x':
		s, base = s[2:], 16
	case len(s) >= 2 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" { // "0x"
		return 0, true
	}
	for i := range len(s) {
		if _, ok := unhex(s[i]); !ok {
			return 0, false // ParseUint would take a sign
		}
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}

// appendIPv6 writes an address in brackets, the longest run of two or more zero groups
// left out.
func (q *parser) appendIPv6(s string) error {
	if strings.IndexByte(s, '%') >= 0 { // a zone means something on one machine only
		return ErrHost
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || !addr.Is6() {
		return ErrHost
	}
	b := addr.As16()
	var groups [8]uint16
	for i := range groups {
		groups[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	from, size := -1, 1
	for i := 0; i < 8; i++ {
		n := 0
		for i+n < 8 && groups[i+n] == 0 {
			n++
		}
		if n > size {
			from, size = i, n
		}
		i += n
	}
	q.buf = append(q.buf, '[')
	for i := 0; i < 8; i++ {
		if i == from {
			q.buf = append(q.buf, "::"...)
			i += size - 1
			continue
		}
		if i > 0 && i != from+size {
			q.buf = append(q.buf, ':')
		}
		q.buf = strconv.AppendUint(q.buf, uint64(groups[i]), 16)
	}
	q.buf = append(q.buf, ']')
	return nil
}
