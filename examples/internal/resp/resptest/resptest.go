// Package resptest asks a handler of the Redis protocol over a real connection. Only tests
// import it.
//
//	s := resptest.Start(t, resp.Options{Handler: h})
//	require.Equal(t, "[1 nil]", s.Say("MGET a none"))
package resptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// patience is more than the whole of a test takes.
const patience = 20 * time.Second

// Session is a server and one connection to it.
type Session struct {
	Addr   string       // of the server, host:port
	Client *resp.Client // the connection

	t testing.TB
}

// Start serves until the test ends.
func Start(t testing.TB, o resp.Options) *Session {
	t.Helper()
	server, err := resp.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l) // ends by Close
	t.Cleanup(func() { server.Close() })
	s := &Session{Addr: l.Addr().String(), t: t}
	if s.Client, err = resp.Dial(t.Context(), s.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Client.Close() })
	if err := s.Client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return s
}

// Say sends the words of a line as a command and returns the reply, or the error that it
// is, in a short form: nil, 7, text, [1 nil 3].
func (s *Session) Say(line string) string {
	s.t.Helper()
	return s.Do(strings.Fields(line)...)
}

// Do is Say for arguments that a line cannot hold.
func (s *Session) Do(args ...string) string {
	s.t.Helper()
	r, err := s.Client.Do(args...)
	if _, ok := errors.AsType[resp.ServerError](err); err != nil && !ok {
		s.t.Fatal(err)
	}
	return short(r)
}

func short(r resp.Reply) string {
	switch {
	case r.Null:
		return "nil"
	case r.Kind == ':':
		return fmt.Sprint(r.Int)
	case r.Kind == '*', r.Kind == '%':
		var parts []string
		for _, e := range r.Elems {
			parts = append(parts, short(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return string(r.Bytes)
}

// CLI asks by the real redis-cli and returns what it prints. It skips the test where there
// is none.
func (s *Session) CLI(args ...string) string {
	s.t.Helper()
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		s.t.Skip("redis-cli is not installed (Debian: redis-tools)")
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, cli, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("redis-cli %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
