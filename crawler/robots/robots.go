package robots

import (
	"io"
	"iter"
	"slices"
	"strings"
	"time"
)

// Mode chooses between the standard and what Google's parser makes of a file.
type Mode uint8

const (
	RFC9309 Mode = iota // the standard
	Google              // as Google's published parser decides
)

// String returns the mode's name.
func (m Mode) String() string {
	if m == Google {
		return "Google"
	}
	return "RFC9309"
}

// DefaultMaxBytes is how much of a file is read if Options does not say: 500 KiB, the
// least that the RFC permits as a limit.
const DefaultMaxBytes = 500 << 10

// MaxRedirects is how many redirects in a row a crawler should follow to find a
// robots.txt; with one more the file counts as absent.
const MaxRedirects = 5

// Options say how to read a file. The zero value reads 500 KiB by RFC 9309.
type Options struct {
	Mode     Mode
	MaxBytes int // what lies beyond is not read; 0 or less: DefaultMaxBytes
}

func (o Options) maxBytes() int {
	if o.MaxBytes <= 0 {
		return DefaultMaxBytes
	}
	return o.MaxBytes
}

// Policy says what became of a request for robots.txt.
type Policy uint8

const (
	Obey        Policy = iota // it was read; its rules count
	AllowAll                  // there is none: everything may be fetched
	DisallowAll               // it could not be had: nothing may be fetched until it can
	Follow                    // it is elsewhere: follow the redirect and ask again
)

// String returns the policy's name.
func (p Policy) String() string {
	switch p {
	case Obey:
		return "obey"
	case AllowAll:
		return "allow all"
	case DisallowAll:
		return "disallow all"
	case Follow:
		return "follow"
	}
	return "unknown"
}

// File is a parsed robots.txt, for all agents.
type File struct {
	mode     Mode
	closed   bool // nothing is allowed, whoever asks
	groups   []group
	sitemaps []string
}

// group is a run of user-agent lines and the rules below it.
type group struct {
	agents []agent
	rules  []Rule
}

// agent is one user-agent line of a group.
type agent struct {
	token    string // "*" for all
	delay    time.Duration
	hasDelay bool
}

// Rule is one allow or disallow line.
type Rule struct {
	Allow   bool
	Pattern string // as it stands in the file
	Line    int    // from 1
}

// Parse reads body. It never fails: lines that say nothing are skipped, and a body that
// says nothing allows everything. It keeps no reference to body.
func Parse(body []byte, o Options) *File {
	cut := false
	if n := o.maxBytes(); len(body) > n {
		body, cut = body[:n], true
	}
	p := parser{file: &File{mode: o.Mode}}
	p.parse(text(body, o.Mode), cut)
	return p.file
}

// FromStatus makes a File of the answer to a request for robots.txt. Status is that of the
// response, 0 if there was none (no address, no connection, a timeout); redirects is how
// many were followed to get here. The file is never nil and already does what the policy
// says; with Follow it allows nothing, in case the redirect leads nowhere.
//
// The body is read, but not closed, for a 2xx only. An error in it means DisallowAll, as
// half a file is no permission. The answer 304 to a conditional request is no redirect and
// not for this function: it means to keep the File that one has.
func FromStatus(status, redirects int, body io.Reader, o Options) (*File, Policy) {
	closed := &File{mode: o.Mode, closed: true}
	switch {
	case redirects > MaxRedirects:
		return &File{mode: o.Mode}, AllowAll
	case status >= 200 && status < 300:
		var b []byte
		if body != nil {
			var err error
			// One byte more than is used tells a full file from one that was cut.
			if b, err = io.ReadAll(io.LimitReader(body, int64(o.maxBytes())+1)); err != nil {
				return closed, DisallowAll
			}
		}
		return Parse(b, o), Obey
	case status == 301 || status == 302 || status == 303 || status == 307 || status == 308:
		if redirects == MaxRedirects {
			return &File{mode: o.Mode}, AllowAll
		}
		return closed, Follow
	case status == 429:
		// The RFC would permit to go on. A server that asks for fewer requests does not.
		return closed, DisallowAll
	case status >= 400 && status < 500:
		return &File{mode: o.Mode}, AllowAll
	}
	return closed, DisallowAll
}

// Sitemaps returns the addresses in the file's sitemap lines, as they stand there: they
// ought to be absolute, and may be on another host. They belong to no group.
func (f *File) Sitemaps() iter.Seq[string] { return slices.Values(f.sitemaps) }

// Agent returns the rules for a crawler with the given product token, such as
// "examplebot": those of all groups that name it, in any case of letters; if none does,
// those for "*"; else none. A version behind a slash is ignored. The result should be kept,
// as making it costs a sort; it does not hold on to f.
func (f *File) Agent(product string) *Rules {
	if f.closed {
		return &Rules{mode: f.mode, closed: true}
	}
	if f.mode == RFC9309 {
		product = productToken(product)
	}
	b := builder{mode: f.mode}
	found := product != "" && product != "*" && b.collect(f.groups, product)
	if !found {
		b.collect(f.groups, "*")
	}
	return b.build()
}

// collect adds the rules of all groups that name the agent and reports if any does.
func (b *builder) collect(groups []group, token string) (found bool) {
	for _, g := range groups {
		named := false
		for _, a := range g.agents {
			if !strings.EqualFold(a.token, token) {
				continue
			}
			named = true
			if a.hasDelay && (!b.hasDelay || a.delay > b.delay) {
				b.delay, b.hasDelay = a.delay, true
			}
		}
		if named {
			found = true
			b.rules = append(b.rules, g.rules...)
		}
	}
	return found
}
