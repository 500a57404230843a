package story

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func newTest(terminal bool) (*Story, *bytes.Buffer) {
	var buf bytes.Buffer
	s := New(&buf, terminal)
	clock := s.start
	s.now = func() time.Time { clock = clock.Add(250 * time.Millisecond); return clock }
	return s, &buf
}

func TestStory(t *testing.T) {
	s, buf := newTest(false)
	s.Chapter("load %d", 2)
	s.Progress(1, 2, "half")
	s.Progress(2, 2, "2 of 2")
	s.Say("a node is killed")
	require.True(t, s.Check(true, "nothing lost"))
	require.True(t, s.CheckErr(nil, "healed"))
	require.NoError(t, s.Close())
	require.Equal(t, `
  0.25s # load 2
  0.50s    2 of 2
  0.75s   a node is killed
  1.00s ok nothing lost
  1.25s ok healed
2 passed, 0 failed
`, buf.String())
}

func TestStoryCountsFailures(t *testing.T) {
	s, buf := newTest(false)
	s.Check(true, "one")
	s.Check(false, "two")
	s.CheckErr(errors.New("boom"), "three")
	err := s.Close()
	require.ErrorIs(t, err, ErrFailed)
	require.ErrorContains(t, err, "two; three: boom")
	require.Contains(t, buf.String(), "FAILED two\n")
	require.Contains(t, buf.String(), "1 passed, 2 failed\n")
}

func TestProgressOnATerminal(t *testing.T) {
	s, buf := newTest(true)
	s.Progress(1, 2, "a")
	s.Say("interrupts")
	s.Progress(2, 2, "b")
	require.Equal(t, "\r\x1b[K  0.25s [============            ] a\n"+
		"  0.50s   interrupts\n"+
		"\r\x1b[K  0.75s [========================] b\n", buf.String())
}

func TestBar(t *testing.T) {
	require.Equal(t, "[    ]", bar(-1, 4, 4))
	require.Equal(t, "[====]", bar(9, 4, 4))
	require.Equal(t, "[====]", bar(0, 0, 4))
}

func TestMirror(t *testing.T) {
	s, _ := newTest(false)
	s.Say("before anybody listens")
	var got []string
	s.Mirror(func(kind, text string) { got = append(got, kind+": "+text) })
	s.Chapter("%d nodes", 5)
	s.Say("100 %% of %s", "them")
	s.Progress(1, 1, "done")
	s.Check(true, "up")
	s.CheckErr(errors.New("boom"), "down")
	require.Equal(t, []string{"chapter: 5 nodes", "says: 100 % of them", "checks: up", "fails: down: boom"}, got)
}

func TestPlay(t *testing.T) {
	boom := errors.New("boom")
	told := func(s *Story, ok bool) func(context.Context) error {
		return func(context.Context) error { s.Check(ok, "told"); return nil }
	}
	s, buf := newTest(false)
	fails := func(context.Context) error { return boom }
	require.ErrorIs(t, s.Play(t.Context(), told(s, true), fails, told(s, true)), boom)
	require.Equal(t, "  0.25s ok told\n", buf.String())
	require.NoError(t, s.Play(t.Context(), told(s, true)))
	require.Contains(t, buf.String(), "2 passed, 0 failed\n")
	require.ErrorIs(t, s.Play(t.Context(), told(s, false)), ErrFailed)

	for _, err := range []error{nil, boom} {
		s, buf := newTest(false)
		ctx, cancel := context.WithCancel(t.Context())
		require.ErrorIs(t, s.Play(ctx, func(context.Context) error { cancel(); return err }, told(s, true)), ErrInterrupted)
		require.Empty(t, buf.String())
	}
}

func TestHost(t *testing.T) {
	require.False(t, IsTerminal(&bytes.Buffer{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.False(t, PortFree(port))
	require.False(t, PortsFree(port-1, 2))
	require.True(t, PortsFree(port, 0))
	require.NoError(t, l.Close())
	n := 0
	require.NoError(t, Await(t.Context(), func() bool { n++; return n == 3 }))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrFailed)
	require.ErrorIs(t, Await(ctx, func() bool { return false }), ErrFailed)
}
