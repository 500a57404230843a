package trie

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzLoad gives any bytes with right checksums to Load.
func FuzzLoad(f *testing.F) {
	f.Add(fileOf(f, small(f)))
	f.Add(fileOf(f, build(f, BuilderOptions{})))
	f.Add([]byte("ATRI"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		reseal(b)
		if s, err := Load(b); err == nil {
			use(s)
		}
	})
}

// FuzzTerms builds from any terms, a line each, and asks for all of their beginnings.
func FuzzTerms(f *testing.F) {
	f.Add("new york\nnew delhi\nno\n\xff\n", true)
	f.Add("ÅÅ\nÅ\né\n日本\n", false)
	f.Fuzz(func(t *testing.T, text string, words bool) {
		b := NewBuilder(BuilderOptions{WordStarts: words, HeadMin: 4, HeadK: 2})
		added := map[string]uint64{}
		for i, line := range bytes.Split([]byte(text), []byte("\n")) {
			if b.Add(string(line), uint64(i)) == nil {
				added[string(FoldDefault.append(nil, string(line)))] += uint64(i)
			} else {
				require.True(t, len(line) == 0 || len(line) > 1024 || !utf8.Valid(line))
			}
		}
		s, err := b.Build(t.Context())
		require.NoError(t, err)
		require.Equal(t, len(added), s.Len())
		for key, want := range added {
			got, ok := s.Score(key)
			require.True(t, ok)
			require.Equal(t, want, got)
			require.NotEmpty(t, s.TopK(key, 1))
		}
	})
}

// FuzzSymbols: whatever the table was trained on, what is encoded is decoded again.
func FuzzSymbols(f *testing.F) {
	f.Add([]byte("the quick brown fox the lazy dog the the the"), []byte("the fog"))
	f.Fuzz(func(t *testing.T, sample, text []byte) {
		table := trainSymbols(bytes.SplitAfter(sample, []byte(" ")))
		parsed, ok := parseSymbols(table.marshal(nil))
		require.True(t, ok)
		require.Equal(t, table, parsed)
		codes := newEncoder(table).append(nil, text)
		require.LessOrEqual(t, len(codes), 2*len(text))
		require.Equal(t, string(text), string(parsed.appendDecoded(nil, codes)))
		require.Equal(t, len(text), parsed.length(codes))
		n, same := parsed.match(codes, text)
		require.True(t, same)
		require.Equal(t, len(text), n)
		for cut := range text {
			n, same := parsed.match(codes, text[:cut])
			require.True(t, same)
			require.Equal(t, cut, n)
		}
	})
}

// FuzzParseSymbols gives any bytes as a table.
func FuzzParseSymbols(f *testing.F) {
	f.Add([]byte{2, 1, 2, 'a', 'b', 'c'}, []byte{0, 1, 255, 'x', 255})
	f.Fuzz(func(t *testing.T, b, codes []byte) {
		if table, ok := parseSymbols(b); ok {
			require.Equal(t, b, table.marshal(nil))
			text := table.appendDecoded(nil, codes)
			require.Len(t, text, table.length(codes))
		}
	})
}

// resealRecord makes the head of a log's first record right.
func resealRecord(b []byte) []byte {
	if len(b) < recordHead {
		return b
	}
	n := min(int(binary.LittleEndian.Uint32(b[4:])), len(b)-recordHead)
	n = max(n, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:recordHead+n], castagnoli))
	return b
}
