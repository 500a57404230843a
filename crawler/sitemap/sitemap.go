package sitemap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrKind is for content that is none of the formats, such as a page of HTML.
	ErrKind = errors.New("sitemap: not a sitemap")
	// ErrSyntax is for content that ends too early or is otherwise broken beyond repair.
	ErrSyntax = errors.New("sitemap: broken file")
	// ErrTooLarge is for a file with more bytes, after decompression, than allowed.
	ErrTooLarge = errors.New("sitemap: file too large")
	// ErrTooMany is for a file with more entries than allowed, or an index of more files.
	ErrTooMany = errors.New("sitemap: too many entries")
	// ErrRatio is for a gzip stream that grows more than allowed.
	ErrRatio = errors.New("sitemap: compressed beyond belief")
)

// Defaults of Options; the first two are the limits of the protocol.
const (
	DefaultMaxEntries = 50_000
	DefaultMaxBytes   = 50 << 20
	DefaultMaxLoc     = 8 << 10
	DefaultMaxRatio   = 200
	DefaultMaxFiles   = 1000
	DefaultMaxDepth   = 3
)

// Options bound what is read. The zero value has the defaults; zero or less in a field
// means its default.
type Options struct {
	MaxEntries int   // entries of one file
	MaxBytes   int64 // bytes of one file, after decompression
	MaxLoc     int   // bytes of an address; entries with a longer one are left out
	MaxRatio   int   // bytes after decompression for one before, beyond the first MiB
	MaxFiles   int   // files that Walk fetches
	MaxDepth   int   // indexes within indexes that Walk follows
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.MaxEntries, DefaultMaxEntries)
	def(&o.MaxLoc, DefaultMaxLoc)
	def(&o.MaxRatio, DefaultMaxRatio)
	def(&o.MaxFiles, DefaultMaxFiles)
	def(&o.MaxDepth, DefaultMaxDepth)
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return o
}

// Entry is a page, or in an index another sitemap.
type Entry struct {
	Loc        string
	Sitemap    bool        // Loc is a sitemap
	LastMod    time.Time   // zero if not told, or not readable
	ChangeFreq string      // always, hourly, daily, weekly, monthly, yearly, never, or ""
	Priority   float64     // 0 to 1; 0.5 if not told
	Alternates []Alternate // the page in other languages, 256 at most
}

// Alternate is a page in another language.
type Alternate struct{ Lang, Loc string }

const maxAlternates = 256

// Parse reads a file. The sequence ends after the first error; entries before it are good.
// Reading errors come as they are. Breaking off reads no further.
func Parse(r io.Reader, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		p := parser{o: o.withDefaults(), yield: yield}
		if err := p.parse(r); err != nil && !errors.Is(err, errStop) {
			yield(Entry{}, err)
		}
	}
}

// errStop ends the parsing when the caller breaks off, or the root element is closed.
var errStop = errors.New("stop")

type parser struct {
	o     Options
	yield func(Entry, error) bool
	n     int
	s     scanner

	item    string // the element that is an entry, once the root is known
	inItem  bool
	skip    string // within this element nothing counts
	skipped int    // how many of them are open
	e       Entry
}

func (p *parser) parse(r io.Reader) error {
	in, err := open(r, p.o)
	if err != nil {
		return err
	}
	for { // white space before an XML declaration is wrong, and common
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return ErrKind
		} else if err != nil {
			return err
		}
		if !isSpace(c) {
			in.UnreadByte()
			if c == '<' {
				break
			}
			return p.lines(in)
		}
	}
	p.s.r = in
	p.s.most = p.o.MaxLoc + 64
	for {
		tag, err := p.s.next()
		switch {
		case errors.Is(err, io.EOF) && p.item == "":
			return ErrKind
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: it ends within %s", ErrSyntax, p.item)
		case err != nil:
			return err
		}
		if tag.end {
			err = p.end(tag.name)
		} else if err = p.start(tag); err == nil && tag.empty {
			err = p.end(tag.name)
		}
		if err != nil {
			return err
		}
	}
}

// lines reads a list with one address a line.
func (p *parser) lines(in *bufio.Reader) error {
	var line []byte
	long, some := false, false
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) <= p.o.MaxLoc+2 {
			line = append(line, part...)
		} else {
			long = true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if s := string(bytes.TrimSpace(line)); !long && isWeb(s) {
			some = true
			p.e = Entry{Loc: s, Priority: 0.5}
			if err := p.emit(); err != nil {
				return err
			}
		}
		line, long = line[:0], false
		switch {
		case errors.Is(err, io.EOF) && some:
			return nil
		case errors.Is(err, io.EOF):
			return ErrKind
		case err != nil:
			return err
		}
	}
}

// isWeb reports whether s begins as a web address does.
func isWeb(s string) bool {
	i := strings.Index(s, "://")
	return i >= 0 && (strings.EqualFold(s[:i], "http") || strings.EqualFold(s[:i], "https"))
}

// roots are the outermost elements, each with the element that is an entry.
var roots = map[string]string{"urlset": "url", "sitemapindex": "sitemap", "rss": "item", "rdf": "item", "feed": "entry"}

func (p *parser) start(t tag) error {
	switch {
	case p.item == "":
		if p.item = roots[t.name]; p.item == "" {
			return ErrKind
		}
	case p.skip != "":
		if t.name == p.skip {
			p.skipped++
		}
	case t.name == p.item:
		err := p.emit() // the one before, if it was not closed
		p.inItem = true
		p.e = Entry{Priority: 0.5, Sitemap: p.item == "sitemap"}
		return err
	case !p.inItem:
	case t.name == "link":
		p.link(t)
	default:
		switch t.name {
		case "image", "video", "news", "source", "author", "contributor", "content", "summary", "description":
			p.skip, p.skipped = t.name, 1 // they have links and dates of their own
		}
	}
	return nil
}

// link reads the attributes of an Atom link, or of one to another language.
func (p *parser) link(t tag) {
	href := t.attr("href")
	if href == "" || len(href) > p.o.MaxLoc {
		return
	}
	rel, lang := t.attr("rel"), t.attr("hreflang")
	switch {
	case p.item == "url":
		if strings.EqualFold(rel, "alternate") && lang != "" && len(p.e.Alternates) < maxAlternates {
			p.e.Alternates = append(p.e.Alternates, Alternate{lang, href})
		}
	case p.e.Loc == "" && (rel == "" || strings.EqualFold(rel, "alternate")):
		p.e.Loc = href
	}
}

func (p *parser) end(name string) error {
	switch {
	case p.skip != "":
		if name == p.skip {
			if p.skipped--; p.skipped == 0 {
				p.skip = ""
			}
		}
		return nil
	case p.item != "" && roots[name] == p.item: // what follows is not the file's
		if err := p.emit(); err != nil {
			return err
		}
		return errStop
	case !p.inItem:
		return nil
	}
	text, ok := p.s.value()
	switch name {
	case p.item:
		if p.e.Loc == "" && ok && isWeb(text) && len(text) <= p.o.MaxLoc {
			p.e.Loc = text // the address without an element of its own
		}
		return p.emit()
	case "loc", "link":
		if ok && text != "" && len(text) <= p.o.MaxLoc {
			p.e.Loc = text
		}
	case "lastmod", "updated", "modified", "pubdate", "date":
		if t, ok := parseTime(text); ok {
			p.e.LastMod = t
		}
	case "published":
		if t, ok := parseTime(text); ok && p.e.LastMod.IsZero() {
			p.e.LastMod = t
		}
	case "changefreq":
		switch f := strings.ToLower(text); f {
		case "always", "hourly", "daily", "weekly", "monthly", "yearly", "never":
			p.e.ChangeFreq = f
		}
	case "priority":
		if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f <= 1 {
			p.e.Priority = f
		}
	}
	return nil
}

// emit hands the entry over, if it is one.
func (p *parser) emit() error {
	e := p.e
	p.e, p.inItem = Entry{}, false
	if e.Loc == "" {
		return nil
	}
	if p.n == p.o.MaxEntries {
		return ErrTooMany
	}
	p.n++
	if !p.yield(e, nil) {
		return errStop
	}
	return nil
}

// layouts of dates: those of the protocol, then those of feeds.
var layouts = []string{
	time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04:05Z0700", "2006-01", "2006",
	time.RFC1123Z, time.RFC1123, "Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST", "2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04:05 MST",
}

func parseTime(s string) (time.Time, bool) {
	if len(s) < 4 || len(s) > 64 {
		return time.Time{}, false
	}
	if len(s) == len(time.DateOnly) { // the most common; a failure to parse allocates
		t, err := time.Parse(time.DateOnly, s)
		return t, err == nil
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
