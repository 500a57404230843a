package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// ErrProtocol is matched by every error that a malformed or oversized frame causes.
var ErrProtocol = errors.New("protocol error")

// Limits bound what one command may cost. A zero field means its default.
type Limits struct {
	Args    int // arguments of one command (1,048,576)
	Bulk    int // bytes of one argument (16 MiB + 64 KiB)
	Command int // bytes of all arguments of one command (64 MiB)
	Inline  int // bytes of an inline command or of a header line (64 KiB)
}

func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.Args, 1<<20)
	def(&l.Bulk, 16<<20+64<<10)
	def(&l.Command, 64<<20)
	def(&l.Inline, 64<<10)
	return l
}

// Reader reads commands. It is not safe for concurrent use.
type Reader struct {
	br     *bufio.Reader
	limits Limits
	args   [][]byte
	buf    []byte // the arguments' bytes, reused from command to command
	ends   []int  // where each argument ends in buf
}

// NewReader reads commands from r within l.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{br: bufio.NewReaderSize(r, 16<<10), limits: l.withDefaults()}
}

// Buffered is the number of bytes that have arrived and were not yet read; more than
// none usually means that the client has pipelined another command.
func (r *Reader) Buffered() int { return r.br.Buffered() }

// ReadCommand returns the arguments of the next command, the name first. They are
// valid, and the caller's to change, until the next call. Empty commands are skipped.
// The error is io.EOF between commands, io.ErrUnexpectedEOF within one, or matches
// ErrProtocol.
func (r *Reader) ReadCommand() ([][]byte, error) {
	for {
		b, err := r.br.ReadByte()
		if err != nil {
			return nil, err
		}
		r.reset()
		if b == '*' {
			err = r.readArray()
		} else {
			r.br.UnreadByte()
			err = r.readInline()
		}
		if err != nil {
			return nil, err
		}
		if len(r.ends) > 0 {
			return r.slices(), nil
		}
	}
}

// reset forgets the last command and lets go of an outsized buffer.
func (r *Reader) reset() {
	const keep = 1 << 20
	if cap(r.buf) > keep {
		r.buf = nil
	}
	r.buf, r.ends, r.args = r.buf[:0], r.ends[:0], r.args[:0]
}

// slices cuts buf at ends. It runs last, for buf moves while it grows.
func (r *Reader) slices() [][]byte {
	start := 0
	for _, end := range r.ends {
		r.args = append(r.args, r.buf[start:end:end])
		start = end
	}
	return r.args
}

func (r *Reader) readArray() error {
	n, err := r.readLength()
	if err != nil {
		return err
	}
	if n > r.limits.Args {
		return fmt.Errorf("%w: invalid multibulk length", ErrProtocol)
	}
	for range max(n, 0) {
		b, err := r.br.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if b != '$' {
			return fmt.Errorf("%w: expected '$', got %q", ErrProtocol, b)
		}
		size, err := r.readLength()
		if err != nil {
			return err
		}
		if size < 0 || size > r.limits.Bulk {
			return fmt.Errorf("%w: invalid bulk length", ErrProtocol)
		}
		if len(r.buf)+size > r.limits.Command {
			return fmt.Errorf("%w: command over %d bytes", ErrProtocol, r.limits.Command)
		}
		if r.buf, err = appendN(r.buf, r.br, size); err != nil {
			return err
		}
		r.ends = append(r.ends, len(r.buf))
		if err := r.readCRLF(); err != nil {
			return err
		}
	}
	return nil
}

// appendN appends n bytes of br to dst in steps, so that an announced length alone
// costs no memory.
func appendN(dst []byte, br *bufio.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	for n > 0 {
		m := min(n, step)
		at := len(dst)
		dst = append(dst, make([]byte, m)...)
		if _, err := io.ReadFull(br, dst[at:]); err != nil {
			return dst, unexpected(err)
		}
		n -= m
	}
	return dst, nil
}

func (r *Reader) readCRLF() error {
	for _, want := range []byte("\r\n") {
		b, err := r.br.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if b != want {
			return fmt.Errorf("%w: expected CRLF after an argument", ErrProtocol)
		}
	}
	return nil
}

// readLength reads a decimal up to CRLF, at least -1.
func (r *Reader) readLength() (int, error) {
	line, err := readLine(r.br, 32)
	if err != nil {
		return 0, err
	}
	n, ok := ParseInt(line)
	if !ok || n < -1 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%w: invalid length", ErrProtocol)
	}
	return int(n), nil
}

// readInline splits a line at white space; quotes group words as in redis-cli.
func (r *Reader) readInline() error {
	line, err := readLine(r.br, r.limits.Inline)
	if err != nil {
		return err
	}
	return r.splitInline(line)
}

// splitInline appends a line's words to buf.
func (r *Reader) splitInline(line []byte) error {
	for i := 0; i < len(line); {
		if line[i] == ' ' || line[i] == '\t' {
			i++
			continue
		}
		n, ok := r.inlineWord(line[i:])
		if !ok {
			return fmt.Errorf("%w: unbalanced quotes in request", ErrProtocol)
		}
		i += n
		r.ends = append(r.ends, len(r.buf))
	}
	return nil
}

// inlineWord appends one word to buf and returns how many bytes of s it took.
func (r *Reader) inlineWord(s []byte) (n int, ok bool) {
	var quote byte
	for n < len(s) {
		c := s[n]
		switch {
		case quote == 0 && (c == ' ' || c == '\t'):
			return n, true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case quote == '"' && c == '\\' && n+1 < len(s):
			n++
			r.buf = append(r.buf, unescape(s[n]))
		default:
			r.buf = append(r.buf, c)
		}
		n++
	}
	return n, quote == 0
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// readLine returns a line of at most limit bytes without its end, which is LF or CRLF.
func readLine(br *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit+2 {
			return nil, fmt.Errorf("%w: line over %d bytes", ErrProtocol, limit)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, unexpected(err)
		}
		line = line[:len(line)-1]
		if len(line) > 0 && line[len(line)-1] == '\r' {
			line = line[:len(line)-1]
		}
		return line, nil
	}
}

// ParseInt reads a decimal that fits an int64, without an allocation. Zeros in front are
// no harm, but only 19 digits are looked at.
func ParseInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64 // 19 digits fit
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case neg && n <= 1<<63:
		return -int64(n), true // of 1<<63, itself
	case neg || n >= 1<<63:
		return 0, false
	}
	return int64(n), true
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
