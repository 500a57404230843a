package vclock_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/ashlar-go/ashlar/vclock"
)

func ExampleSet() {
	const a, b = vclock.Actor(1), vclock.Actor(2)
	var s vclock.Set[string]
	put := func(read vclock.Vector, d vclock.Dot, v string) {
		if err := s.Put(read, d, v); err != nil {
			log.Fatal(err)
		}
	}
	put(vclock.Vector{}, vclock.Dot{Actor: a, Counter: 1}, "milk")
	read := s.Context()
	// Two clients replace what they read, neither knowing of the other.
	put(read, vclock.Dot{Actor: a, Counter: 2}, "milk, eggs")
	put(read, vclock.Dot{Actor: b, Counter: 1}, "milk, tea")
	for d, v := range s.Values() {
		fmt.Println(d, v)
	}
	put(s.Context(), vclock.Dot{Actor: b, Counter: 2}, "milk, eggs, tea")
	fmt.Println(s.Len(), s.Context())
	// Output:
	// 1:2 milk, eggs
	// 2:1 milk, tea
	// 1 {1:2 2:2}
}

func ExampleSet_Merge() {
	var here, there vclock.Set[string]
	if err := here.Put(vclock.Vector{}, vclock.Dot{Actor: 1, Counter: 1}, "draft"); err != nil {
		log.Fatal(err)
	}
	there.Merge(here)
	if err := there.Delete(there.Context(), vclock.Dot{Actor: 2, Counter: 1}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(here.Compare(there))
	here.Merge(there)
	there.Merge(here) // once more does no harm
	fmt.Println(here.Compare(there), here.Tombstone())
	// Output:
	// before
	// equal true
}

func ExampleValue() {
	var s vclock.Set[int]
	if err := s.Delete(vclock.Vector{}, vclock.Dot{Actor: 1, Counter: 1}); err != nil {
		log.Fatal(err)
	}
	for v := range s.All() {
		fmt.Println(v.Dot, v.Deleted)
	}
	// Output: 1:1 true
}

func ExampleAppendSet() {
	var s vclock.Set[string]
	if err := s.Put(vclock.Vector{}, vclock.Dot{Actor: 1, Counter: 1}, "tea"); err != nil {
		log.Fatal(err)
	}
	b := vclock.AppendSet(nil, &s, func(b []byte, v string) []byte { return append(b, v...) })
	read, err := vclock.DecodeSet(b, func(b []byte) (string, error) { return string(b), nil })
	if err != nil {
		log.Fatal(err)
	}
	for d, v := range read.Values() {
		fmt.Println(d, v, len(b))
	}
	_, err = vclock.DecodeSet(b[:9], func(b []byte) (string, error) { return string(b), nil })
	fmt.Println(errors.Is(err, vclock.ErrCorrupt))
	// Output:
	// 1:1 tea 26
	// true
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

func ExampleDot() {
	var v vclock.Vector
	v.Add(vclock.Dot{Actor: 0xa, Counter: 3})
	fmt.Println(v.Contains(vclock.Dot{Actor: 0xa, Counter: 2}), v.Contains(vclock.Dot{Actor: 0xa, Counter: 4}))
	// Output: true false
}

func ExampleActor() {
	// crypto/rand.Reader, outside of examples.
	a, err := vclock.NewActor(bytes.NewReader([]byte{0xd0, 1, 2, 3, 4, 5, 6, 7}))
	if err != nil {
		log.Fatal(err)
	}
	again, err := vclock.ParseActor(a.String())
	fmt.Println(a, again == a, err)
	// Output: d001020304050607 true <nil>
}

func ExampleOrder() {
	var never, once vclock.Vector
	once.Add(vclock.Dot{Actor: 1, Counter: 1})
	switch o := never.Compare(once); o {
	case vclock.Before:
		fmt.Println("out of date:", o)
	case vclock.Concurrent:
		fmt.Println("in conflict:", o)
	}
	// Output: out of date: before
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

func ExampleClockOptions() {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	var disk vclock.Timestamp // what survives
	o := vclock.ClockOptions{
		Now:   func() time.Time { return noon },
		Bound: func(t vclock.Timestamp) error { disk = t; return nil },
	}
	a, _ := vclock.NewClock(o).Now()
	// The process restarts, and the wall clock was set back by an hour.
	noon = noon.Add(-time.Hour)
	o.Last = disk
	b, _ := vclock.NewClock(o).Now()
	fmt.Println(a.Compare(b) < 0)
	// Output: true
}

func ExampleOffsetError() {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := vclock.NewClock(vclock.ClockOptions{Now: func() time.Time { return noon }})
	_, err := c.Observe(vclock.NewTimestamp(noon.Add(time.Hour)))
	if off, ok := errors.AsType[*vclock.OffsetError](err); ok {
		fmt.Println(off.Ahead, off.Max)
	}
	// Output: 1h0m0s 500ms
}

func ExampleTimestamp() {
	t := vclock.NewTimestamp(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)) + 3
	b, _ := t.AppendBinary(nil)
	fmt.Printf("%x\n%v\n", b, t)
	// Output:
	// 019b796dd6000003
	// 2026-01-01T12:00:00.000Z+3
}
