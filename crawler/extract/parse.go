package extract

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"

	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// Parse reads a page. Base is its address, against which links are resolved; with a nil
// base only absolute links are found. The page is never nil. Errors are ErrBinary,
// ErrToken, and those of r, and leave what was found before.
func Parse(r io.Reader, base *urlx.URL, o Options) (*Page, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxToken <= 0 {
		o.MaxToken = DefaultMaxToken
	}
	if o.MaxLinks <= 0 {
		o.MaxLinks = DefaultMaxLinks
	}
	p := &parser{o: o, page: &Page{Base: base}, at: map[string]int{}, text: newText(o.Text)}
	in, name, err := decoded(r, o.ContentType)
	p.page.Charset = name
	if err == nil {
		err = p.parse(&io.LimitedReader{R: in, N: o.MaxBytes + 1})
	}
	p.page.Words, p.page.TextHash = p.text.finish()
	p.page.Title = strings.ToValidUTF8(strings.Join(strings.Fields(string(p.title)), " "), "\uFFFD")
	return p.page, err
}

type parser struct {
	o     Options
	page  *Page
	z     *html.Tokenizer
	attrs attributes
	at    map[string]int // index in page.Links
	buf   []byte         // for canonical forms
	text  *text

	hasBase  bool
	inTitle  bool
	hasTitle bool
	title    []byte
	mute     string // within this element there is no visible text
	template int    // depth of templates
}

func (p *parser) parse(in *io.LimitedReader) error {
	p.z = html.NewTokenizer(in)
	p.z.SetMaxBuf(p.o.MaxToken)
	for {
		switch p.z.Next() {
		case html.ErrorToken:
			if in.N <= 0 {
				p.page.Truncated = true
			}
			switch err := p.z.Err(); {
			case errors.Is(err, io.EOF):
				return nil
			case errors.Is(err, html.ErrBufferExceeded):
				p.page.Truncated = true
				return ErrToken
			default:
				return err
			}
		case html.TextToken:
			switch {
			case p.inTitle:
				if room := maxTitle - len(p.title); room > 0 {
					b := p.z.Text()
					p.title = append(p.title, b[:min(len(b), room)]...)
				}
			case p.mute == "" && p.template == 0:
				p.text.write(p.z.Text())
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			p.start(tagName(p.z.Raw()))
		case html.EndTagToken:
			name, _ := tagName(p.z.Raw())
			p.end(name)
		}
	}
}

// start acts on a start tag, of which rest is what comes after its name.
func (p *parser) start(name, rest []byte) {
	if !inline[string(name)] {
		p.text.gap()
	}
	switch string(name) { // a conversion that costs nothing
	case "script", "style", "textarea", "xmp", "noembed", "iframe", "svg", "select":
		if p.mute == "" {
			p.mute = string(name)
		}
	case "noscript", "noframes":
		p.z.NextIsNotRawText() // there is a page in it, for those without scripts: us
	case "template":
		p.template++
	case "title":
		if p.mute == "" {
			p.inTitle, p.hasTitle = !p.hasTitle, true
			p.mute = "title"
		}
	}
	if len(rest) == 0 || p.template > 0 {
		return
	}
	wanted, ok := wantedIn[string(name)]
	if !ok {
		return
	}
	p.attrs.read(p.z, rest, wanted)
	p.element(string(name))
}

func (p *parser) end(name []byte) {
	if !inline[string(name)] {
		p.text.gap()
	}
	if string(name) == p.mute {
		p.mute, p.inTitle = "", false
	}
	if string(name) == "template" {
		p.template = max(0, p.template-1)
	}
}

// inline are the elements whose tags end no word.
var inline = map[string]bool{
	"a": true, "abbr": true, "acronym": true, "b": true, "bdi": true, "bdo": true, "big": true, "cite": true, "code": true, "dfn": true, "em": true, "font": true, "i": true,
	"ins": true, "del": true, "kbd": true, "mark": true, "q": true, "s": true, "samp": true, "small": true, "span": true, "strike": true, "strong": true, "sub": true, "sup": true,
	"tt": true, "u": true, "var": true, "wbr": true,
}

// element acts on a start tag whose attributes have been read.
func (p *parser) element(name string) {
	a := &p.attrs
	switch name {
	case "html":
		if p.page.Lang == "" {
			p.page.Lang = strings.TrimSpace(string(a.get("lang")))
		}
	case "base":
		if href, ok := a.find("href"); ok && !p.hasBase { // the first counts, even if it is bad
			p.hasBase = true
			if u, err := resolve(p.page.Base, string(href)); err == nil && !u.Opaque() {
				p.page.Base = u
			}
		}
	case "a", "area":
		if href, ok := a.find("href"); ok {
			p.link(href, Link{Kind: Anchor, NoFollow: noFollow(a.get("rel")), Hidden: a.hidden()})
		}
	case "frame", "iframe":
		p.src("src", Link{Kind: Frame, Hidden: a.hidden()})
	case "form":
		if m := a.get("method"); len(m) == 0 || bytes.EqualFold(m, []byte("get")) {
			p.src("action", Link{Kind: Form, NoFollow: noFollow(a.get("rel"))})
		}
	case "link":
		p.linkElement()
	case "meta":
		p.meta()
	default:
		if p.o.Resources {
			p.resource(name)
		}
	}
}

// src adds the link in an attribute, if it is there and not empty.
func (p *parser) src(attr string, l Link) {
	if v := bytes.TrimSpace(p.attrs.get(attr)); len(v) > 0 {
		p.link(v, l)
	}
}

func (p *parser) resource(name string) {
	l := Link{Kind: Resource}
	switch name {
	case "object":
		p.src("data", l)
	case "video":
		p.src("src", l)
		p.src("poster", l)
	case "img", "source":
		p.src("src", l)
		for c := range srcset(p.attrs.get("srcset")) {
			p.link(c, l)
		}
	case "input":
		if bytes.EqualFold(p.attrs.get("type"), []byte("image")) {
			p.src("src", l)
		}
	default:
		p.src("src", l)
	}
}

// linkElement acts on <link>, which says what it is for in rel.
func (p *parser) linkElement() {
	a := &p.attrs
	href := bytes.TrimSpace(a.get("href"))
	if len(href) == 0 {
		return
	}
	for rel := range strings.FieldsSeq(strings.ToLower(string(a.get("rel")))) {
		switch rel {
		case "canonical":
			if c, ok := p.canonical(href); ok && p.page.Canonical == "" {
				p.page.Canonical = c
			}
		case "alternate":
			lang := strings.TrimSpace(string(a.get("hreflang")))
			kind := strings.ToLower(string(a.get("type")))
			switch {
			case strings.Contains(kind, "rss") || strings.Contains(kind, "atom"):
				p.link(href, Link{Kind: Feed})
			case lang != "":
				if c, ok := p.canonical(href); ok && len(p.page.Alternates) < maxAlternates {
					p.page.Alternates = append(p.page.Alternates, Alternate{lang, c})
				}
			default:
				p.link(href, Link{Kind: Related})
			}
		case "next", "prev", "first", "last", "up", "index", "contents", "start", "amphtml":
			p.link(href, Link{Kind: Related})
		case "stylesheet", "icon", "preload", "modulepreload", "manifest", "apple-touch-icon":
			if p.o.Resources {
				p.link(href, Link{Kind: Resource})
			}
		}
	}
}

func (p *parser) meta() {
	a := &p.attrs
	content := a.get("content")
	name := string(a.get("name"))
	switch {
	case strings.EqualFold(name, "robots"), p.o.Product != "" && strings.EqualFold(name, p.o.Product):
		p.page.Robots.Add(string(content))
	case bytes.EqualFold(a.get("http-equiv"), []byte("refresh")):
		if after, to, ok := refresh(string(content)); ok {
			p.link([]byte(to), Link{Kind: Refresh, After: after})
		}
	}
}

// refresh reads "5; url=/next". Without an address it is the page itself, and no link.
func refresh(s string) (after time.Duration, to string, ok bool) {
	s = strings.TrimSpace(s)
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	whole, _, _ := strings.Cut(s[:i], ".")
	n, err := strconv.Atoi(whole)
	if err != nil || n > 1<<30 {
		n = 1 << 30
	}
	if s = strings.TrimLeft(s[i:], "; ,\t\r\n\f"); len(s) >= 3 && strings.EqualFold(s[:3], "url") {
		if rest, found := strings.CutPrefix(strings.TrimSpace(s[3:]), "="); found {
			s = strings.TrimSpace(rest)
		}
	}
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		q := s[:1]
		s, _, _ = strings.Cut(s[1:], q)
	}
	return time.Duration(n) * time.Second, s, s != "" && i > 0
}

// noFollow reports whether rel says that the link is no recommendation.
func noFollow(rel []byte) bool {
	for f := range bytes.FieldsSeq(rel) {
		if bytes.EqualFold(f, []byte("nofollow")) || bytes.EqualFold(f, []byte("ugc")) || bytes.EqualFold(f, []byte("sponsored")) {
			return true
		}
	}
	return false
}

// resolve is base.Resolve, for a base that may be nil.
func resolve(base *urlx.URL, ref string) (*urlx.URL, error) {
	if base == nil {
		return urlx.Parse(ref)
	}
	return base.Resolve(ref)
}

// canonical returns the canonical form of a reference.
func (p *parser) canonical(ref []byte) (string, bool) {
	var err error
	if p.buf, err = urlx.Canonical(p.buf[:0], p.page.Base, ref, p.o.Profile); err != nil {
		p.page.BadLinks++
		return "", false
	}
	return string(p.buf), true
}

// link adds a link, or what is new about one that is there.
func (p *parser) link(ref []byte, l Link) {
	var err error
	if p.buf, err = urlx.Canonical(p.buf[:0], p.page.Base, ref, p.o.Profile); err != nil {
		p.page.BadLinks++
		return
	}
	if i, ok := p.at[string(p.buf)]; ok {
		old := &p.page.Links[i]
		old.NoFollow = old.NoFollow && l.NoFollow
		old.Hidden = old.Hidden && l.Hidden
		return
	}
	if len(p.page.Links) == p.o.MaxLinks {
		p.page.Truncated = true
		return
	}
	l.URL = string(p.buf)
	p.at[l.URL] = len(p.page.Links)
	p.page.Links = append(p.page.Links, l)
}
