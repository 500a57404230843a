package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// conn is a keep-alive connection of HTTP/1.1, one request at a time. It shares the machine
// with the nodes that it loads, so it does without the two goroutines and the header map
// that net/http has for each request.
type conn struct {
	addr    string
	timeout time.Duration // of one request
	c       net.Conn      // nil: not connected
	r       *bufio.Reader
	out     []byte
}

var errAnswer = errors.New("not an answer of HTTP")

func newConn(addr string, timeout time.Duration) *conn {
	return &conn{addr: addr, timeout: timeout, r: bufio.NewReaderSize(nil, 16<<10)}
}

func (c *conn) close() {
	if c.c != nil {
		c.c.Close()
		c.c = nil
	}
}

// do sends a request and reads its answer to the end. The path is percent-encoded already.
// After an error the next request dials anew.
func (c *conn) do(method, path string, body []byte) (status int, size int64, err error) {
	if c.c == nil {
		if c.c, err = net.DialTimeout("tcp", c.addr, c.timeout); err != nil {
			c.c = nil
			return 0, 0, err
		}
		c.r.Reset(c.c)
	}
	c.out = append(c.out[:0], method...)
	c.out = append(append(append(c.out, ' '), path...), " HTTP/1.1\r\nHost: "...)
	c.out = append(c.out, c.addr...)
	if method != "GET" {
		c.out = strconv.AppendInt(append(c.out, "\r\nContent-Length: "...), int64(len(body)), 10)
	}
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
	last := true
	if err = c.c.SetDeadline(time.Now().Add(c.timeout)); err == nil {
		if _, err = c.c.Write(c.out); err == nil {
			status, size, last, err = c.answer()
		}
	}
	if err != nil || last {
		c.close()
	}
	return status, size, err
}

// answer reads one; last says that the server closes the connection after it.
func (c *conn) answer() (status int, size int64, last bool, err error) {
	line, err := c.line()
	if err != nil {
		return 0, 0, true, err
	}
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 {
		return 0, 0, true, fmt.Errorf("%w: %q", errAnswer, line)
	}
	if status, err = strconv.Atoi(string(rest[:3])); err != nil || status < 200 {
		return 0, 0, true, fmt.Errorf("%w: %q", errAnswer, line)
	}
	size = -1
	chunked := false
	for {
		if line, err = c.line(); err != nil {
			return 0, 0, true, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, err := strconv.ParseUint(string(value), 10, 31)
			if err != nil {
				return 0, 0, true, fmt.Errorf("%w: %q", errAnswer, line)
			}
			size = int64(n)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		}
	}
	switch {
	case status == 204 || status == 304:
		size = 0
	case chunked:
		if size, err = io.Copy(io.Discard, httputil.NewChunkedReader(c.r)); err == nil {
			_, err = c.line() // the chunked reader leaves the empty trailer behind
		}
	case size >= 0:
		_, err = c.r.Discard(int(size))
	default:
		last = true
		size, err = io.Copy(io.Discard, c.r)
	}
	return status, size, last, err
}

// line reads one without its end; it is good until the next read.
func (c *conn) line() ([]byte, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b[:len(b)-1], []byte("\r")), nil
}
