package ring_test

import (
	"fmt"

	"github.com/ashlar-go/ashlar/ring"
)

func Example() {
	r, err := ring.New(ring.Options{}, ring.Node{ID: "a", Zone: "east"}, ring.Node{ID: "b", Zone: "east"}, ring.Node{ID: "c", Zone: "west"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range r.Owners("user:42")[:2] {
		fmt.Println(n.ID, n.Zone)
	}
	// Output:
	// a east
	// c west
}

func ExampleRing_Update() {
	r, _ := ring.New(ring.Options{VirtualNodes: 1}, ring.Node{ID: "a"}, ring.Node{ID: "b"})
	change, _ := r.Update(func(e *ring.Edit) {
		e.Put(ring.Node{ID: "c"})
		e.Remove("a")
	})
	for m := range change.Moves(1) {
		fmt.Println(m.From[0].ID, "→", m.To[0].ID)
	}
	// Output:
	// a → c
	// b → c
	// a → c
}

func ExampleView() {
	r, _ := ring.New(ring.Options{}, ring.Node{ID: "a"}, ring.Node{ID: "b"})
	v := r.View() // one state for several lookups
	n := 0
	for range v.Walk(v.Hash("key")) {
		n++
	}
	fmt.Println(n, v.Len())
	// Output: 2 2
}

func ExampleTable() {
	t, _ := ring.NewTable(ring.TableOptions{Partitions: 8}, ring.Node{ID: "a"}, ring.Node{ID: "b"}, ring.Node{ID: "c"})
	plan, _ := t.Plan(ring.Node{ID: "a"}, ring.Node{ID: "b"}, ring.Node{ID: "c"}, ring.Node{ID: "d"})
	moved := 0
	for step := range plan.Steps(2) {
		moved += len(step)
	}
	fmt.Println("epoch", t.Epoch(), "to", plan.Result().Epoch(), "moves", moved, "of 24 replicas")
	// Output: epoch 1 to 2 moves 6 of 24 replicas
}

func ExampleBounded() {
	r, _ := ring.New(ring.Options{}, ring.Node{ID: "a"}, ring.Node{ID: "b"})
	b := ring.NewBounded(r, 0.25)
	var held []ring.Token
	for range 8 { // one hot key
		t, _ := b.Acquire("hot")
		held = append(held, t)
	}
	fmt.Println(b.Load("a"), b.Load("b"))
	for _, t := range held {
		t.Release()
	}
	fmt.Println(b.Load("a"), b.Load("b"))
	// Output:
	// 5 3
	// 0 0
}

func ExampleJump() {
	h := ring.HashString(0, "key")
	fmt.Println(ring.Jump(h, 10) < 10, ring.Jump(h, 0))
	// Output: true -1
}

func ExampleRendezvous() {
	r := ring.NewRendezvous(ring.Node{ID: "a"}, ring.Node{ID: "b", Weight: 3})
	n, ok := r.Pick(ring.HashString(0, "key"))
	fmt.Println(n.ID, ok)
	// Output: a true
}

func ExampleMaglev() {
	m, err := ring.NewMaglev(101, ring.Node{ID: "a"}, ring.Node{ID: "b"})
	n, ok := m.Pick(ring.HashString(0, "key"))
	fmt.Println(n.ID, ok, err)
	// Output: b true <nil>
}
