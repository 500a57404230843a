package urlx

// The parser. The standard describes a machine with a state for each place in a URL and a
// step for each character. Read part by part it is this:
//
//	scheme?  ──no──▶ relative to the base: authority after "//", path after "/", path below
//	   │             the base's folder, its query, or its fragment
//	   ├─ file ─────▶ host?, drive letter?, path
//	   ├─ special ──▶ any number of slashes, authority, path
//	   ├─ "/" ──────▶ authority after "//", path
//	   └─ else ─────▶ opaque path
//	                                    then query and fragment
//
// The normal form is written as it is found, so every part is copied once. Special are
// http, https, ws, wss, ftp and file: to them a backslash is a slash, and a host is a
// domain or an address.

import "strings"

type parser struct {
	base    *URL
	buf     []byte
	at      int // where the URL begins in buf
	special bool
	file    bool
	own     string // the scheme's own port
	parts
}

// appendParsed appends the normal form of in, relative to base, to dst.
func appendParsed(dst []byte, base *URL, in string) ([]byte, parts, error) {
	if len(in) > maxInput {
		return dst, parts{}, ErrTooLong
	}
	q := parser{base: base, buf: dst, at: len(dst)}
	q.query, q.fragment = -1, -1
	rest, err := q.beforeQuery(cleaned(in))
	if err != nil {
		return dst, parts{}, err
	}
	q.tail(rest)
	return q.buf, q.parts, nil
}

// pos is the offset of what is written next.
func (q *parser) pos() int32 { return int32(len(q.buf) - q.at) }

// beforeQuery writes all up to the path, and what of the base's query stays, and returns
// what is left: nothing, or a query or fragment.
func (q *parser) beforeQuery(s string) (rest string, err error) {
	n := schemeLen(s)
	if n == 0 {
		return q.relative(s)
	}
	for i := range n {
		q.buf = append(q.buf, toLower(s[i]))
	}
	q.setScheme()
	s = s[n+1:]
	switch {
	case q.file:
		if q.base != nil && q.base.Scheme() != "file" {
			q.base = nil
		}
		return q.fileURL(s)
	case q.special && q.base != nil && q.base.Scheme() == string(q.buf[q.at:q.at+n]) && !strings.HasPrefix(s, "//"):
		return q.below(s)
	case q.special:
		return q.authority(strings.TrimLeft(s, `/\`))
	case strings.HasPrefix(s, "//"):
		return q.authority(s[2:])
	case strings.HasPrefix(s, "/"):
		q.noAuthority()
		return q.steps(s[1:]), nil
	}
	q.noAuthority()
	q.opaque = true
	i := endOf(s)
	q.buf = appendEncoded(q.buf, s[:i], inControl)
	return s[i:], nil
}

// schemeLen returns the length of the scheme that s begins with, 0 if it has none.
func schemeLen(s string) int {
	if s == "" || !isAlpha(s[0]) {
		return 0
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			return i
		case !isAlpha(c) && !isDigit(c) && c != '+' && c != '-' && c != '.':
			return 0
		}
	}
	return 0
}

// setScheme takes what is written as the scheme and adds the colon.
func (q *parser) setScheme() {
	scheme := string(q.buf[q.at:])
	q.scheme = int32(len(scheme))
	q.own, q.special = defaultPort(scheme)
	q.file = scheme == "file"
	q.buf = append(q.buf, ':')
}

// relative parses a reference without scheme.
func (q *parser) relative(s string) (string, error) {
	b := q.base
	if b == nil || b.opaque && !strings.HasPrefix(s, "#") {
		return "", ErrRelative
	}
	q.buf = append(q.buf, b.Scheme()...)
	q.setScheme()
	switch {
	case b.opaque:
		q.copyAll()
		return s, nil
	case q.file:
		return q.fileURL(s)
	}
	return q.below(s)
}

// below parses what comes after the scheme of the base, which is not file.
func (q *parser) below(s string) (string, error) {
	if !q.slash(s) {
		return q.beside(s)
	}
	switch {
	case q.special && q.slash(s[1:]):
		return q.authority(strings.TrimLeft(s, `/\`))
	case strings.HasPrefix(s, "//"):
		return q.authority(s[2:])
	}
	q.copyAuthority()
	return q.steps(s[1:]), nil
}

// beside parses a reference that shares the path of the base, or its folder.
func (q *parser) beside(s string) (string, error) {
	if s == "" || s[0] == '#' {
		q.copyAll()
		return s, nil
	}
	q.copyAuthority()
	q.buf = append(q.buf, q.base.Path()...)
	if s[0] == '?' {
		q.dotSlash()
		return s, nil
	}
	if q.file && startsWithDrive(s) {
		q.buf = q.buf[:q.at+int(q.path)]
	} else {
		q.up()
	}
	return q.steps(s), nil
}

// slash reports whether s begins with what this scheme takes for a slash.
func (q *parser) slash(s string) bool {
	return s != "" && (s[0] == '/' || q.special && s[0] == '\\')
}

// noAuthority begins the path of a URL without host.
func (q *parser) noAuthority() {
	q.userEnd, q.passEnd, q.hostStart, q.hostEnd, q.portEnd, q.path = q.pos(), q.pos(), q.pos(), q.pos(), q.pos(), q.pos()
}

// copyAuthority writes the authority of the base, whose scheme is written already.
func (q *parser) copyAuthority() {
	b := q.base
	q.parts = b.parts
	q.query, q.fragment = -1, -1
	q.buf = append(q.buf, b.href[b.scheme+1:b.portEnd]...)
	q.path = q.pos()
}

// copyAll writes the base without its fragment.
func (q *parser) copyAll() {
	q.parts = q.base.parts
	q.fragment = -1
	end := len(q.base.href)
	if q.base.fragment >= 0 {
		end = int(q.base.fragment)
	}
	q.buf = append(q.buf, q.base.href[q.scheme+1:end]...)
}

// fileURL parses what comes after "file:".
func (q *parser) fileURL(s string) (string, error) {
	switch {
	case !q.slash(s):
		if q.base != nil {
			return q.beside(s)
		}
		q.emptyHost()
		return q.steps(s), nil
	case !q.slash(s[1:]):
		if q.base == nil {
			q.emptyHost()
		} else {
			q.copyAuthority()
			if p := q.base.Path(); !startsWithDrive(s[1:]) && len(p) >= 3 && isDrive(p[1:3], false) && (len(p) == 3 || p[3] == '/') {
				q.buf = append(q.buf, p[:3]...)
			}
		}
		return q.steps(s[1:]), nil
	}
	s = s[2:]
	i := 0
	for i < len(s) && !strings.ContainsRune(`/\?#`, rune(s[i])) {
		i++
	}
	if i == 2 && isDrive(s[:2], true) {
		q.emptyHost()
		return q.steps(s), nil
	}
	q.emptyHost()
	if i > 0 {
		ip, err := q.appendHost(s[:i])
		if err != nil {
			return "", err
		}
		if string(q.buf[q.at+int(q.hostStart):]) == "localhost" {
			q.buf = q.buf[:q.at+int(q.hostStart)]
		}
		q.hostEnd, q.portEnd, q.path, q.ip = q.pos(), q.pos(), q.pos(), ip
	}
	return q.firstSteps(s[i:]), nil
}

func (q *parser) emptyHost() {
	q.buf = append(q.buf, '/', '/')
	q.noAuthority()
	q.hasHost = true
}

// authority parses userinfo, host, port and path.
func (q *parser) authority(s string) (string, error) {
	end := 0
	for end < len(s) && s[end] != '/' && s[end] != '?' && s[end] != '#' && (!q.special || s[end] != '\\') {
		end++
	}
	auth, rest := s[:end], s[end:]
	q.buf = append(q.buf, '/', '/')
	q.hasHost = true
	q.userEnd, q.passEnd, q.hostStart = q.pos(), q.pos(), q.pos()
	if i := strings.LastIndexByte(auth, '@'); i >= 0 {
		q.userinfo(auth[:i])
		if auth = auth[i+1:]; auth == "" {
			return "", ErrHost
		}
	}
	host, port, hasPort := cutPort(auth)
	if host == "" && (q.special || hasPort) {
		return "", ErrHost
	}
	if host != "" {
		ip, err := q.appendHost(host)
		if err != nil {
			return "", err
		}
		q.ip = ip
	}
	q.hostEnd = q.pos()
	if err := q.port(port); err != nil {
		return "", err
	}
	q.portEnd, q.path = q.pos(), q.pos()
	return q.firstSteps(rest), nil
}

// userinfo writes name and password, if either is not empty.
func (q *parser) userinfo(s string) {
	user, pass, _ := strings.Cut(s, ":")
	if user == "" && pass == "" {
		return
	}
	q.buf = appendEncoded(q.buf, user, inUserinfo)
	q.userEnd, q.passEnd = q.pos(), q.pos()
	if pass != "" {
		q.buf = append(q.buf, ':')
		q.buf = appendEncoded(q.buf, pass, inUserinfo)
		q.passEnd = q.pos()
	}
	q.buf = append(q.buf, '@')
	q.hostStart = q.pos()
}

// cutPort cuts an authority at the first colon outside of brackets.
func cutPort(s string) (host, port string, ok bool) {
	inside := false
	for i := range len(s) {
		switch s[i] {
		case '[':
			inside = true
		case ']':
			inside = false
		case ':':
			if !inside {
				return s[:i], s[i+1:], true
			}
		}
	}
	return s, "", false
}

// port writes a port that is not the scheme's own.
func (q *parser) port(s string) error {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) {
			return ErrPort
		}
		if n = n*10 + int(s[i]-'0'); n > 65535 {
			return ErrPort
		}
	}
	if s == "" {
		return nil
	}
	s = strings.TrimLeft(s[:len(s)-1], "0") + s[len(s)-1:]
	if s != q.own {
		q.buf = append(append(q.buf, ':'), s...)
	}
	return nil
}

// firstSteps parses the path behind an authority.
func (q *parser) firstSteps(s string) string {
	if !q.special && (s == "" || s[0] != '/') {
		return s
	}
	if q.slash(s) {
		s = s[1:]
	}
	return q.steps(s)
}

// steps parses a path from behind its first slash, and writes it below what is there.
func (q *parser) steps(s string) (rest string) {
	for {
		i := 0
		for i < len(s) && s[i] != '/' && s[i] != '?' && s[i] != '#' && (!q.special || s[i] != '\\') {
			i++
		}
		more := q.slash(s[i:])
		switch dots(s[:i]) {
		case 2:
			q.up()
			if !more {
				q.buf = append(q.buf, '/')
			}
		case 1:
			if !more {
				q.buf = append(q.buf, '/')
			}
		default:
			q.buf = append(q.buf, '/')
			if q.file && q.pos() == q.path+1 && isDrive(s[:i], true) {
				q.buf = append(q.buf, s[0], ':')
			} else {
				q.buf = appendEncoded(q.buf, s[:i], inPath)
			}
		}
		if !more {
			q.dotSlash()
			return s[i:]
		}
		s = s[i+1:]
	}
}

// up removes the last segment. A drive letter stays.
func (q *parser) up() {
	p := q.buf[q.at+int(q.path):]
	if q.file && len(p) == 3 && isDrive(string(p[1:]), false) {
		return
	}
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			q.buf = q.buf[:len(q.buf)-len(p)+i]
			return
		}
	}
}

// dotSlash puts "/." before a path that would be taken for a host.
func (q *parser) dotSlash() {
	at := q.at + int(q.path)
	if p := q.buf[at:]; q.hasHost || len(p) < 2 || p[0] != '/' || p[1] != '/' {
		return
	}
	q.buf = append(q.buf, 0, 0)
	copy(q.buf[at+2:], q.buf[at:])
	q.buf[at], q.buf[at+1] = '/', '.'
	q.path += 2
}

// tail writes query and fragment.
func (q *parser) tail(s string) {
	if s != "" && s[0] == '?' {
		q.query = q.pos()
		set := uint8(inQuery)
		if q.special {
			set = inSpecialQuery
		}
		i := strings.IndexByte(s, '#')
		if i < 0 {
			i = len(s)
		}
		q.buf = append(q.buf, '?')
		q.buf = appendEncoded(q.buf, s[1:i], set)
		s = s[i:]
	}
	if s != "" {
		q.fragment = q.pos()
		q.buf = append(q.buf, '#')
		q.buf = appendEncoded(q.buf, s[1:], inFragment)
	}
}

// endOf returns where a path ends.
func endOf(s string) int {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return i
	}
	return len(s)
}

// dots returns 1 for a segment that stays where it is, 2 for one that leads up, else 0. A
// dot may be percent-encoded.
func dots(s string) int {
	n := 0
	for s != "" {
		switch {
		case s[0] == '.':
			s = s[1:]
		case len(s) >= 3 && s[0] == '%' && s[1] == '2' && s[2]|0x20 == 'e':
			s = s[3:]
		default:
			return 0
		}
		if n++; n > 2 {
			return 0
		}
	}
	return n
}

// isDrive reports whether s is a drive letter and a colon, or a bar if that is allowed.
func isDrive(s string, bar bool) bool {
	return len(s) == 2 && isAlpha(s[0]) && (s[1] == ':' || bar && s[1] == '|')
}

// startsWithDrive reports whether s begins with a drive letter that is a whole segment.
func startsWithDrive(s string) bool {
	return len(s) >= 2 && isDrive(s[:2], true) && (len(s) == 2 || strings.IndexByte(`/\?#`, s[2]) >= 0)
}
