package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/snowflake"
)

const good = `{"service": "s", "layout": "wide", "workers": 3, "ttl": "2s", "nodes": [
	{"id": "a", "http": "127.0.0.1:1", "redis": "127.0.0.1:2"}, {"id": "b", "http": "127.0.0.1:3"}]}`

func TestConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.json")
	require.NoError(t, os.WriteFile(path, []byte(good), 0o644))
	c, err := ReadConfig(path)
	require.NoError(t, err)
	store := &snowflake.MemStore{}
	o, err := c.Options("b", store)
	require.NoError(t, err)
	require.Equal(t, Options{ID: "b", Store: store, Layout: snowflake.Wide, Workers: 3, Prefer: 1, TTL: 2 * time.Second}, o)
	_, err = c.Options("c", store)
	require.ErrorIs(t, err, ErrConfig)
	_, ok := c.Member("c")
	require.False(t, ok)

	c, err = ParseConfig([]byte(`{"nodes": [{"id": "a", "http": ":1"}]}`))
	require.NoError(t, err)
	require.Equal(t, 1024, c.Workers)
	require.Equal(t, "classic", c.Layout)
}

func TestBadConfig(t *testing.T) {
	for _, c := range []struct{ old, now, says string }{
		{`"wide"`, `"narrow"`, "classic, wide"},
		{`3, "ttl"`, `65, "ttl"`, "the layout has 64"},
		{`3, "ttl"`, `-1, "ttl"`, "-1 workers"},
		{`"2s"`, `"2"`, "duration"},
		{`"2s"`, `"1ms"`, "between"},
		{`"2s"`, `"48h"`, "between"},
		{`"b"`, `"a"`, `"a"`},
		{`"b"`, `""`, "names"},
		{`"b"`, `"` + strings.Repeat("b", 65) + `"`, "names"},
		{`"127.0.0.1:3"`, `"127.0.0.1:2"`, "twice"},
		{`"127.0.0.1:3"`, `"127.0.0.1"`, "missing port"},
		{`"127.0.0.1:3"`, `""`, "no http"},
		{`"service"`, `"servise"`, "servise"},
		{`]}`, `]} {}`, "follows"},
		{`]}`, ``, "unexpected EOF"},
		{good, ``, "EOF"},
		{good, `{}`, "no nodes"},
		{good, `[]`, "cannot unmarshal"},
		{good, strings.Repeat(" ", maxConfig+1), "more than"},
	} {
		_, err := ParseConfig([]byte(strings.Replace(good, c.old, c.now, 1)))
		require.ErrorIs(t, err, ErrConfig, "%s", c.now)
		require.ErrorContains(t, err, c.says)
	}
	_, err := ReadConfig(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestBadOptions(t *testing.T) {
	store := &snowflake.MemStore{}
	for _, o := range []Options{
		{},
		{ID: "a", Workers: 1},
		{Store: store, Workers: 1},
		{ID: "a", Store: store},
		{ID: "a", Store: store, Workers: 1025},
		{ID: "a", Store: store, Workers: 1, TTL: -1},
		{ID: "a", Store: store, Workers: 1, Layout: snowflake.Layout{TimeBits: 1, NodeBits: 1, SeqBits: 1}},
	} {
		_, err := Open(o)
		require.ErrorIs(t, err, ErrOptions)
	}
}

// TestMeter: ids that stop coming leave the rate after two seconds at the latest; those of
// the slice that is being filled are not in it yet.
func TestMeter(t *testing.T) {
	var m meter
	m.began = time.Now().Add(-10 * slice)
	m.add(100)
	require.Zero(t, m.rate())
	m.began = m.began.Add(-slice)
	require.InDelta(t, 50, m.rate(), 0.1)
	m.began = m.began.Add(-slices * slice)
	require.Zero(t, m.rate())
}
