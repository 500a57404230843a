package extract

import (
	"io"

	"github.com/cespare/xxhash/v2"
)

// text makes one stream of words, with a space between two, of the pieces of text in a
// page, and hashes it.
type text struct {
	out    io.Writer // may be nil
	sum    xxhash.Digest
	buf    []byte
	words  int
	inWord bool // the last byte was in a word
}

func newText(out io.Writer) *text {
	t := &text{out: out, buf: make([]byte, 0, 4<<10)}
	t.sum.Reset()
	return t
}

// gap ends a word.
func (t *text) gap() { t.inWord = false }

// write adds text. A word may go on in the next piece.
func (t *text) write(b []byte) {
	for i := 0; i < len(b); {
		n := 0
		for i+n < len(b) && !isSpace(b[i+n:]) {
			n++
		}
		if n > 0 {
			t.word(b[i : i+n])
			i += n
			continue
		}
		t.inWord = false
		i += spaceLen(b[i:])
	}
}

func (t *text) word(b []byte) {
	if !t.inWord {
		if t.words++; t.words > 1 {
			t.buf = append(t.buf, ' ')
		}
		t.inWord = true
	}
	t.buf = append(t.buf, b...)
	if len(t.buf) >= cap(t.buf)/2 {
		t.flush()
	}
}

func (t *text) flush() {
	t.sum.Write(t.buf)
	if t.out != nil {
		t.out.Write(t.buf)
	}
	t.buf = t.buf[:0]
}

// finish returns the number of words and their hash.
func (t *text) finish() (words int, hash uint64) {
	t.flush()
	return t.words, t.sum.Sum64()
}

// isSpace reports whether b begins with white space, a no-break space included.
func isSpace(b []byte) bool { return spaceLen(b) > 0 }

func spaceLen(b []byte) int {
	switch {
	case b[0] == ' ' || b[0] >= '\t' && b[0] <= '\r':
		return 1
	case b[0] == 0xC2 && len(b) > 1 && b[1] == 0xA0:
		return 2
	}
	return 0
}
