package merkle_test

import (
	"fmt"
	"iter"

	"github.com/ashlar-go/ashlar/merkle"
)

// Two replicas find the keys in which they differ.
func ExampleSession() {
	type store map[string]uint64
	source := func(s store) merkle.SourceFunc {
		return func([]uint32) iter.Seq2[merkle.Item, error] {
			return func(yield func(merkle.Item, error) bool) {
				for k, v := range s {
					if !yield(merkle.Item{Key: []byte(k), Version: v}, nil) {
						return
					}
				}
			}
		}
	}
	here := store{"apple": 1, "pear": 1, "plum": 7}
	there := store{"apple": 1, "pear": 2, "quince": 5}
	a, b := merkle.NewSync(merkle.SyncOptions{}), merkle.NewSync(merkle.SyncOptions{})
	for k, v := range here {
		a.Update([]byte(k), 0, v)
	}
	for k, v := range there {
		b.Update([]byte(k), 0, v)
	}

	mine := merkle.NewSession(a.View(), source(here), merkle.SessionOptions{})
	theirs := merkle.NewSession(b.View(), source(there), merkle.SessionOptions{})
	for out := mine.Start(); out != nil; {
		in, err := theirs.Step(out) // a network, as a rule
		if err != nil {
			panic(err)
		}
		if out, err = mine.Step(in); err != nil {
			panic(err)
		}
	}
	for d := range mine.Diffs() {
		if d.Key == nil {
			fmt.Println("only there, at version", d.Remote)
			continue
		}
		fmt.Printf("%s: %d here, %d there\n", d.Key, d.Local, d.Remote)
	}
	fmt.Println("done:", mine.Done(), theirs.Done())
	// Unordered output:
	// pear: 1 here, 2 there
	// plum: 7 here, 0 there
	// only there, at version 5
	// done: true true
}

func ExampleSync() {
	a, b := merkle.NewSync(merkle.SyncOptions{}), merkle.NewSync(merkle.SyncOptions{})
	a.Update([]byte("k"), 0, 1) // put, and then overwritten
	a.Update([]byte("k"), 1, 2)
	b.Update([]byte("k"), 0, 2) // or written once: what counts is what is there
	fmt.Println(a.Root() == b.Root(), a.Root().N)
	a.Update([]byte("k"), 2, 0)
	fmt.Println(a.Root() == merkle.Sum{})
	// Output:
	// true 1
	// true
}

func ExampleView() {
	t := merkle.NewSync(merkle.SyncOptions{})
	t.Update([]byte("k"), 0, 1)
	v := t.View()
	t.Update([]byte("l"), 0, 1)
	fmt.Println(v.Root().N, t.Root().N)
	// Output: 1 2
}

func ExampleSync_SelfCheck() {
	t := merkle.NewSync(merkle.SyncOptions{})
	t.Update([]byte("k"), 0, 1)
	t.Update([]byte("k"), 0, 1) // a bug: the put was replayed
	store := merkle.SourceFunc(func([]uint32) iter.Seq2[merkle.Item, error] {
		return func(yield func(merkle.Item, error) bool) {
			yield(merkle.Item{Key: []byte("k"), Version: 1}, nil)
		}
	})
	drifts, err := t.SelfCheck(store)
	fmt.Println(len(drifts), err)
	fmt.Println("tree has", drifts[0].Tree.N, "stored", drifts[0].Stored.N)
	t.Correct(drifts...)
	fmt.Println(t.Root().N)
	// Output:
	// 1 <nil>
	// tree has 2 stored 1
	// 1
}

func ExampleSum() {
	t := merkle.NewSync(merkle.SyncOptions{})
	t.Update([]byte("a"), 0, 1)
	a := t.Root()
	t.Update([]byte("b"), 0, 1)
	fmt.Println(t.Root().Minus(a).Plus(a) == t.Root())
	// Output: true
}

// A log proves that an entry is in it, and later that it has only grown.
func ExampleTree() {
	var log merkle.Tree
	for _, line := range []string{"a paid b", "b paid c", "c paid a"} {
		log.Append(merkle.LeafHash([]byte(line)))
	}
	root, size := log.Root(), log.Size() // published, say with a signature
	proof, _ := log.Inclusion(nil, 1)
	fmt.Println(merkle.VerifyInclusion(root, size, 1, merkle.LeafHash([]byte("b paid c")), proof))
	fmt.Println(merkle.VerifyInclusion(root, size, 1, merkle.LeafHash([]byte("b paid d")), proof))

	log.Append(merkle.LeafHash([]byte("a paid c")))
	growth, _ := log.Consistency(nil, size)
	fmt.Println(merkle.VerifyConsistency(root, log.Root(), size, log.Size(), growth))
	// Output:
	// <nil>
	// merkle: proof does not verify: another root
	// <nil>
}

func ExampleBuild() {
	t := merkle.Build([]merkle.Node{merkle.LeafHash([]byte("a")), merkle.LeafHash([]byte("b"))})
	r := t.Root()
	fmt.Printf("%d leaves, root %x…\n", t.Size(), r[:4])
	// Output: 2 leaves, root b137985f…
}
