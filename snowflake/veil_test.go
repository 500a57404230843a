package snowflake

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

var secret = []byte("a secret of more than 16 bytes")

func newTestVeil(t testing.TB, context string) *Veil {
	t.Helper()
	v, err := NewVeil(secret, context)
	require.NoError(t, err)
	return v
}

// TestSpeckVector is the test vector of the paper for Speck64/128.
func TestSpeckVector(t *testing.T) {
	v := newVeil([4]uint32{0x03020100, 0x0b0a0908, 0x13121110, 0x1b1a1918})
	require.Equal(t, uint64(0x8c6fa548_454e028b), v.encipher(0x3b726574_7475432d))
	require.Equal(t, uint64(0x3b726574_7475432d), v.decipher(0x8c6fa548_454e028b))
}

func TestVeil(t *testing.T) {
	orders, users := newTestVeil(t, "order"), newTestVeil(t, "user")
	rapid.Check(t, func(t *rapid.T) {
		id := ID(rapid.Int64().Draw(t, "id"))
		public := orders.Hide(id)
		require.Equal(t, id, orders.Reveal(public))
		require.Equal(t, public, orders.Hide(orders.Reveal(public)))
		require.Equal(t, id < 0, public < 0)
		if id > 1000 {
			require.NotEqual(t, public, users.Hide(id))
		}
	})
}

// TestVeilHides: neighbours are strangers, half of their bits differ.
func TestVeilHides(t *testing.T) {
	v := newTestVeil(t, "")
	const n = 20_000
	sum, rising := 0, 0
	seen := map[ID]bool{}
	for id := range ID(n) {
		a, b := v.Hide(id), v.Hide(id+1)
		sum += bits.OnesCount64(uint64(a ^ b))
		if a < b {
			rising++
		}
		require.False(t, seen[a])
		seen[a] = true
	}
	require.InDelta(t, 31.5, float64(sum)/n, 0.2)
	require.InDelta(t, 0.5, float64(rising)/n, 0.02)
}

func TestVeilGolden(t *testing.T) {
	var b strings.Builder
	for _, context := range []string{"", "order"} {
		v := newTestVeil(t, context)
		for _, id := range []ID{0, 1, 2, 781_088_256_522_388_156, maxID} {
			fmt.Fprintf(&b, "%q %d %d\n", context, id, v.Hide(id))
		}
	}
	testkit.Golden(t, "testdata/veil-v1.txt", b.String())
	for _, short := range [][]byte{nil, secret[:15]} {
		_, err := NewVeil(short, "")
		require.ErrorIs(t, err, ErrKey)
	}
}

func TestForm(t *testing.T) {
	orders := Form{Prefix: "ord_", Encoding: Base32, Veil: newTestVeil(t, "order")}
	plain := Form{Prefix: "usr_", Encoding: Base62}
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t, "id")
		for _, f := range []Form{orders, plain, {}} {
			s := f.Format(id)
			require.Equal(t, s, string(f.Append(nil, id)))
			got, err := f.Parse(s)
			require.NoError(t, err)
			require.Equal(t, id, got)
		}
		_, err := orders.Parse(plain.Format(id))
		require.ErrorIs(t, err, ErrSyntax)
		_, err = orders.Parse(strings.ToLower(orders.Format(id)))
		if err == nil {
			require.Equal(t, strings.ToLower(orders.Format(id)), orders.Format(id), "digits only")
		}
	})
	_, err := orders.Parse("ord_8000000000000")
	require.ErrorIs(t, err, ErrRange)
}
