package extract

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
)

// headSize is how much of a page is looked at before it is decoded. Browsers look at
// 1,024 bytes and start again if they find more; we look further and do not start again.
const headSize = 16 << 10

const utf8Name = "utf-8"

// decoded returns the page as UTF-8, and the name of the encoding that it is in.
func decoded(r io.Reader, contentType string) (io.Reader, string, error) {
	in := bufio.NewReaderSize(r, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		return nil, "", err
	}
	name := encodingOf(head, contentType)
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		in.Discard(3)
	case bytes.HasPrefix(head, []byte("\xFE\xFF")), bytes.HasPrefix(head, []byte("\xFF\xFE")):
		in.Discard(2)
	case isBinary(head) && name != "utf-16le" && name != "utf-16be":
		return nil, name, ErrBinary
	}
	if name == utf8Name {
		return in, name, nil
	}
	out, err := charset.NewReaderLabel(name, in)
	return out, name, err
}

// isBinary reports whether the start of a page has bytes that no text has.
func isBinary(head []byte) bool {
	for _, c := range head[:min(len(head), 1024)] {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1B {
			return true
		}
	}
	return false
}

// encodingOf decides on an encoding: byte order mark, header, meta, what it looks like.
func encodingOf(head []byte, contentType string) (name string) {
	_, name, certain := charset.DetermineEncoding(head, contentType)
	if certain || name != "windows-1252" {
		return name
	}
	// Windows-1252 is declared, or nothing is, as far as that looked.
	for rest := head; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 {
			break
		}
		rest = rest[i:]
		end := bytes.IndexByte(rest[:min(len(rest), 1<<10)], '>')
		if end < 0 {
			rest = rest[1:] // no meta tag is so long
			continue
		}
		if tag := rest[:end+1]; len(tag) > 5 && bytes.EqualFold(tag[1:5], []byte("meta")) && bytes.Contains(bytes.ToLower(tag), []byte("charset")) {
			_, name, _ := charset.DetermineEncoding(tag, "")
			return name
		}
		rest = rest[1:]
	}
	if validPrefix(head) {
		return utf8Name
	}
	return name
}

// validPrefix reports whether b is UTF-8, but for a character cut at its end.
func validPrefix(b []byte) bool {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				b = b[:i]
			}
			break
		}
	}
	return utf8.Valid(b)
}
