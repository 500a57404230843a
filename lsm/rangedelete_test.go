package lsm_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// TestTrimmedQueue deletes up to a bound that moves on, as whoever keeps a queue does:
// every range holds all ranges before it. What is kept of them must not grow with the
// square of their number.
func TestTrimmedQueue(t *testing.T) {
	db, err := lsm.Open("db", lsm.Options{FS: lsmtest.NewFS()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const n = 20_000
	at := func(i int) []byte { return fmt.Appendf(nil, "%06d", i) }
	var early *lsm.Snapshot
	for i := range n {
		if err := db.Put(at(i), []byte("v"), lsm.Queued); err != nil {
			t.Fatal(err)
		}
		if i == 100 {
			early = db.Snapshot()
			defer early.Close()
		}
		if err := db.DeleteRange(at(0), at(i), lsm.Queued); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for i := 0; i < n-1; i += 997 {
			if _, err := db.Get(at(i)); !errors.Is(err, lsm.ErrNotFound) {
				t.Fatalf("%d is there: %v", i, err)
			}
		}
		if _, err := db.Get(at(n - 1)); err != nil {
			t.Fatal(err)
		}
		for i := 98; i <= 101; i++ {
			if ok, err := early.Has(at(i)); err != nil || ok != (i == 99 || i == 100) {
				t.Fatalf("%d in the snapshot: %v %v", i, ok, err)
			}
		}
		if err := db.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if entries := db.Stats().Levels[0].Entries; entries > n+100 {
		t.Fatalf("%d entries and tombstones", entries)
	}
	if err := db.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
}
