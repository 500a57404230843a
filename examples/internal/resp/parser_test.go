package resp

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseAll feeds in by pieces and returns all commands.
func parseAll(p *Parser, in []byte, piece int) (cmds [][]string, took int, err error) {
	for len(in) > 0 {
		n := copy(p.Space(), in[:min(piece, len(in))])
		p.Filled(n)
		in = in[n:]
		for {
			args, n, err := p.Next()
			took += n
			if err != nil {
				return cmds, took, err
			}
			if args == nil {
				break
			}
			cmds = append(cmds, text(args))
		}
	}
	return cmds, took, nil
}

func TestParser(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	in := "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\n*-1\r\n\r\nSET \"a b\" 'c'\r\nPING\n*2\r\n$100000\r\n" + big + "\r\n$0\r\n\r\n*1\r\n$4\r\n\r\n\x00\xff\r\n"
	want := [][]string{{"GET", "k"}, {"SET", "a b", "c"}, {"PING"}, {big, ""}, {"\r\n\x00\xff"}}
	for _, piece := range []int{1, 2, 3, 7, 100, 4096, 1 << 20} {
		got, took, err := parseAll(NewParser(Limits{}), []byte(in), piece)
		require.NoError(t, err)
		require.Equal(t, want, got, "in pieces of %d", piece)
		require.Equal(t, len(in), took)
	}
}

func TestParserRefuses(t *testing.T) {
	small := Limits{Args: 4, Bulk: 8, Command: 16, Inline: 20}
	for _, tc := range []struct{ name, in string }{
		{"too many arguments", "*5\r\n"},
		{"a count of 2^63", "*9223372036854775808\r\n"},
		{"a length of 2^63", "*1\r\n$9223372036854775808\r\n"},
		{"a length that never ends", "*1\r\n$" + strings.Repeat("0", 100)},
		{"nested arrays", "*1\r\n*1\r\n*1\r\n"},
		{"negative count", "*-2\r\n"},
		{"count is no number", "*x\r\n"},
		{"empty count", "*\r\n"},
		{"argument without header", "*1\r\nPING\r\n"},
		{"argument too long", "*1\r\n$9\r\n123456789\r\n"},
		{"negative argument", "*1\r\n$-1\r\n"},
		{"command too long", "*3\r\n$8\r\n12345678\r\n$8\r\n12345678\r\n$1\r\n1\r\n"},
		{"no CRLF after an argument", "*1\r\n$4\r\nPINGxx"},
		{"inline too long", strings.Repeat("a", 100) + "\r\n"},
		{"inline without end", strings.Repeat("a", 100)},
		{"inline with an open quote", "GET \"a\r\n"},
	} {
		for _, piece := range []int{1, 1 << 20} {
			_, _, err := parseAll(NewParser(small), []byte(tc.in), piece)
			require.ErrorIs(t, err, ErrProtocol, tc.name)
		}
	}
}

// What a header announces costs nothing before it arrives.
func TestParserAnnouncedLengthCostsNothing(t *testing.T) {
	in := []byte("*1000000\r\n$16000000\r\nshort")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		cmds, _, err := parseAll(NewParser(Limits{}), in, 1<<20)
		require.NoError(t, err)
		require.Empty(t, cmds)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/100, uint64(64<<10))
}

func TestParserDoesNotAllocate(t *testing.T) {
	p := NewParser(Limits{})
	frame := []byte("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n")
	read := func() {
		p.Filled(copy(p.Space(), frame))
		if args, _, err := p.Next(); len(args) != 3 || err != nil {
			t.Fatal(args, err)
		}
	}
	read()
	require.Zero(t, testing.AllocsPerRun(1000, read))
}

// FuzzParser holds the parser to the reader, whatever comes and in whatever pieces.
func FuzzParser(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), 3)
	f.Add([]byte("SET \"a\" 'b'\r\n*1\r\n$-1\r\n"), 1)
	f.Add([]byte("*-1\r\n*0\r\nPING\r\n*1\r\n*1\r\n"), 2)
	f.Add([]byte("*9223372036854775808\r\n"), 7)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		l := Limits{Args: 16, Bulk: 256, Command: 512, Inline: 128}
		r := NewReader(bytes.NewReader(in), l)
		var want [][]string
		var wantErr error
		for {
			args, err := r.ReadCommand()
			if err != nil {
				wantErr = err
				break
			}
			want = append(want, text(args))
		}
		got, took, err := parseAll(NewParser(l), in, max(piece%64, 1))
		if took > len(in) {
			t.Fatalf("took %d of %d bytes", took, len(in))
		}
		// Only about a frame that is not whole may they differ: one waits, the other may already
		// know that what comes cannot be right.
		if errors.Is(wantErr, ErrProtocol) != (err != nil) && err == nil {
			if len(got) != len(want) {
				t.Fatalf("%q: %v, want %v (%v)", in, got, want, wantErr)
			}
			return
		}
		require.Equal(t, want, got)
	})
}

func TestBuffer(t *testing.T) {
	var b Buffer
	write := func() {
		b.Status("OK\r\n")
		b.Error("ERR x\ny")
		b.Int(-12)
		b.Bool(true)
		b.Bool(false)
		b.Bulk([]byte("ab"))
		b.BulkString("c")
		b.Null()
		b.NullArray()
		b.Array(2)
		b.Map(1)
		b.Set(1)
		b.Push(3)
		b.Double(1.5)
		b.Command([]byte("GET"), []byte("k"))
	}
	write()
	require.Equal(t, "+OK  \r\n-ERR x y\r\n:-12\r\n:1\r\n:0\r\n$2\r\nab\r\n$1\r\nc\r\n$-1\r\n*-1\r\n*2\r\n*2\r\n*1\r\n*3\r\n$3\r\n1.5\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", string(b.B))
	b = Buffer{Proto: 3}
	write()
	require.Equal(t, "+OK  \r\n-ERR x y\r\n:-12\r\n:1\r\n:0\r\n$2\r\nab\r\n$1\r\nc\r\n_\r\n_\r\n*2\r\n%1\r\n~1\r\n>3\r\n,1.5\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", string(b.B))
	for f, want := range map[float64]string{0: "0", 3: "3", -2.5: "-2.5", 1e20: "100000000000000000000", 1e300: "1e+300", math.Inf(1): "inf", math.Inf(-1): "-inf", 1e-7: "1e-07"} {
		require.Equal(t, want, FormatDouble(f))
	}
}
