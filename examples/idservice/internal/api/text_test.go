package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/snowflake"
)

// TestDecodeReadsEveryFormat: what a format writes is read, by its name and without, and the
// parts are those of the layout.
func TestDecodeReadsEveryFormat(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		id := snowflake.ID(rapid.Int64Range(0, 1<<63-1).Draw(rt, "id"))
		l := snowflake.Classic
		for _, f := range Formats {
			text := string(f.Append(nil, id))
			d, err := Decode(l, text, f.String())
			require.NoError(rt, err)
			require.Equal(rt, id, d.ID)
			p := l.Split(id)
			require.Equal(rt, p.Time, d.Time)
			require.Equal(rt, p.Node, d.Node)
			require.Equal(rt, p.Seq, d.Sequence)
			require.Equal(rt, p.Node, *d.DataCenter<<5|*d.Machine)
			for _, e := range d.Encodings {
				back, err := Decode(l, e.Text, e.Encoding)
				require.NoError(rt, err)
				require.Equal(rt, id, back.ID)
			}
			if d, err = Decode(l, text, ""); err != nil {
				require.ErrorIs(rt, err, ErrAmbiguous)
			} else {
				require.Equal(rt, id, d.ID)
			}
		}
	})
}

// FuzzDecode: any text is an id or an error, and an id is written as it was read.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "0", "781089295564828672", "0vhOd4Hp98q", "0ANPNY15MA000", "0ad70a0e6e800000", "9223372036854775808", "１", "-1"} {
		f.Add(s, "")
	}
	f.Add("0vhOd4Hp98q", "hex")
	f.Fuzz(func(t *testing.T, text, format string) {
		d, err := Decode(snowflake.Classic, text, format)
		if err != nil {
			require.False(t, strings.Contains(err.Error(), "\n"), "an error is one line: %q", err)
			return
		}
		require.Equal(t, text, map[string]string{
			d.Encodings[0].Encoding: d.Encodings[0].Text, d.Encodings[1].Encoding: d.Encodings[1].Text,
			d.Encodings[2].Encoding: d.Encodings[2].Text, d.Encodings[3].Encoding: d.Encodings[3].Text,
			d.Encodings[4].Encoding: d.Encodings[4].Text,
		}[d.Read])
		require.Len(t, d.Binary, 64)
	})
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range []struct {
		text, format string
		want         error
	}{
		{"", "", snowflake.ErrSyntax},
		{" 1", "", snowflake.ErrSyntax},
		{"-1", "", snowflake.ErrSyntax},
		{"+1", "", snowflake.ErrSyntax},
		{"01", "", snowflake.ErrSyntax},
		{"1.5", "", snowflake.ErrSyntax},
		{"9223372036854775808", "", snowflake.ErrRange},
		{"99999999999999999999", "", snowflake.ErrSyntax},
		{"zzzzzzzzzzz", "", snowflake.ErrRange},         // base62 beyond 63 bits
		{"8000000000000000", "hex", snowflake.ErrRange}, // the sign bit
		{"0ANPNY15MAI00", "", snowflake.ErrSyntax},      // I is no digit of base32
		{"0anpny15ma000", "base32", snowflake.ErrSyntax},
		{"0AD70A0E6E800000", "", snowflake.ErrSyntax}, // capitals are no hex of ours
		{"0vhOd4Hp98", "", snowflake.ErrSyntax},       // one too short
		{"1234567890123", "", ErrAmbiguous},           // plain, or base32
		{"12345678901", "", ErrAmbiguous},
		{"1", "roman", ErrEncoding},
		{"1", "HEX", ErrEncoding},
		{"1", "hex", snowflake.ErrSyntax},
	} {
		_, err := Decode(snowflake.Classic, c.text, c.format)
		require.ErrorIs(t, err, c.want, "%q as %q", c.text, c.format)
	}
	_, err := Decode(snowflake.JS53, "9007199254740992", "plain") // 2^53
	require.ErrorIs(t, err, snowflake.ErrRange)
	d, err := Decode(snowflake.JS53, "9007199254740991", "plain")
	require.NoError(t, err)
	require.Nil(t, d.DataCenter, "only the classic cut has data centres")
	// Nineteen digits are the same number, plain or padded.
	d, err = Decode(snowflake.Classic, "1000000000000000000", "")
	require.NoError(t, err)
	require.Equal(t, snowflake.ID(1e18), d.ID)
}

func TestParseCount(t *testing.T) {
	for _, s := range []string{"", "0", "-1", "10001", "1e3", "x", " 1", "99999999999999999999", strings.Repeat("9", 1000)} {
		_, err := ParseCount(s)
		require.ErrorIs(t, err, ErrCount, "%q", s)
		require.Less(t, len(err.Error()), 200)
	}
	n, err := ParseCount("10000")
	require.NoError(t, err)
	require.Equal(t, MaxFill, n)
}
