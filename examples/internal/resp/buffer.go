package resp

import (
	"math"
	"strconv"
)

// Buffer collects replies in memory, for servers that decide by themselves when to write.
// The zero value speaks protocol 2.
type Buffer struct {
	B     []byte
	Proto int // 3, or anything else for 2
}

// Status appends a simple string, such as OK.
func (b *Buffer) Status(s string) { b.line('+', oneLine(s)) }

// Error appends an error; its first word is the code that clients look at, such as ERR.
func (b *Buffer) Error(s string) { b.line('-', oneLine(s)) }

// Int appends an integer.
func (b *Buffer) Int(n int64) { b.header(':', n) }

// Bool appends 1 or 0.
func (b *Buffer) Bool(v bool) {
	if v {
		b.B = append(b.B, ":1\r\n"...)
		return
	}
	b.B = append(b.B, ":0\r\n"...)
}

// Bulk appends a binary-safe string.
func (b *Buffer) Bulk(s []byte) {
	b.header('$', int64(len(s)))
	b.B = append(append(b.B, s...), crlf...)
}

// BulkString is Bulk for a string.
func (b *Buffer) BulkString(s string) {
	b.header('$', int64(len(s)))
	b.B = append(append(b.B, s...), crlf...)
}

// Null appends what stands for an absent value.
func (b *Buffer) Null() {
	if b.Proto == 3 {
		b.B = append(b.B, "_\r\n"...)
		return
	}
	b.B = append(b.B, "$-1\r\n"...)
}

// NullArray appends what stands for an absent array.
func (b *Buffer) NullArray() {
	if b.Proto == 3 {
		b.Null()
		return
	}
	b.B = append(b.B, "*-1\r\n"...)
}

// Array announces n elements.
func (b *Buffer) Array(n int) { b.header('*', int64(n)) }

// Map announces n pairs, key before value.
func (b *Buffer) Map(n int) {
	if b.Proto == 3 {
		b.header('%', int64(n))
		return
	}
	b.Array(2 * n)
}

// Set announces n elements without an order.
func (b *Buffer) Set(n int) {
	if b.Proto == 3 {
		b.header('~', int64(n))
		return
	}
	b.Array(n)
}

// Push announces n elements that answer no command.
func (b *Buffer) Push(n int) {
	if b.Proto == 3 {
		b.header('>', int64(n))
		return
	}
	b.Array(n)
}

// Double appends a floating-point number.
func (b *Buffer) Double(f float64) {
	if b.Proto == 3 {
		b.line(',', FormatDouble(f))
		return
	}
	b.BulkString(FormatDouble(f))
}

// FormatDouble is the shortest text that reads back as f, as Redis writes it.
func FormatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a == 0 || a >= 1e-5 && a < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// Command appends a command, as a client would send it.
func (b *Buffer) Command(args ...[]byte) {
	b.Array(len(args))
	for _, a := range args {
		b.Bulk(a)
	}
}

func (b *Buffer) line(kind byte, s string) {
	b.B = append(b.B, kind)
	b.B = append(append(b.B, s...), crlf...)
}

func (b *Buffer) header(kind byte, n int64) {
	b.B = append(b.B, kind)
	if 0 <= n && n < 10 {
		b.B = append(b.B, byte('0'+n))
	} else {
		b.B = strconv.AppendInt(b.B, n, 10)
	}
	b.B = append(b.B, crlf...)
}
