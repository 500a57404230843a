package urlx

import "strings"

// Shape is what a URL shows of a trap: links of which there are endlessly many, all new.
type Shape struct {
	Length  int // of the URL, in bytes
	Depth   int // segments of the path that are not empty
	Params  int // parameters of the query that are not empty
	Longest int // bytes in the longest segment
	Repeats int // how often the most frequent segment is there: 1 where all differ
	Cycle   int // how often the path's end repeats itself: 3 for /x/a/b/a/b/a/b, 1 if not at all
}

// maxSegments bounds the segments that Repeats and Cycle look at, as they compare all with
// all. A path so deep needs no finer measure.
const maxSegments = 64

// Shape measures the URL.
func (u *URL) Shape() Shape {
	s := Shape{Length: len(u.href)}
	var stack [maxSegments]string
	segments := stack[:0]
	for seg := range strings.SplitSeq(u.Path(), "/") {
		if seg == "" {
			continue
		}
		s.Depth++
		s.Longest = max(s.Longest, len(seg))
		if len(segments) == maxSegments {
			copy(segments, segments[1:]) // the end tells more than the start
			segments = segments[:maxSegments-1]
		}
		segments = append(segments, seg)
	}
	for i, a := range segments {
		n := 1
		for _, b := range segments[i+1:] {
			if a == b {
				n++
			}
		}
		s.Repeats = max(s.Repeats, n)
	}
	s.Cycle = cycle(segments)
	if q, ok := u.Query(); ok {
		for param := range strings.SplitSeq(q, "&") {
			if param != "" {
				s.Params++
			}
		}
	}
	return s
}

// cycle returns how often the end of the list repeats itself, for the period with the
// most repeats.
func cycle(segments []string) int {
	if len(segments) == 0 {
		return 0
	}
	best := 1
	for period := 1; period <= len(segments)/2; period++ {
		n := period // how many at the end equal those a period before, and that period
		for i := len(segments) - 1; i >= period && segments[i] == segments[i-period]; i-- {
			n++
		}
		best = max(best, n/period)
	}
	return best
}

// AppendTemplate appends the host and path with what changes from link to link replaced,
// and the names of the parameters without their values: links that a program made from
// one pattern have one template.
//
//	https://a.example/cal/2024-02-29/x17?from=3  →  a.example/cal/{date}/x{n}?from
//
// Runs of digits are {n}, days are {date}, long hexadecimal numbers {hex}, UUIDs {uuid};
// a segment that equals the one before it is left out.
func (u *URL) AppendTemplate(dst []byte) []byte {
	dst = append(dst, u.HostKey()...)
	last := ""
	for seg := range strings.SplitSeq(strings.TrimPrefix(u.Path(), "/"), "/") {
		if seg == last && seg != "" {
			continue
		}
		last = seg
		dst = appendRuns(append(dst, '/'), seg)
	}
	mark := byte('?')
	if q, ok := u.Query(); ok {
		for param := range strings.SplitSeq(q, "&") {
			if param != "" {
				dst = appendRuns(append(dst, mark), nameOf(param))
				mark = '&'
			}
		}
	}
	return dst
}

// appendRuns appends a segment with its numbers replaced.
func appendRuns(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		starts := i == 0 || !isAlpha(s[i-1]) && !isDigit(s[i-1])
		switch n := 0; {
		case starts && isUUID(s[i:]):
			dst = append(dst, "{uuid}"...)
			i += 36
		case starts && isDate(s[i:]):
			dst = append(dst, "{date}"...)
			i += 10
		case starts && hexLen(s[i:]) > 0:
			dst = append(dst, "{hex}"...)
			i += hexLen(s[i:])
		case isDigit(s[i]):
			for i+n < len(s) && isDigit(s[i+n]) {
				n++
			}
			dst = append(dst, "{n}"...)
			i += n
		case s[i] == '%' && i+2 < len(s): // digits of an encoding are no number
			dst = append(dst, s[i:i+3]...)
			i += 3
		default:
			dst = append(dst, s[i])
			i++
		}
	}
	return dst
}

// matches reports whether s begins with the pattern, in which "9" stands for a digit, "f"
// for a hexadecimal one, and all else for itself, and ends there or goes on with neither
// letter nor digit.
func matches(s, pattern string) bool {
	if len(s) < len(pattern) || len(s) > len(pattern) && (isAlpha(s[len(pattern)]) || isDigit(s[len(pattern)])) {
		return false
	}
	for i := range len(pattern) {
		switch pattern[i] {
		case '9':
			if !isDigit(s[i]) {
				return false
			}
		case 'f':
			if _, ok := unhex(s[i]); !ok {
				return false
			}
		default:
			if s[i] != pattern[i] {
				return false
			}
		}
	}
	return true
}

func isUUID(s string) bool { return matches(s, "ffffffff-ffff-ffff-ffff-ffffffffffff") }

func isDate(s string) bool { return matches(s, "9999-99-99") || matches(s, "9999_99_99") }

// hexLen returns the length of the hexadecimal number that s begins with, if it has eight
// digits or more, letters among them, and ends with no letter behind it; else 0.
func hexLen(s string) int {
	n, letters, digits := 0, false, false
	for n < len(s) {
		if _, ok := unhex(s[n]); !ok {
			break
		}
		letters, digits = letters || isAlpha(s[n]), digits || isDigit(s[n])
		n++
	}
	if n < 8 || !letters || !digits || n < len(s) && isAlpha(s[n]) {
		return 0
	}
	return n
}
