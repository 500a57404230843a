package frontier

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

var sample = entry{
	url: "https://a.example/x?y=z", level: 7, depth: 3, found: 1_800_000_000,
	attempts: 2, visits: 9, last: 1_799_999_999, rate: -12.5, meta: []byte("meta"),
}

// FuzzChunk: what a chunk is taken for is encoded to a chunk of the same meaning.
func FuzzChunk(f *testing.F) {
	one := appendEntry([]byte{recordVersion, 1, 5}, &sample, "a.example", 5)
	two := appendEntry([]byte{recordVersion, 2, 5}, &entry{url: "http://b.example/", found: 5}, "a.example", 5)
	f.Add(one)
	f.Add(appendEntry(two, &sample, "b.example", 5))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, v []byte) {
		n, err := chunkCount(v)
		if err != nil {
			return
		}
		again := []byte{recordVersion, n}
		for pos := range n {
			c, err := openChunk(v, 1, 2, pos)
			if err != nil {
				return
			}
			if pos == 0 {
				again = append(again, v[2:len(v)-len(c.rest)]...)
			}
			e, err := c.entry("a.example")
			if err != nil {
				return
			}
			again = appendEntry(again, &e, "a.example", c.base)
			require.NoError(t, c.seek(0))
			require.NoError(t, c.seek(pos))
			back, err := c.entry("a.example")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(e), fmt.Sprint(back), "there and back")
		}
		for pos := range n {
			x, err := openChunk(v, 1, 2, pos)
			require.NoError(t, err)
			y, err := openChunk(again, 1, 2, pos)
			require.NoError(t, err)
			a, _ := x.entry("a.example")
			b, err := y.entry("a.example")
			require.NoError(t, err)
			if a.attempts == 0 && a.visits == 0 { // a history of nothing is not kept
				a.last, a.rate = 0, 0
			}
			require.Equal(t, a, b)
		}
	})
}

// FuzzRecords: the other records.
func FuzzRecords(f *testing.F) {
	h := host{name: "a.example", base: 1, penalty: 2, edge: 3, latency: 4, fails: 5, trips: 6, block: 7e6, visits: 8, budget: 9, held: true}
	f.Add(byte(0), appendHost(nil, &h))
	f.Add(byte(1), appendTimed(nil, &sample, "a.example"))
	f.Add(byte(2), appendDead(nil, &dead{entry: sample, at: 5, cause: "cause"}, "a.example"))
	f.Add(byte(3), appendDone(nil, 70000, 3))
	f.Add(byte(4), appendTemplate(nil, 4))
	f.Add(byte(5), appendClock(nil, 1<<60))
	f.Fuzz(func(t *testing.T, kind byte, v []byte) {
		var again []byte
		switch kind % 6 {
		case 0:
			x, err := decodeHost(v)
			if err != nil {
				return
			}
			again = appendHost(nil, &x)
			y, err := decodeHost(again)
			require.NoError(t, err)
			require.Equal(t, x, y)
		case 1:
			x, err := decodeTimed(v, "a.example")
			if err != nil {
				return
			}
			y, err := decodeTimed(appendTimed(nil, &x, "a.example"), "a.example")
			require.NoError(t, err)
			require.Equal(t, x.url, y.url)
			require.Equal(t, x.level, y.level)
		case 2:
			x, err := decodeDead(v, "a.example")
			if err != nil {
				return
			}
			y, err := decodeDead(appendDead(nil, &x, "a.example"), "a.example")
			require.NoError(t, err)
			require.Equal(t, x.cause, y.cause)
			require.Equal(t, x.url, y.url)
			_ = x.public("a.example")
		case 3:
			n, items, err := decodeDone(v)
			if err != nil {
				return
			}
			n2, items2, err := decodeDone(appendDone(nil, n, items))
			require.NoError(t, err)
			require.Equal(t, []any{n, items}, []any{n2, items2})
		case 4:
			if step, err := decodeTemplate(v); err == nil {
				require.LessOrEqual(t, step, uint8(maxStepTrap))
			}
		case 5:
			if now, err := decodeClock(v); err == nil {
				require.LessOrEqual(t, now, int64(maxTime))
			}
		}
	})
}

// FuzzStream: no bytes make Import panic, or take memory that they do not fill.
func FuzzStream(f *testing.F) {
	f.Add([]byte(streamMagic))
	f.Add(append([]byte(streamMagic), 0xff, 0xff, 0xff, 0xff, 0x0f))
	rec := appendHost(nil, &host{name: "a.example"})
	full := append(append([]byte(streamMagic), byte(len(rec))), rec...)
	key := chunkKey(0, 3, 9)
	val := appendEntry([]byte{recordVersion, 1, 5}, &sample, "a.example", 5)
	full = append(append(full, tagChunk, 5), key[5:]...)
	full = append(append(full, byte(len(val))), val...)
	f.Add(append(full, 0, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, v []byte) {
		s, err := readStream(context.Background(), bytes.NewReader(v))
		if err == nil {
			require.True(t, validHost(s.host.name))
		}
	})
}

// FuzzAdd: any URL is refused or comes back as it was.
func FuzzAdd(f *testing.F) {
	f.Add("https://a.example/x", "", 1.5, 3)
	f.Add("http://u@A.example:80?", "queue", 5.0, 0)
	f.Add("https://\xff\xfe/", "", math.NaN(), -1)
	f.Add("https://a.example:443", "a.example:443", 0.1, 1)
	o, _ := Options{}.validate()
	f.Fuzz(func(t *testing.T, url, queue string, prio float64, depth int) {
		it := Item{URL: url, Host: queue, Priority: prio, Depth: depth}
		name, lvl, reason := o.check(&it)
		if reason != "" {
			return
		}
		require.True(t, validHost(name))
		require.Less(t, lvl, uint8(levelCount))
		_ = template(url)
		e := entry{url: url, level: lvl, depth: uint16(depth)}
		got, err := decodeTimed(appendTimed(nil, &e, name), name)
		require.NoError(t, err)
		require.Equal(t, e, got)
	})
}
