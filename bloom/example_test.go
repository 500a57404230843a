package bloom_test

import (
	"fmt"

	"github.com/ashlar-go/ashlar/bloom"
)

func Example() {
	f := bloom.New(1_000_000, 0.01)
	f.AddString("alice")
	fmt.Println(f.HasString("alice"), f.HasString("bob"))
	// Output: true false
}

func ExampleFilter_HasMany() {
	f := bloom.New(1000, 0.001)
	f.AddString("b")
	hashes := []uint64{bloom.HashString("a"), bloom.HashString("b"), bloom.HashString("c")}
	out := make([]uint64, 1)
	n := f.HasMany(hashes, out)
	fmt.Printf("%d may be there: %03b\n", n, out[0])
	// Output: 1 may be there: 010
}

func ExampleFilter_UnmarshalBinary() {
	f := bloom.New(100, 0.01)
	f.AddString("key")
	b, _ := f.MarshalBinary()
	b[70] ^= 1
	fmt.Println(new(bloom.Filter).UnmarshalBinary(b))
	// Output: bloom: corrupt encoding: checksum
}

func ExampleClassic() {
	c := bloom.NewClassic(1000, 0.01)
	c.AddString("x")
	b, _ := c.AppendStandard(nil) // bits-and-blooms reads this
	d, _ := bloom.ParseStandard(b)
	fmt.Println(d.HasString("x"), d.HasString("y"))
	// Output: true false
}

func ExampleConcurrent() {
	c := bloom.NewConcurrent(1000, 0.01)
	fmt.Println(c.AddString("url"), c.AddString("url"))
	// Output: true false
}

func ExampleCounting() {
	c := bloom.NewCounting(1000, 0.01)
	c.Add([]byte("session"))
	fmt.Println(c.Remove([]byte("session")), c.Has([]byte("session")))
	// Output: true false
}

func ExampleScalable() {
	s := bloom.NewScalable(10, 0.01)
	for i := range 10_000 {
		s.Add(fmt.Append(nil, i))
	}
	fmt.Println(s.Has([]byte("9999")), s.FPR() < 0.01)
	// Output: true true
}

func ExampleBuilder() {
	var b bloom.Builder
	for _, w := range []string{"red", "green", "blue"} {
		b.Add([]byte(w))
	}
	f, err := b.Fuse(16)
	fmt.Println(err, f.Has([]byte("green")), f.Has([]byte("mauve")))
	// Output: <nil> true false
}
