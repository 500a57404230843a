package sitemap

// A tokenizer for XML that nobody has checked. It knows tags, text, CDATA, comments,
// instructions and declarations, and looks for the end of each and for nothing else: no
// tree, no stack, no namespaces, no entities from the file. What it keeps is one tag and
// the text since the tag before, both bounded.

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

type scanner struct {
	r    *bufio.Reader
	most int    // bytes of text or of a tag that are kept
	text []byte // since the last tag
	long bool   // the text was longer than that
	raw  []byte // the tag
	cut  bool   // it was longer
}

// tag is an element's start or end.
type tag struct {
	name  string // without prefix, in lower case
	end   bool
	empty bool // <name/>: both
	raw   []byte
	cut   bool // there was more of it: its attributes are not to be trusted
}

// next returns the next tag. The text before it is in value.
func (s *scanner) next() (tag, error) {
	s.text, s.long = s.text[:0], false
	for {
		if err := s.toTag(); err != nil {
			return tag{}, err
		}
		c, err := s.r.ReadByte()
		if err != nil {
			return tag{}, err
		}
		switch {
		case c == '?':
			err = s.skip("?>")
		case c == '!':
			err = s.declaration()
		case c == '/' || isNameStart(c):
			if c != '/' {
				s.r.UnreadByte()
			}
			var ok bool
			if ok, err = s.readTag(); ok {
				t := tag{name: nameOf(s.raw), raw: s.raw, cut: s.cut, end: c == '/'}
				t.empty = !t.end && s.raw[len(s.raw)-1] == '/'
				return t, nil
			}
			s.keep([]byte{'<'}) // "a<b" is text as well
			s.keep(s.raw)
		default: // "a < b" is text
			s.keep([]byte{'<'})
			s.r.UnreadByte()
		}
		if err != nil {
			return tag{}, err
		}
	}
}

// keep adds text, as far as there is room.
func (s *scanner) keep(b []byte) {
	if len(s.text)+len(b) > s.most {
		s.long = true
		return
	}
	s.text = append(s.text, b...)
}

// toTag reads and keeps text up to the next "<".
func (s *scanner) toTag() error {
	for {
		b, err := s.r.ReadSlice('<')
		if err == nil {
			s.keep(b[:len(b)-1])
			return nil
		}
		s.keep(b)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// skip reads up to and including a mark of at most three bytes.
func (s *scanner) skip(mark string) error {
	var last [3]byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		last = [3]byte{last[1], last[2], c}
		if string(last[3-len(mark):]) == mark {
			return nil
		}
	}
}

// declaration reads what began with "<!": a comment, CDATA, or a document type, which may
// have declarations within brackets.
func (s *scanner) declaration() error {
	b, err := s.r.Peek(2)
	if len(b) < 2 {
		return err
	}
	if string(b) == "--" {
		s.r.Discard(2)
		return s.skip("-->")
	}
	if b, _ := s.r.Peek(7); string(b) == "[CDATA[" {
		s.r.Discard(7)
		return s.cdata()
	}
	depth := 0
	var quote byte
	for {
		c, err := s.r.ReadByte()
		switch {
		case err != nil:
			return err
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '>' && depth <= 0:
			return nil
		}
	}
}

// cdata keeps text up to "]]>", in which ampersands mean nothing: they are kept encoded,
// for value will decode.
func (s *scanner) cdata() error {
	brackets := 0
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		if c == '>' && brackets >= 2 {
			if !s.long {
				s.text = s.text[:len(s.text)-2]
			}
			return nil
		}
		if c == ']' {
			brackets++
		} else {
			brackets = 0
		}
		if c == '&' {
			s.keep([]byte("&amp;"))
		} else {
			s.keep([]byte{c})
		}
	}
}

// readTag reads up to ">", but not one within quotes, and keeps it in raw. If there is a
// "<" before that, this was no tag, and ok is false.
func (s *scanner) readTag() (ok bool, err error) {
	s.raw, s.cut = s.raw[:0], false
	var quote byte
	for {
		c, err := s.r.ReadByte()
		switch {
		case err != nil:
			return false, err
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return true, nil
		case c == '<':
			s.r.UnreadByte()
			return false, nil
		}
		if len(s.raw) < s.most {
			s.raw = append(s.raw, c)
		} else {
			s.raw[len(s.raw)-1] = c // whether it ends with a slash is all that counts
			s.cut = true
		}
	}
}

// nameOf returns a tag's name without prefix, in lower case.
func nameOf(raw []byte) string {
	i := 0
	for i < len(raw) && !isSpace(raw[i]) && raw[i] != '/' {
		i++
	}
	raw = raw[:i]
	if i := bytes.IndexByte(raw, ':'); i >= 0 {
		raw = raw[i+1:]
	}
	if len(raw) > 32 {
		raw = raw[:32] // no name that matters is so long
	}
	for _, known := range elements {
		if string(raw) == known {
			return known // the common case allocates nothing
		}
	}
	return strings.ToLower(string(raw))
}

var elements = []string{"url", "loc", "lastmod", "changefreq", "priority", "sitemap", "link", "item", "entry", "title"}

// value returns the text before the last tag, trimmed and decoded, and whether it is all
// of it.
func (s *scanner) value() (string, bool) {
	return decode(bytes.TrimSpace(s.text)), !s.long
}

// attr returns the value of an attribute, "" if there is none.
func (t tag) attr(name string) string {
	if t.cut {
		return ""
	}
	b := t.raw
	i := 0
	for i < len(b) && !isSpace(b[i]) { // the tag's name
		i++
	}
	for b = b[i:]; len(b) > 0; {
		b = bytes.TrimLeft(b, " \t\r\n/")
		n := bytes.IndexAny(b, "= \t\r\n")
		if n < 0 {
			return ""
		}
		key := b[:n]
		b = bytes.TrimLeft(b[n:], " \t\r\n")
		if len(b) == 0 || b[0] != '=' {
			continue
		}
		b = bytes.TrimLeft(b[1:], " \t\r\n")
		var value []byte
		if len(b) > 0 && (b[0] == '"' || b[0] == '\'') {
			end := bytes.IndexByte(b[1:], b[0])
			if end < 0 {
				return ""
			}
			value, b = b[1:1+end], b[2+end:]
		} else {
			end := bytes.IndexAny(b, " \t\r\n")
			if end < 0 {
				end = len(b)
			}
			value, b = b[:end], b[end:]
		}
		if string(key) == name {
			return decode(bytes.TrimSpace(value))
		}
	}
	return ""
}

// decode replaces XML's five entities and numbers. Others stay, ampersand and all: mostly
// they are parameters of an address that was not escaped.
func decode(b []byte) string {
	if bytes.IndexByte(b, '&') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			return string(append(out, b...))
		}
		out, b = append(out, b[:i]...), b[i:]
		n := bytes.IndexByte(b[:min(len(b), 12)], ';')
		if r, ok := entity(b, n); ok {
			out, b = utf8.AppendRune(out, r), b[n+1:]
		} else {
			out, b = append(out, '&'), b[1:]
		}
	}
	return string(out)
}

// entity returns the character that "&name;" stands for; the semicolon is at n.
func entity(b []byte, n int) (rune, bool) {
	if n < 2 {
		return 0, false
	}
	name := string(b[1:n])
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if name[0] != '#' {
		return 0, false
	}
	base := 10
	if name = name[1:]; name != "" && name[0]|0x20 == 'x' {
		name, base = name[1:], 16
	}
	r, err := strconv.ParseUint(name, base, 21)
	return rune(r), err == nil && r != 0 && utf8.ValidRune(rune(r))
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isNameStart(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == ':' || c >= utf8.RuneSelf
}
