package resp

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// Writer writes replies. Errors of the connection are kept and returned by Flush; what
// is written after one goes nowhere. It is not safe for concurrent use.
type Writer struct {
	bw    *bufio.Writer
	proto int // 2 or 3
	num   [24]byte
}

// NewWriter writes replies in protocol 2 to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{bw: bufio.NewWriterSize(w, 16<<10), proto: 2}
}

// Proto is the version of the protocol in use, 2 or 3.
func (w *Writer) Proto() int { return w.proto }

// Flush sends what is buffered and returns the first error since the last reset.
func (w *Writer) Flush() error { return w.bw.Flush() }

// Status writes a simple string, such as OK.
func (w *Writer) Status(s string) { w.line('+', oneLine(s)) }

// Error writes an error; its first word is the code that clients look at, such as ERR.
func (w *Writer) Error(s string) { w.line('-', oneLine(s)) }

// Int writes an integer.
func (w *Writer) Int(n int64) { w.header(':', n) }

// Bulk writes a binary-safe string.
func (w *Writer) Bulk(b []byte) {
	w.header('$', int64(len(b)))
	w.bw.Write(b)
	w.bw.WriteString(crlf)
}

// BulkString is Bulk for a string.
func (w *Writer) BulkString(s string) {
	w.header('$', int64(len(s)))
	w.bw.WriteString(s)
	w.bw.WriteString(crlf)
}

// Null writes what stands for an absent value.
func (w *Writer) Null() {
	if w.proto >= 3 {
		w.line('_', "")
		return
	}
	w.line('$', "-1")
}

// Array announces n elements, which the caller writes next.
func (w *Writer) Array(n int) { w.header('*', int64(n)) }

// Map announces n pairs, which the caller writes next, key before value. Protocol 2
// has no maps: there it is an array of twice the length.
func (w *Writer) Map(n int) {
	if w.proto >= 3 {
		w.header('%', int64(n))
		return
	}
	w.Array(2 * n)
}

const crlf = "\r\n"

func (w *Writer) line(kind byte, s string) {
	w.bw.WriteByte(kind)
	w.bw.WriteString(s)
	w.bw.WriteString(crlf)
}

func (w *Writer) header(kind byte, n int64) {
	w.bw.WriteByte(kind)
	w.bw.Write(strconv.AppendInt(w.num[:0], n, 10))
	w.bw.WriteString(crlf)
}

// oneLine keeps a text that quotes a peer's bytes from breaking the framing.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n") {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}
