package robots

// Reading a file.
//
//	User-agent: a      ┐ agents        a group: its rules are for a and b
//	User-agent: b      ┘ ┐
//	Disallow: /x         │ rules
//	Sitemap: https://…   │ other lines neither end a group nor begin one
//	Allow: /x/y          ┘
//	User-agent: c      ─── the first user-agent line after a rule begins the next group
//
// Rules before the first user-agent line belong to nobody. Groups that name the same agent
// are put together when that agent asks (File.Agent).

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// googleLine is the length beyond which Google's parser ignores the rest of a line.
const googleLine = 2083*8 - 1

// maxDelay is the longest crawl-delay that is told; what a site asks for beyond it is the
// same to any crawler.
const maxDelay = 10 * 365 * 24 * time.Hour

type field uint8

const (
	unknown field = iota
	userAgent
	allow
	disallow
	sitemap
	crawlDelay
)

// names of fields, with the spellings that are too common to be punished. Google's parser
// takes any key that begins with one of them.
var names = []struct {
	name string
	is   field
}{
	{"user-agent", userAgent},
	{"useragent", userAgent},
	{"user agent", userAgent},
	{"allow", allow},
	{"disallow", disallow},
	{"dissallow", disallow},
	{"dissalow", disallow},
	{"disalow", disallow},
	{"diasllow", disallow},
	{"disallaw", disallow},
	{"sitemap", sitemap},
	{"site-map", sitemap},
	{"crawl-delay", crawlDelay},
	{"crawldelay", crawlDelay},
	{"crawl delay", crawlDelay},
}

func fieldOf(key string, m Mode) field {
	if key == "" {
		return unknown
	}
	for _, n := range names {
		if key[0]|0x20 != n.name[0] || len(key) < len(n.name) || (m == RFC9309 && len(key) > len(n.name)) {
			continue
		}
		if strings.EqualFold(key[:len(n.name)], n.name) {
			return n.is
		}
	}
	return unknown
}

// text returns body as UTF-8 without byte order mark. A mark that lacks its end is taken
// for one, as Google does. UTF-16 is no more allowed than it is rare; it is read because
// its author wants to be obeyed.
func text(body []byte, m Mode) string {
	if m == RFC9309 && len(body) >= 2 {
		switch {
		case body[0] == 0xFF && body[1] == 0xFE:
			return fromUTF16(body[2:], binary.LittleEndian)
		case body[0] == 0xFE && body[1] == 0xFF:
			return fromUTF16(body[2:], binary.BigEndian)
		}
	}
	for _, c := range []byte{0xEF, 0xBB, 0xBF} {
		if len(body) == 0 || body[0] != c {
			break
		}
		body = body[1:]
	}
	return string(body)
}

func fromUTF16(b []byte, order binary.ByteOrder) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}

type parser struct {
	file    *File
	inRules bool // the last line that counted was a rule: a user-agent line begins a group
	html    bool // lines may end in tags
}

// parse reads all lines, which end with CR, LF or both. If the text was cut, its last line
// is incomplete and not read.
func (p *parser) parse(s string, cut bool) {
	p.html = p.file.mode == RFC9309 && strings.HasPrefix(trim(s[:min(len(s), 64)]), "<")
	lf := -1 // the next LF, looked for once, as there may be half a million CRs before it
	for n, at := 1, 0; at < len(s); n++ {
		if lf < at {
			if lf = strings.IndexByte(s[at:], '\n'); lf >= 0 {
				lf += at
			} else {
				lf = len(s)
			}
		}
		end, next := lf, lf+1
		if cr := strings.IndexByte(s[at:lf], '\r'); cr >= 0 {
			end = at + cr
			if end+1 < lf || lf == len(s) {
				next = end + 1
			}
		}
		if end == len(s) && cut {
			return
		}
		p.line(s[at:end], n)
		at = next
	}
}

func (p *parser) line(s string, n int) {
	if p.file.mode == Google && len(s) > googleLine {
		s = s[:googleLine]
	}
	if p.html { // rules in a page, each with <br> behind it
		if i := strings.IndexByte(s, '<'); i >= 0 {
			s = s[:i]
		}
	}
	key, value, ok := split(s)
	if !ok {
		return
	}
	switch fieldOf(key, p.file.mode) {
	case userAgent:
		p.agent(value)
	case allow:
		p.rule(Rule{Allow: true, Pattern: value, Line: n})
	case disallow:
		p.rule(Rule{Pattern: value, Line: n})
	case sitemap:
		if value != "" {
			p.file.sitemaps = append(p.file.sitemaps, value)
		}
	case crawlDelay:
		p.delay(value)
	}
}

// split cuts a line into key and value. Where the colon is missing, two words are taken
// for a key and its value.
func split(s string) (key, value string, ok bool) {
	for _, end := range []byte{'#', 0} {
		if i := strings.IndexByte(s, end); i >= 0 {
			s = s[:i]
		}
	}
	s = trim(s)
	key, value, ok = strings.Cut(s, ":")
	if !ok {
		i := strings.IndexAny(s, " \t")
		if i < 0 {
			return "", "", false
		}
		key, value = s[:i], strings.TrimLeft(s[i:], " \t")
		if strings.ContainsAny(value, " \t") {
			return "", "", false
		}
	}
	key, value = trim(key), trim(value)
	return key, value, key != ""
}

func trim(s string) string { return strings.Trim(s, " \t\n\v\f\r") }

func (p *parser) agent(value string) {
	f := p.file
	if len(f.groups) == 0 || p.inRules {
		f.groups = append(f.groups, group{})
		p.inRules = false
	}
	g := &f.groups[len(f.groups)-1]
	switch {
	case value == "*" || (len(value) > 1 && value[0] == '*' && trim(value[1:2]) == ""):
		g.agents = append(g.agents, agent{token: "*"})
	case f.mode == Google:
		g.agents = append(g.agents, agent{token: identifier(value)})
	default: // several on a line are against the RFC, but all are meant
		for name := range strings.SplitSeq(value, ",") {
			g.agents = append(g.agents, agent{token: productToken(trim(name))})
		}
	}
}

func (p *parser) rule(r Rule) {
	f := p.file
	if len(f.groups) == 0 {
		return
	}
	p.inRules = true
	if r.Pattern == "" {
		return // "Disallow:" forbids nothing
	}
	g := &f.groups[len(f.groups)-1]
	g.rules = append(g.rules, r)
}

// delay gives a crawl-delay to the agents that the group has named so far. It is not in
// the RFC and so ends no list of agents, but whoever is named after it is not meant.
func (p *parser) delay(value string) {
	d, ok := parseDelay(value)
	if !ok || len(p.file.groups) == 0 {
		return
	}
	agents := p.file.groups[len(p.file.groups)-1].agents
	for i := range agents {
		if a := &agents[i]; !a.hasDelay || d > a.delay {
			a.delay, a.hasDelay = d, true
		}
	}
}

// parseDelay reads seconds, "1.5" or "10 seconds". A comma may stand for the point; what
// is no number, or negative, is no delay.
func parseDelay(s string) (time.Duration, bool) {
	end := 0
	for end < len(s) && strings.IndexByte("0123456789.,eE+-", s[end]) >= 0 {
		end++
	}
	number := strings.TrimRight(strings.ReplaceAll(s[:end], ",", "."), "eE+-")
	sec, err := strconv.ParseFloat(number, 64)
	if err != nil && sec == 0 { // an overflow is an error with a value, infinity
		return 0, false
	}
	if !(sec >= 0) {
		return 0, false
	}
	if sec > maxDelay.Seconds() {
		return maxDelay, true
	}
	return time.Duration(sec * float64(time.Second)), true
}

// identifier returns the letters, hyphens and underscores that s begins with: a product
// token in the RFC's strict sense.
func identifier(s string) string {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' {
			return s[:i]
		}
	}
	return s
}

// productToken returns s up to a version, a comment or a space. Digits are kept, against
// the letter of the RFC: "MJ12bot" is a name, and to cut it is to obey no one's rules.
func productToken(s string) string {
	if i := strings.IndexAny(s, "/ \t;,()"); i >= 0 {
		return s[:i]
	}
	return s
}

// PathQuery returns what of an absolute URL is matched against rules: its path and query,
// "/" if it has none. It does not check the URL and does not allocate but where it must
// put a slash before a query.
func PathQuery(url string) string {
	if i := strings.IndexByte(url, '#'); i >= 0 {
		url = url[:i]
	}
	if i := strings.Index(url, "//"); i >= 0 && !strings.ContainsAny(url[:i], "/?") {
		url = url[i+2:]
	}
	i := strings.IndexAny(url, "/?")
	switch {
	case i < 0:
		return "/"
	case url[i] == '?':
		return "/" + url[i:]
	}
	return url[i:]
}
