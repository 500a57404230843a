package resp

import (
	"bytes"
	"fmt"
	"math"
)

// Parser takes commands out of bytes as they arrive, for servers that read whenever a
// connection has something instead of waiting for the rest of a command. It remembers how
// far it came, so that a command which arrives in many pieces is looked at once. The zero
// value is not ready; see NewParser. It is not safe for concurrent use.
type Parser struct {
	limits Limits
	buf    []byte
	at     int // where the command under way begins in buf
	pos    int // how far it has been read, from at
	left   int // arguments that it still lacks; -1: its header is not read yet
	size   int // of the arguments so far
	bulk   int // length of the argument whose header has been read; -1: none
	spans  []span
	args   [][]byte
	inline []byte // an inline command's words
}

// span is where an argument lies, from the command's begin.
type span struct{ from, to int }

// NewParser makes a parser that refuses what is over l.
func NewParser(l Limits) *Parser {
	return &Parser{limits: l.withDefaults(), left: -1, bulk: -1}
}

// Space is where to read to next; it is never empty. Filled says how much was.
func (p *Parser) Space() []byte {
	const least, keep = 4 << 10, 1 << 20
	if p.at == len(p.buf) {
		p.at, p.buf = 0, p.buf[:0]
		if cap(p.buf) > keep {
			p.buf = nil
		}
	}
	if cap(p.buf)-len(p.buf) < least {
		rest := p.buf[p.at:]
		if cap(p.buf)-len(rest) < least || p.at == 0 {
			grown := make([]byte, len(rest), max(2*cap(p.buf), 16<<10))
			copy(grown, rest)
			p.buf = grown
		} else {
			copy(p.buf[:cap(p.buf)], rest)
			p.buf = p.buf[:len(rest)]
		}
		p.at = 0
	}
	return p.buf[len(p.buf):cap(p.buf)]
}

// Filled takes over the first n bytes of what Space returned.
func (p *Parser) Filled(n int) { p.buf = p.buf[:len(p.buf)+n] }

// Buffered is the number of bytes that belong to commands not yet returned.
func (p *Parser) Buffered() int { return len(p.buf) - p.at }

// Next is the next whole command, its name first, or nil if more bytes are needed. The
// arguments are valid, and the caller's to change, until the next call of any method.
// Errors match ErrProtocol; after one the parser is of no more use. Empty commands are
// skipped. n is how many bytes of the stream the command, and what was skipped before it,
// took.
func (p *Parser) Next() (args [][]byte, n int, err error) {
	for p.at < len(p.buf) {
		var whole bool
		if p.buf[p.at] == '*' {
			whole, err = p.array()
		} else {
			whole, err = p.words()
		}
		if err != nil || !whole {
			return nil, n, err
		}
		n += p.pos
		if len(p.spans) > 0 {
			args = p.cut()
		}
		p.at += p.pos
		p.pos, p.left, p.bulk, p.size = 0, -1, -1, 0
		if args != nil {
			return args, n, nil
		}
	}
	return nil, n, nil
}

// cut slices the arguments of a whole command.
func (p *Parser) cut() [][]byte {
	src := p.buf[p.at:]
	if p.buf[p.at] != '*' {
		src = p.inline
	}
	p.args = p.args[:0]
	for _, s := range p.spans {
		p.args = append(p.args, src[s.from:s.to:s.to])
	}
	p.spans = p.spans[:0]
	return p.args
}

func (p *Parser) array() (whole bool, err error) {
	b := p.buf[p.at:]
	if p.left < 0 {
		n, next, ok, err := length(b, 1)
		if err != nil || !ok {
			return false, err
		}
		if n > p.limits.Args {
			return false, fmt.Errorf("%w: invalid multibulk length", ErrProtocol)
		}
		p.left, p.pos, p.spans = max(n, 0), next, p.spans[:0]
	}
	for p.left > 0 {
		if p.bulk < 0 {
			if p.pos == len(b) {
				return false, nil
			}
			if b[p.pos] != '$' {
				return false, fmt.Errorf("%w: expected '$', got %q", ErrProtocol, b[p.pos])
			}
			n, next, ok, err := length(b, p.pos+1)
			if err != nil || !ok {
				return false, err
			}
			if n < 0 || n > p.limits.Bulk {
				return false, fmt.Errorf("%w: invalid bulk length", ErrProtocol)
			}
			if p.size += n; p.size > p.limits.Command {
				return false, fmt.Errorf("%w: command over %d bytes", ErrProtocol, p.limits.Command)
			}
			p.bulk, p.pos = n, next
		}
		end := p.pos + p.bulk
		if len(b) < end+2 {
			return false, nil
		}
		if b[end] != '\r' || b[end+1] != '\n' {
			return false, fmt.Errorf("%w: expected CRLF after an argument", ErrProtocol)
		}
		p.spans = append(p.spans, span{p.pos, end})
		p.pos, p.bulk = end+2, -1
		p.left--
	}
	return true, nil
}

// length reads a decimal at b[i:] up to CRLF, at least -1, and where it ends.
func length(b []byte, i int) (n, next int, ok bool, err error) {
	const digits = 32
	// The common case by hand: digits and CRLF, all of it there.
	for j := i; j < len(b) && j-i < 9; j++ {
		c := b[j] - '0'
		if c > 9 {
			if j > i && b[j] == '\r' && j+1 < len(b) && b[j+1] == '\n' {
				return n, j + 2, true, nil
			}
			break
		}
		n = n*10 + int(c)
	}
	line := b[i:min(len(b), i+digits+2)]
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		if len(line) >= digits+2 {
			return 0, 0, false, fmt.Errorf("%w: invalid length", ErrProtocol)
		}
		return 0, 0, false, nil
	}
	v, ok := ParseInt(bytes.TrimSuffix(line[:end], []byte{'\r'}))
	if !ok || v < -1 || v > math.MaxInt32 {
		return 0, 0, false, fmt.Errorf("%w: invalid length", ErrProtocol)
	}
	return int(v), i + end + 1, true, nil
}

// words reads an inline command.
func (p *Parser) words() (whole bool, err error) {
	b := p.buf[p.at:]
	end := bytes.IndexByte(b[p.pos:], '\n')
	if end < 0 {
		p.pos = len(b)
	} else {
		end += p.pos
	}
	if end > p.limits.Inline+1 || end < 0 && len(b) > p.limits.Inline+1 {
		return false, fmt.Errorf("%w: line over %d bytes", ErrProtocol, p.limits.Inline)
	}
	if end < 0 {
		return false, nil
	}
	r := Reader{buf: p.inline[:0]}
	if err := r.splitInline(bytes.TrimSuffix(b[:end], []byte{'\r'})); err != nil {
		return false, err
	}
	p.inline, p.spans, p.pos = r.buf, p.spans[:0], end+1
	from := 0
	for _, to := range r.ends {
		p.spans = append(p.spans, span{from, to})
		from = to
	}
	return true, nil
}
