package snowflake

import (
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

var (
	_ fmt.Stringer               = ID(0)
	_ encoding.TextAppender      = ID(0)
	_ encoding.TextMarshaler     = ID(0)
	_ encoding.TextUnmarshaler   = (*ID)(nil)
	_ encoding.BinaryAppender    = ID(0)
	_ encoding.BinaryMarshaler   = ID(0)
	_ encoding.BinaryUnmarshaler = (*ID)(nil)
	_ json.Marshaler             = ID(0)
	_ json.Unmarshaler           = (*ID)(nil)
	_ driver.Valuer              = ID(0)
	_ sql.Scanner                = (*ID)(nil)
)

var encodings = []Encoding{Decimal, Base32, Base62, Hex}

func drawID(t *rapid.T, label string) ID {
	if rapid.Bool().Draw(t, label+" near a power") {
		return ID(max(int64(1)<<rapid.IntRange(0, 62).Draw(t, label)-1+rapid.Int64Range(0, 1).Draw(t, label+" plus"), 0))
	}
	return ID(rapid.Int64Range(0, math.MaxInt64).Draw(t, label))
}

// TestEncodings: fixed width, one text for an id and one id for a text, sorted alike.
func TestEncodings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawID(t, "a"), drawID(t, "b")
		for _, e := range encodings {
			ta, tb := e.Format(a), e.Format(b)
			require.Len(t, ta, e.Width())
			require.Equal(t, a < b, ta < tb, "%s: %s and %s", e, ta, tb)
			require.Equal(t, "x"+ta, string(e.Append([]byte("x"), a)))
			got, err := e.Parse(ta)
			require.NoError(t, err)
			require.Equal(t, a, got)
			got, err = e.ParseBytes([]byte(ta))
			require.NoError(t, err)
			require.Equal(t, a, got)
		}
	})
}

// TestEncodingsAtLength does the same for a million ids, without a property tester's pace.
func TestEncodingsAtLength(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	rng := testkit.Rand(t)
	var was [4]string
	buf := make([]byte, 0, 32)
	id := ID(0)
	for range n {
		for i, e := range encodings {
			buf = e.Append(buf[:0], id)
			if got, err := e.ParseBytes(buf); err != nil || got != id || string(buf) <= was[i] {
				t.Fatalf("%s: %d, %q after %q, %v", e, id, buf, was[i], err)
			}
			was[i] = string(buf)
		}
		id += 1 + ID(rng.Int64N(math.MaxInt64/int64(n)))
	}
}

// TestEveryCorruption changes each byte of a text to each other byte: either the result is
// the text of another id, or it is refused.
func TestEveryCorruption(t *testing.T) {
	for _, id := range []ID{0, 1, 781_088_256_522_388_156, math.MaxInt64} {
		for _, e := range encodings {
			good := e.Format(id)
			for i := range good {
				for c := range 256 {
					b := []byte(good)
					b[i] = byte(c)
					got, err := e.ParseBytes(b)
					if err == nil {
						require.Equal(t, string(b), e.Format(got))
						require.Equal(t, string(b) == good, got == id)
						continue
					}
					require.Zero(t, got)
					_, wrongDigit := strings.CutPrefix(err.Error(), ErrSyntax.Error())
					require.Equal(t, !strings.ContainsRune(e.table().digits, rune(c)) || c > 127, wrongDigit, "%s: %q: %v", e, b, err)
				}
			}
			for n := range good {
				_, err := e.Parse(good[:n])
				require.ErrorIs(t, err, ErrSyntax)
			}
			_, err := e.Parse(good + "0")
			require.ErrorIs(t, err, ErrSyntax)
		}
	}
}

func TestWrongTexts(t *testing.T) {
	for _, c := range []struct {
		e    Encoding
		s    string
		want error
	}{
		{Decimal, "9223372036854775808", ErrRange},
		{Decimal, "9999999999999999999", ErrRange},
		{Decimal, "-000000000000000001", ErrSyntax},
		{Decimal, "+000000000000000001", ErrSyntax},
		{Decimal, " 000000000000000001", ErrSyntax},
		{Base32, "7ZZZZZZZZZZZZ", nil},
		{Base32, "8000000000000", ErrRange},
		{Base32, "ZZZZZZZZZZZZZ", ErrRange},
		{Base32, "7zzzzzzzzzzzz", ErrSyntax},
		{Base32, "000000000000O", ErrSyntax},
		{Base32, "000000000000I", ErrSyntax},
		{Base32, "000000000000L", ErrSyntax},
		{Base32, "000000000000U", ErrSyntax},
		{Base62, "AzL8n0Y58m7", nil},
		{Base62, "AzL8n0Y58m8", ErrRange},
		{Base62, "zzzzzzzzzzz", ErrRange},
		{Base62, "0000000000_", ErrSyntax},
		{Hex, "7fffffffffffffff", nil},
		{Hex, "7FFFFFFFFFFFFFFF", ErrSyntax},
		{Hex, "8000000000000000", ErrRange},
		{Hex, "0x00000000000000", ErrSyntax},
	} {
		id, err := c.e.Parse(c.s)
		if c.want == nil {
			require.NoError(t, err, c.s)
			require.Equal(t, ID(math.MaxInt64), id, c.s)
			continue
		}
		require.ErrorIs(t, err, c.want, "%s %s", c.e, c.s)
	}
	require.Equal(t, "Encoding(9)", Encoding(9).String())
	require.Equal(t, Decimal.Format(5), Encoding(9).Format(5))
	require.Equal(t, "base62", Base62.String())
}

func TestDecimalText(t *testing.T) {
	for s, want := range map[string]error{
		"0": nil, "7": nil, "9223372036854775807": nil,
		"9223372036854775808": ErrRange, "9999999999999999999": ErrRange,
		"10000000000000000000": ErrSyntax, "": ErrSyntax, "00": ErrSyntax, "01": ErrSyntax, "-1": ErrSyntax, "+1": ErrSyntax,
		" 1": ErrSyntax, "1 ": ErrSyntax, "1.0": ErrSyntax, "1e3": ErrSyntax, "0x1": ErrSyntax, "1_0": ErrSyntax, "١": ErrSyntax,
	} {
		id, err := Parse(s)
		u, n := ID(5), ID(5)
		uerr, serr := u.UnmarshalText([]byte(s)), n.Scan(s)
		if want != nil {
			require.ErrorIs(t, err, want, s)
			require.ErrorIs(t, uerr, want, s)
			require.ErrorIs(t, serr, want, s)
			require.Equal(t, []ID{0, 5, 5}, []ID{id, u, n}, "unchanged after an error")
			continue
		}
		require.NoError(t, err, s)
		require.Equal(t, s, id.String())
		require.Equal(t, []ID{id, id}, []ID{u, n})
		b, err := id.AppendText([]byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x"+s, string(b))
	}
}

func TestJSON(t *testing.T) {
	type doc struct {
		ID   ID
		Opt  *ID `json:",omitempty"`
		Keys map[ID]string
	}
	d := doc{ID: math.MaxInt64, Keys: map[ID]string{7: "x"}}
	b, err := json.Marshal(d)
	require.NoError(t, err)
	require.JSONEq(t, `{"ID":"9223372036854775807","Keys":{"7":"x"}}`, string(b))
	var back doc
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, d, back)
	// A parser that has only floats keeps the string exact.
	var loose any
	require.NoError(t, json.Unmarshal(b, &loose))
	again, err := json.Marshal(loose)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(again, &back))
	require.Equal(t, d, back)

	for s, want := range map[string]error{
		`{"ID":12}`: nil, `{"ID":"12"}`: nil, `{"ID":null}`: nil,
		`{"ID":9.2e18}`: ErrSyntax, `{"ID":12.0}`: ErrSyntax, `{"ID":-1}`: ErrSyntax, `{"ID":""}`: ErrSyntax, `{"ID":" 1"}`: ErrSyntax,
		`{"ID":true}`: ErrSyntax, `{"ID":{}}`: ErrSyntax, `{"ID":"\u0031"}`: ErrSyntax, `{"ID":9223372036854775808}`: ErrRange,
	} {
		v := doc{ID: 12}
		require.ErrorIs(t, json.Unmarshal([]byte(s), &v), want, s)
		require.Equal(t, ID(12), v.ID, s)
	}
	for _, s := range []string{"", `"`, `"1`, `1"`} {
		require.Error(t, new(ID).UnmarshalJSON([]byte(s)), "%q", s)
	}
}

func TestBinaryAndSQL(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawID(t, "a"), drawID(t, "b")
		ba, err := a.MarshalBinary()
		require.NoError(t, err)
		bb, err := b.AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, a < b, string(ba) < string(bb))
		var got ID
		require.NoError(t, got.UnmarshalBinary(ba))
		require.Equal(t, a, got)
		v, err := a.Value()
		require.NoError(t, err)
		require.Equal(t, int64(a), v)
		got = 0
		require.NoError(t, got.Scan(v))
		require.Equal(t, a, got)
		require.NoError(t, got.Scan([]byte(b.String())))
		require.Equal(t, b, got)
	})
	id := ID(5)
	for _, b := range []string{"", "1234567", "123456789"} {
		require.ErrorIs(t, id.UnmarshalBinary([]byte(b)), ErrSyntax)
	}
	require.ErrorIs(t, id.UnmarshalBinary([]byte("\x8001234567"[:8])), ErrRange)
	for _, src := range []any{nil, 1.5, true, int32(1)} {
		require.ErrorIs(t, id.Scan(src), ErrSyntax)
	}
	require.ErrorIs(t, id.Scan(int64(-1)), ErrRange)
	require.Equal(t, ID(5), id)
	var null sql.Null[ID]
	require.NoError(t, null.Scan(nil))
	require.False(t, null.Valid)
	require.NoError(t, null.Scan(int64(9)))
	require.Equal(t, sql.Null[ID]{V: 9, Valid: true}, null)
}

// TestNegative: nothing writes an id that it would not read.
func TestNegative(t *testing.T) {
	id := ID(-7)
	_, err := id.MarshalText()
	require.ErrorIs(t, err, ErrRange)
	_, err = id.MarshalJSON()
	require.ErrorIs(t, err, ErrRange)
	_, err = id.MarshalBinary()
	require.ErrorIs(t, err, ErrRange)
	_, err = id.Value()
	require.ErrorIs(t, err, ErrRange)
	require.Equal(t, "-7", id.String())
	for _, e := range encodings {
		_, err := e.Parse(e.Format(id))
		require.NoError(t, err)
	}
	_ = Classic.Split(id)
}

func FuzzParse(f *testing.F) {
	for _, id := range []ID{0, 42, math.MaxInt64} {
		f.Add(id.String())
		for _, e := range encodings {
			f.Add(e.Format(id))
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, e := range encodings {
			if id, err := e.Parse(s); err == nil {
				require.Equal(t, s, e.Format(id))
			}
		}
		if id, err := Parse(s); err == nil {
			require.Equal(t, s, id.String())
		}
		var id ID
		if id.UnmarshalJSON([]byte(s)) == nil && s != "null" {
			require.Equal(t, strings.Trim(s, `"`), id.String())
		}
		if id.UnmarshalBinary([]byte(s)) == nil {
			b, err := id.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, s, string(b))
		}
	})
}
