package resp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestReadCommand(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"array", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", []string{"GET", "k"}},
		{"empty argument", "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", []string{"GET", ""}},
		{"binary argument", "*1\r\n$4\r\n\r\n\x00\xff\r\n", []string{"\r\n\x00\xff"}},
		{"empty commands are skipped", "*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n", []string{"PING"}},
		{"inline", "SET key value\r\n", []string{"SET", "key", "value"}},
		{"inline with LF only", "PING\n", []string{"PING"}},
		{"inline with quotes", `SET "a \"b\"\n" 'c d'` + "\r\n", []string{"SET", "a \"b\"\n", "c d"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tc.in), iotest.OneByteReader(strings.NewReader(tc.in))} {
				rd := NewReader(r, Limits{})
				args, err := rd.ReadCommand()
				require.NoError(t, err)
				require.Equal(t, tc.want, text(args))
				_, err = rd.ReadCommand()
				require.ErrorIs(t, err, io.EOF)
			}
		})
	}
}

func TestReadCommandRefuses(t *testing.T) {
	small := Limits{Args: 4, Bulk: 8, Command: 16, Inline: 20}
	for _, tc := range []struct{ name, in string }{
		{"too many arguments", "*5\r\n"},
		{"huge count", "*99999999999999999999\r\n"},
		{"negative count", "*-2\r\n"},
		{"count is no number", "*x\r\n"},
		{"empty count", "*\r\n"},
		{"argument without header", "*1\r\nPING\r\n"},
		{"argument too long", "*1\r\n$9\r\n123456789\r\n"},
		{"negative argument", "*1\r\n$-1\r\n"},
		{"command too long", "*3\r\n$8\r\n12345678\r\n$8\r\n12345678\r\n$1\r\n1\r\n"},
		{"no CRLF after an argument", "*1\r\n$4\r\nPINGxx"},
		{"inline too long", strings.Repeat("a", 100) + "\r\n"},
		{"inline with an open quote", "GET \"a\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(tc.in), small).ReadCommand()
			require.ErrorIs(t, err, ErrProtocol)
		})
	}
}

// Every prefix of a command ends in io.ErrUnexpectedEOF, the empty one in io.EOF.
func TestReadCommandCutShort(t *testing.T) {
	const in = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
	for n := range len(in) {
		_, err := NewReader(strings.NewReader(in[:n]), Limits{}).ReadCommand()
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		require.ErrorIs(t, err, want, "cut at %d", n)
	}
}

// An announced length costs nothing before the bytes arrive.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	in := "*1\r\n$16000000\r\nshort"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, err := NewReader(strings.NewReader(in), Limits{}).ReadCommand()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/100, uint64(512<<10))
}

func TestReadCommandDoesNotAllocate(t *testing.T) {
	frame := []byte("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n")
	src := bytes.NewReader(nil)
	rd := NewReader(src, Limits{})
	read := func() {
		src.Reset(frame)
		rd.br.Reset(src)
		if _, err := rd.ReadCommand(); err != nil {
			t.Fatal(err)
		}
	}
	read()
	// The two header lines are short-lived copies.
	require.LessOrEqual(t, testing.AllocsPerRun(100, read), 4.0)
}

func FuzzReadCommand(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"))
	f.Add([]byte("SET \"a\" 'b'\r\n*1\r\n$-1\r\n"))
	f.Add([]byte("*-1\r\n*0\r\nPING\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		l := Limits{Args: 64, Bulk: 1 << 10, Command: 4 << 10, Inline: 1 << 10}
		rd := NewReader(bytes.NewReader(in), l)
		for {
			args, err := rd.ReadCommand()
			if err != nil {
				if !errors.Is(err, ErrProtocol) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("unexpected error %v", err)
				}
				return
			}
			// What was read is written back and must be read as the same.
			var buf bytes.Buffer
			w := NewWriter(&buf)
			w.Array(len(args))
			for _, a := range args {
				w.Bulk(a)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			again, err := NewReader(&buf, l).ReadCommand()
			if err != nil {
				if len(args) > l.Args || len(rd.buf) > l.Command {
					continue
				}
				for _, a := range args {
					if len(a) > l.Bulk {
						return
					}
				}
				t.Fatalf("%q does not read back: %v", args, err)
			}
			if got, want := text(again), text(args); !equal(got, want) {
				t.Fatalf("read back %q, want %q", got, want)
			}
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte("*2\r\n:1\r\n$-1\r\n"))
	f.Add([]byte("%1\r\n+k\r\n_\r\n"))
	f.Add([]byte("-ERR no\r\n"))
	f.Fuzz(func(_ *testing.T, in []byte) {
		c := newTestClient(bytes.NewReader(in))
		for {
			if _, err := c.read(0); err != nil {
				return
			}
		}
	})
}

func BenchmarkReadCommand(b *testing.B) {
	frame := []byte("*3\r\n$3\r\nSET\r\n$16\r\nuser:00000012345\r\n$100\r\n" + strings.Repeat("v", 100) + "\r\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	src := bytes.NewReader(frame)
	rd := NewReader(src, Limits{})
	for b.Loop() {
		src.Reset(frame)
		rd.br.Reset(src)
		if _, err := rd.ReadCommand(); err != nil {
			b.Fatal(err)
		}
	}
}

func text(args [][]byte) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = string(a)
	}
	return out
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestParseInt(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "-0": 0, "7": 7, "-12": -12, "007": 7,
		"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "999999999999999999": 999999999999999999,
	} {
		got, ok := ParseInt([]byte(in))
		require.True(t, ok, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "-", "+1", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809", "9999999999999999999", "18446744073709551617", "00000000000000000001"} {
		_, ok := ParseInt([]byte(in))
		require.False(t, ok, in)
	}
}
