package urlx

import "unicode/utf8"

// Percent-encode sets of the standard, one bit each.
const (
	inFragment = 1 << iota
	inQuery
	inSpecialQuery
	inPath
	inUserinfo
	inControl
	badHost   // forbidden host code points
	badDomain // forbidden domain code points
)

var sets = func() (t [256]uint8) {
	add := func(chars string, bits uint8) {
		for i := range len(chars) {
			t[chars[i]] |= bits
		}
	}
	for c := range t {
		if c < 0x20 || c > 0x7E {
			t[c] |= inControl | inFragment | inQuery | inSpecialQuery | inPath | inUserinfo
		}
		if c < 0x20 || c == 0x7F {
			t[c] |= badDomain
		}
	}
	add(" \"<>`", inFragment)
	add(" \"#<>", inQuery|inSpecialQuery|inPath|inUserinfo)
	add("'", inSpecialQuery)
	add("?`{}", inPath|inUserinfo)
	add("/:;=@[\\]^|", inUserinfo)
	add("\x00\t\n\r #/:<>?@[\\]^|", badHost|badDomain)
	add("%", badDomain)
	return t
}()

const upperHex = "0123456789ABCDEF"

// appendEncoded appends s with the characters of a set percent-encoded. What is no UTF-8
// becomes the encoded replacement character, as it would in a decoded document.
func appendEncoded(dst []byte, s string, set uint8) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case sets[c]&set == 0:
			dst = append(dst, c)
		case c < utf8.RuneSelf:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, "%EF%BF%BD"...)
				continue
			}
			for _, c := range []byte(s[i : i+n]) {
				dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
			}
			i += n - 1
		}
	}
	return dst
}

// appendDecoded appends s with percent-encodings undone.
func appendDecoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				dst = append(dst, hi<<4|lo)
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

func unhex(c byte) (byte, bool) {
	switch {
	case isDigit(c):
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func toLower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
