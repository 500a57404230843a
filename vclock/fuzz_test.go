package vclock

import (
	"bytes"
	"cmp"
	"errors"
	"testing"
)

func FuzzDecodeSet(f *testing.F) {
	var s Set[int]
	_ = s.Put(Vector{}, Dot{1, 1}, 5)
	_ = s.Delete(Vector{}, Dot{2, 9})
	f.Add(AppendSet(nil, &s, encodeInt), AppendSet(nil, &s, encodeInt))
	f.Add([]byte{1, 0, 0}, []byte{1, 0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		enc := func(b []byte, v string) []byte { return append(b, v...) }
		dec := func(b []byte) (string, error) { return string(b), nil }
		s, err := DecodeSet(a, dec)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if again := AppendSet(nil, &s, enc); !bytes.Equal(again, a) {
			t.Fatalf("%x reads as %x", a, again)
		}
		m := s
		m.Merge(s)
		if again := AppendSet(nil, &m, enc); !bytes.Equal(again, a) {
			t.Fatal("merge with itself changes the set")
		}
		// What two peers send, forged or not, merges into a set that is well formed and
		// knows all that either knew.
		o, err := DecodeSet(b, dec)
		if err != nil {
			return
		}
		m.Merge(o)
		read, err := DecodeSet(AppendSet(nil, &m, enc), dec)
		if err != nil || read.Compare(m) != Equal || read.Len() != m.Len() {
			t.Fatalf("the join is not well formed: %v", err)
		}
		for _, part := range []Set[string]{s, o} {
			if c := part.Compare(m); c != Equal && c != Before {
				t.Fatalf("the join is %v one of its parts", c)
			}
		}
	})
}

func FuzzVector(f *testing.F) {
	b, _ := vec(Dot{1, 1}, Dot{2, 300}).MarshalBinary()
	f.Add(b, b)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var v, w Vector
		bad := cmp.Or(v.UnmarshalBinary(a), w.UnmarshalBinary(b))
		got, err := CompareEncoded(a, b)
		if (bad != nil) != (err != nil) {
			t.Fatalf("decoding says %v, comparing %v", bad, err)
		}
		if bad != nil {
			if !errors.Is(bad, ErrCorrupt) || !errors.Is(err, ErrCorrupt) {
				t.Fatal(bad, err)
			}
			return
		}
		if got != v.Compare(w) {
			t.Fatalf("%v %v: %v", v, w, got)
		}
		if again, _ := v.MarshalBinary(); !bytes.Equal(again, a) {
			t.Fatal("not canonical")
		}
	})
}

func FuzzParseActor(f *testing.F) {
	f.Add("1")
	f.Add("fedcba9876543210")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseActor(s); err == nil && (a == 0 || a.String() != s) {
			t.Fatalf("%q reads as %v", s, a)
		}
	})
}
