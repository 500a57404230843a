package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

const (
	// ratioFrom is how much a compressed body may make before its ratio counts: short pages
	// of equal lines shrink by hundreds.
	ratioFrom = 1 << 20
	// maxLayers is how often a body may be compressed, one time upon the other.
	maxLayers = 2
	// maxWindow is what RFC 9659 permits to zstd in HTTP.
	maxWindow = 8 << 20
	step      = 32 << 10
)

// ours marks errors that are final: those of a bound and of the caller.
type ours struct{ error }

// errOurs is what ours are.
var errOurs = errors.New("ours")

func (o ours) Is(target error) bool { return target == errOurs }
func (o ours) Unwrap() error        { return o.error }

// copyBody reads src within the bounds. The bound on the wire is that on the body: what is
// compressed to more than it is no page.
func (c *Client) copyBody(resp *Response, r *Request, src io.Reader, w *wire, length int64) error {
	buf := r.Buffer[:0]
	if r.Body != nil {
		buf = make([]byte, 0, step)
	} else {
		// One byte more than announced, so that the end is seen without growing.
		buf = slices.Grow(buf, int(min(max(length, 511), r.MaxBody, 1<<20))+1)
		defer func() { resp.Body = buf }()
	}
	for {
		room := buf[len(buf):cap(buf)]
		// One byte more than is allowed tells a full body from one that goes on.
		if left := r.MaxBody - resp.Size + 1; int64(len(room)) > left {
			room = room[:left]
		}
		n, err := src.Read(room)
		resp.Size += int64(n)
		over := resp.Size > r.MaxBody
		if over {
			n, resp.Size = n-1, r.MaxBody
		}
		buf = buf[:len(buf)+n]
		if r.Body != nil && n > 0 {
			if _, err := r.Body.Write(buf); err != nil {
				return ours{err}
			}
			buf = buf[:0]
		}
		switch {
		case over, w.n > r.MaxBody+connBuffer:
			return ours{fmt.Errorf("%w: more than %d bytes", ErrTooLarge, r.MaxBody)}
		case resp.Size > ratioFrom && resp.Size/int64(c.o.MaxRatio) > w.n:
			return ours{fmt.Errorf("%w: %d bytes of %d", ErrRatio, resp.Size, w.n)}
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, int(min(max(step, int64(len(buf))), r.MaxBody-resp.Size+1)))
		}
	}
}

// decoders are those that are not in use.
type decoders struct {
	buffers, gzip, zlib, flate, zstd sync.Pool
}

// open returns a reader of the body without its encodings, and what gives back its parts.
func (d *decoders) open(w io.Reader, encodings []string) (r io.Reader, done func(), err error) {
	var layers []string
	for _, v := range encodings {
		for e := range strings.SplitSeq(v, ",") {
			switch e = strings.ToLower(strings.TrimSpace(e)); e {
			case "", "identity", "none":
			default:
				layers = append(layers, e)
			}
		}
	}
	var parts []func()
	done = func() {
		for _, p := range parts {
			p()
		}
	}
	if len(layers) > maxLayers {
		return nil, done, ours{fmt.Errorf("%w: %d layers", ErrEncoding, len(layers))}
	}
	r = w
	for _, e := range slices.Backward(layers) {
		var free func()
		if r, free, err = d.layer(r, e); err != nil {
			done()
			return nil, nil, err
		}
		parts = append(parts, free)
	}
	return r, done, nil
}

// layer undoes one encoding. An empty body is one in every encoding.
func (d *decoders) layer(r io.Reader, encoding string) (io.Reader, func(), error) {
	br, ok := d.buffers.Get().(*bufio.Reader)
	if !ok {
		br = bufio.NewReaderSize(nil, 4<<10)
	}
	br.Reset(r)
	first, err := br.Peek(2)
	if len(first) == 0 {
		d.buffers.Put(br)
		if err != io.EOF {
			return nil, nil, err
		}
		return eof{}, func() {}, nil
	}
	var z io.Reader
	var pool *sync.Pool
	switch encoding {
	case "gzip", "x-gzip":
		pool = &d.gzip
		z, err = reuse(pool, br, gzip.NewReader)
	case "deflate":
		// The standard says zlib; some servers send what is inside of it.
		if len(first) == 2 && first[0]&0x0F == 8 && (uint(first[0])<<8|uint(first[1]))%31 == 0 {
			pool = &d.zlib
			if old, ok := pool.Get().(io.ReadCloser); ok {
				z, err = old, old.(zlib.Resetter).Reset(br, nil)
			} else {
				z, err = zlib.NewReader(br)
			}
		} else {
			pool = &d.flate
			if old, ok := pool.Get().(io.ReadCloser); ok {
				z, err = old, old.(flate.Resetter).Reset(br, nil)
			} else {
				z = flate.NewReader(br)
			}
		}
	case "zstd":
		pool = &d.zstd
		z, err = reuse(pool, br, func(r io.Reader) (*zstd.Decoder, error) {
			return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		})
	default:
		return nil, nil, ours{fmt.Errorf("%w: %.40q", ErrEncoding, encoding)}
	}
	if err != nil {
		return nil, nil, err // and leave the parts to the collector
	}
	return z, func() {
		br.Reset(nil)
		d.buffers.Put(br)
		pool.Put(z)
	}, nil
}

// reuse takes a decoder out of the pool, or makes one.
func reuse[T interface{ Reset(io.Reader) error }](pool *sync.Pool, r io.Reader, make func(io.Reader) (T, error)) (T, error) {
	if old, ok := pool.Get().(T); ok {
		return old, old.Reset(r)
	}
	return make(r)
}

// eof is a body without anything.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
