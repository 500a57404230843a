package urlx

import (
	"slices"
	"strings"
	"unsafe"
)

// DefaultMaxLen is the longest URL that Canonical makes if the profile does not say.
const DefaultMaxLen = 8 << 10

// Profile says which differences between URLs are none. The zero value, and nil, drop the
// fragment, which no server sees, and userinfo, which shows one host before the eyes and
// leads to another, and leave the rest as the standard has it.
type Profile struct {
	KeepFragment bool
	KeepUserinfo bool
	UpgradeHTTPS bool // http becomes https, unless a port is given
	StripWWW     bool // "www." goes, unless too little would be left

	// SortQuery puts parameters in the order of their names, those of one name in the
	// order in which they are; empty ones go, and a query without any.
	SortQuery bool
	// DropParam, if not nil, reports whether a parameter means nothing, such as a session
	// or a campaign. The name is as it stands, percent-encoded, and good during the call.
	DropParam func(name string) bool

	MaxLen int // in bytes; longer ones are ErrTooLong; 0 or less: DefaultMaxLen
}

var zeroProfile Profile

// Canonical appends the canonical form of ref, a link in a document at base, to dst. A nil
// base is for absolute references. Errors are ErrScheme for what is neither http nor
// https, ErrTooLong, and those of Parse; dst comes back as it was.
//
// It is idempotent: the canonical form of a canonical form, by the same profile, is
// itself, if DropParam answers for a name alone. It does not allocate if dst has room and
// the host is in ASCII.
func Canonical(dst []byte, base *URL, ref []byte, p *Profile) ([]byte, error) {
	if p == nil {
		p = &zeroProfile
	}
	most := p.MaxLen
	if most <= 0 {
		most = DefaultMaxLen
	}
	in := view(ref)
	// Nothing shrinks so much that it would be worth to parse megabytes for it.
	if len(in) > 4*most+64 {
		return dst, ErrTooLong
	}
	start := len(dst)
	if u, ok := scan(in); ok {
		if u.fragment >= 0 && !p.KeepFragment {
			in = in[:u.fragment]
			u.fragment = -1
		}
		dst = p.appendURL(dst, in, &u)
	} else {
		out, u, err := appendParsed(dst, base, in)
		if err != nil {
			return dst[:start], err
		}
		if s := string(out[start : start+int(u.scheme)]); s != "http" && s != "https" {
			return out[:start], ErrScheme
		}
		if u.fragment >= 0 && !p.KeepFragment {
			out = out[:start+int(u.fragment)]
			u.fragment = -1
		}
		if p.plain() && (p.KeepUserinfo || u.userEnd == u.hostStart) {
			dst = out
		} else {
			// The parts are written again behind the parsed form, and then moved over it.
			end := len(out)
			out = p.appendURL(out, view(out[start:end:end]), &u)
			dst = append(out[:start], out[end:]...)
		}
	}
	if len(dst)-start > most {
		return dst[:start], ErrTooLong
	}
	return dst, nil
}

// view is b as a string, without a copy. It is good while b is not written.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// plain reports whether nothing of what a parser has written is to be changed, but for
// userinfo and fragment.
func (p *Profile) plain() bool {
	return !p.UpgradeHTTPS && !p.StripWWW && !p.SortQuery && p.DropParam == nil
}

// appendURL appends the http or https URL s by the profile. s may lie in dst's array
// before its end: if dst has to grow, the old array stays as it is.
func (p *Profile) appendURL(dst []byte, s string, u *parts) []byte {
	if p.plain() && (p.KeepUserinfo || u.userEnd == u.hostStart) {
		return append(dst, s...)
	}
	dst = append(dst, s[:u.scheme]...)
	if p.UpgradeHTTPS && u.scheme == 4 && u.portEnd == u.hostEnd {
		dst = append(dst, 's')
	}
	dst = append(dst, "://"...)
	if p.KeepUserinfo {
		dst = append(dst, s[u.scheme+3:u.hostStart]...)
	}
	host := s[u.hostStart:u.hostEnd]
	for p.StripWWW && !u.ip && strings.HasPrefix(host, "www.") && len(host)-4 >= len(site(host)) {
		host = host[4:]
	}
	dst = append(dst, host...)
	end := u.pathEndIn(len(s))
	dst = append(dst, s[u.hostEnd:end]...)
	if u.query >= 0 {
		query := s[u.query+1:]
		if u.fragment >= 0 {
			query = s[u.query+1 : u.fragment]
		}
		dst = p.appendQuery(dst, query)
	}
	if u.fragment >= 0 {
		dst = append(dst, s[u.fragment:]...)
	}
	return dst
}

// appendQuery appends a query with its question mark.
func (p *Profile) appendQuery(dst []byte, query string) []byte {
	if !p.SortQuery && p.DropParam == nil {
		return append(append(dst, '?'), query...)
	}
	var stack [32]string
	params := stack[:0]
	for param := range strings.SplitSeq(query, "&") {
		if param == "" || p.DropParam != nil && p.DropParam(nameOf(param)) {
			continue
		}
		params = append(params, param)
	}
	if p.SortQuery {
		slices.SortStableFunc(params, func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
	}
	mark := byte('?')
	for _, param := range params {
		dst = append(append(dst, mark), param...)
		mark = '&'
	}
	return dst
}

func nameOf(param string) string {
	if i := strings.IndexByte(param, '='); i >= 0 {
		return param[:i]
	}
	return param
}
