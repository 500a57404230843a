package vclock_test

import (
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/vclock"
)

func ExampleSet() {
	const a, b = vclock.Actor(1), vclock.Actor(2)
	var s vclock.Set[string]
	s.Put(vclock.Vector{}, vclock.Dot{Actor: a, Counter: 1}, "milk")
	read := s.Context()
	// Two clients replace what they read, neither knowing of the other.
	s.Put(read, vclock.Dot{Actor: a, Counter: 2}, "milk, eggs")
	s.Put(read, vclock.Dot{Actor: b, Counter: 1}, "milk, tea")
	for _, v := range s.Values() {
		fmt.Println(v)
	}
	s.Put(s.Context(), vclock.Dot{Actor: b, Counter: 2}, "milk, eggs, tea")
	fmt.Println(s.Len(), s.Context())
	// Output:
	// milk, eggs
	// milk, tea
	// 1 {1:2 2:2}
}

func ExampleVector() {
	var v, w vclock.Vector
	v.Add(vclock.Dot{Actor: 1, Counter: 2})
	w.Add(vclock.Dot{Actor: 1, Counter: 1})
	w.Add(vclock.Dot{Actor: 2, Counter: 1})
	fmt.Println(v.Compare(w))
	v.Merge(w)
	fmt.Println(v, v.Compare(w))
	// Output:
	// concurrent
	// {1:2 2:1} after
}

func ExampleCompareEncoded() {
	var v vclock.Vector
	a, _ := v.MarshalBinary()
	v.Add(vclock.Dot{Actor: 7, Counter: 1})
	b, _ := v.MarshalBinary()
	fmt.Println(vclock.CompareEncoded(a, b))
	// Output: before <nil>
}

func ExampleClock() {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := vclock.NewClock(vclock.ClockOptions{Now: func() time.Time { return noon }})
	a, _ := c.Now()
	remote := vclock.NewTimestamp(noon.Add(20 * time.Millisecond))
	b, _ := c.Observe(remote)
	fmt.Println(a)
	fmt.Println(b)
	// Output:
	// 2026-01-01T12:00:00.000Z+0
	// 2026-01-01T12:00:00.020Z+1
}
