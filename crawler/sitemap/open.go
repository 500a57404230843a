package sitemap

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

const bufSize = 16 << 10

// ratioFrom is how much a gzip stream may make before its ratio counts: short files of
// equal lines shrink by hundreds.
const ratioFrom = 1 << 20

// open returns the file's text as UTF-8, decompressed and within bounds.
func open(r io.Reader, o Options) (*bufio.Reader, error) {
	compressed := &counter{r: r}
	in := bufio.NewReaderSize(compressed, bufSize)
	if b, _ := in.Peek(2); len(b) == 2 && b[0] == 0x1F && b[1] == 0x8B {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
		}
		in = bufio.NewReaderSize(&bounded{r: z, left: o.MaxBytes, ratio: int64(o.MaxRatio), compressed: compressed}, bufSize)
	} else {
		in = bufio.NewReaderSize(&bounded{r: in, left: o.MaxBytes}, bufSize)
	}
	switch b, _ := in.Peek(3); {
	case len(b) == 3 && string(b) == "\xEF\xBB\xBF":
		in.Discard(3)
	case len(b) >= 2 && b[0] == 0xFF && b[1] == 0xFE:
		return bufio.NewReaderSize(&fromUTF16{r: in, order: binary.LittleEndian}, bufSize), nil
	case len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF:
		return bufio.NewReaderSize(&fromUTF16{r: in, order: binary.BigEndian}, bufSize), nil
	}
	return in, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded fails when too much is read, or too much for what went in.
type bounded struct {
	r          io.Reader
	left, made int64
	ratio      int64
	compressed *counter // nil: no ratio
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	// One byte more than is allowed tells a full file from one that goes on.
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	b.left -= int64(n)
	b.made += int64(n)
	switch {
	case b.left < 0:
		return n - 1, ErrTooLarge
	case b.compressed != nil && b.made > ratioFrom && b.made/b.ratio > b.compressed.n:
		return n, ErrRatio
	}
	return n, err
}

// fromUTF16 reads UTF-16 as UTF-8. A mark at the start becomes a space.
type fromUTF16 struct {
	r     *bufio.Reader
	order binary.ByteOrder
	rest  []byte
	buf   [utf8.UTFMax]byte
}

func (f *fromUTF16) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(f.rest) == 0 {
			r, err := f.rune()
			if err != nil {
				if n > 0 {
					return n, nil // it comes again
				}
				return 0, err
			}
			f.rest = utf8.AppendRune(f.buf[:0], r)
		}
		m := copy(p[n:], f.rest)
		f.rest = f.rest[m:]
		n += m
	}
	return n, nil
}

func (f *fromUTF16) rune() (rune, error) {
	u, err := f.unit()
	if err != nil {
		return 0, err
	}
	r := rune(u)
	if r == 0xFEFF {
		return ' ', nil
	}
	if utf16.IsSurrogate(r) {
		if b, _ := f.r.Peek(2); len(b) == 2 {
			if r = utf16.DecodeRune(r, rune(f.order.Uint16(b))); r != utf8.RuneError {
				f.r.Discard(2)
				return r, nil
			}
		}
		return utf8.RuneError, nil
	}
	return r, nil
}

func (f *fromUTF16) unit() (uint16, error) {
	b, err := f.r.Peek(2)
	if len(b) < 2 {
		if len(b) == 1 {
			f.r.Discard(1)
		}
		return 0, err
	}
	f.r.Discard(2)
	return f.order.Uint16(b), nil
}
