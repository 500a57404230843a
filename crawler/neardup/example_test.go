package neardup_test

import (
	"fmt"
	"strings"

	"github.com/ashlar-go/ashlar/crawler/neardup"
)

// page is a text with a date in it.
func page(date string) string {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "Sentence %d is about the number %d. ", i, i*i)
	}
	return b.String() + "Printed on " + date
}

func Example() {
	var index neardup.Index
	for id, text := range []string{page("Monday"), page("Tuesday"), "Something else, for a change."} {
		m, found := index.AddNew(neardup.Sum([]byte(text)), uint64(id))
		if found {
			fmt.Println("page", id, "is page", m.ID, "again")
		} else {
			fmt.Println("page", id, "is new")
		}
	}
	// Output:
	// page 0 is new
	// page 1 is page 0 again
	// page 2 is new
}

func ExampleHasher() {
	var h neardup.Hasher
	for _, piece := range []string{"The quick br", "own FOX"} {
		h.Write([]byte(piece))
	}
	fmt.Println(h.Words(), h.Sum64() == neardup.Sum([]byte("the quick brown fox.")))
	// Output: 4 true
}

func ExampleIndex_Near() {
	var index neardup.Index
	index.Add(0b0000, 1)
	index.Add(0b0111, 2)
	index.Add(0b1111, 3)
	for m := range index.Near(0b0000, 3) {
		fmt.Println(m.ID, m.Distance)
	}
	// Output:
	// 1 0
	// 2 3
}
