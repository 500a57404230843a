package extract

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/crawler/urlx"
)

var (
	// ErrBinary is for content that is no text, whatever its header says.
	ErrBinary = errors.New("extract: not text")
	// ErrToken is for a tag, comment, script or run of text beyond MaxToken. What is behind
	// it is not read.
	ErrToken = errors.New("extract: token too long")
)

// Defaults of Options.
const (
	DefaultMaxBytes = 16 << 20
	DefaultMaxToken = 1 << 20
	DefaultMaxLinks = 10_000
)

const (
	maxTitle      = 1 << 10 // bytes of a title; what is longer is cut
	maxAlternates = 256
)

// Options say what to look for and how far. The zero value finds links to pages.
type Options struct {
	ContentType string        // the header of that name, for its charset
	Product     string        // of a crawler: meta tags with this name are for it, as are those named robots
	Profile     *urlx.Profile // for the canonical form of links
	Resources   bool          // images, scripts, styles and media as well
	Text        io.Writer     // gets the visible text: words, with a space between two; errors are ignored

	MaxBytes int64 // after decoding; 0 or less: DefaultMaxBytes
	MaxToken int   // 0 or less: DefaultMaxToken
	MaxLinks int   // 0 or less: DefaultMaxLinks
}

// Page is what was found.
type Page struct {
	Title      string // of the first title element, spaces collapsed
	Lang       string // of the html element
	Charset    string // that the page was read in, by its name in the standard
	Base       *urlx.URL
	Canonical  string // absolute, canonical; "" if none is given, or a bad one
	Robots     Robots
	Links      []Link      // in order of appearance, each address once
	Alternates []Alternate // the page in other languages
	Words      int         // of visible text
	TextHash   uint64      // xxHash64 of the words with a space between two: equal texts, equal hashes
	BadLinks   int         // addresses that are none, or not for crawlers, such as mailto:
	Truncated  bool        // there was more than a bound allows
}

// Kind is what a link is for.
type Kind uint8

const (
	Anchor   Kind = iota // a, area: to be clicked
	Frame                // frame, iframe: part of this page
	Form                 // a form that asks with GET
	Refresh              // where the page goes by itself
	Related              // link rel=next, prev and the like
	Feed                 // RSS and Atom
	Resource             // images, scripts, styles, media
)

var kindNames = [...]string{"anchor", "frame", "form", "refresh", "related", "feed", "resource"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Link is a reference to elsewhere.
type Link struct {
	URL      string
	Kind     Kind          // of the first, if there are several with the address
	NoFollow bool          // rel=nofollow, ugc or sponsored, on all with the address
	Hidden   bool          // not to be seen, by its own attributes, all of them: a trap, perhaps
	After    time.Duration // for Refresh
}

// Alternate is the page in another language or for another region.
type Alternate struct{ Lang, URL string }

// Robots are orders to crawlers, of a page or a header.
type Robots struct {
	NoIndex, NoFollow, NoArchive, NoSnippet bool
}

// Add takes the orders in the content of a meta tag: those that were there stay.
func (r *Robots) Add(content string) {
	for order := range strings.SplitSeq(content, ",") {
		switch strings.ToLower(strings.TrimSpace(order)) {
		case "noindex":
			r.NoIndex = true
		case "nofollow":
			r.NoFollow = true
		case "noarchive", "nocache":
			r.NoArchive = true
		case "nosnippet":
			r.NoSnippet = true
		case "none":
			r.NoIndex, r.NoFollow = true, true
		}
	}
}

// AddHeader takes the orders in an X-Robots-Tag header, which may be for one crawler only:
// "noindex", or "examplebot: noindex, nofollow".
func (r *Robots) AddHeader(value, product string) {
	if name, orders, ok := strings.Cut(value, ":"); ok {
		switch name = strings.TrimSpace(name); {
		case strings.EqualFold(name, product), name == "*":
			value = orders
		case !strings.ContainsAny(name, ", ") && !strings.EqualFold(name, "unavailable_after"):
			return // for another
		}
	}
	r.Add(value)
}
