// Package snowflaketest checks that a store is one on which leases and tickets can rest.
//
//	func TestStore(t *testing.T) {
//		snowflaketest.Store(t, myStore, "snowflake-test-"+rand.Text())
//	}
package snowflaketest

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/ashlar-go/ashlar/snowflake"
)

// Store runs subtests against a store, on keys that begin with prefix and are new to it. It
// finds a store that breaks the contract on one connection, and one that loses an update
// among several. It cannot find one that breaks it only when its servers fail: for that, ask
// its makers.
func Store(t *testing.T, s snowflake.Store, prefix string) {
	t.Run("contract", func(t *testing.T) {
		for _, key := range []string{prefix + "a", prefix + "A", prefix + "../b", prefix + "ü /", prefix} {
			contract(t, s, key)
		}
	})
	t.Run("ended context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := s.Get(ctx, prefix+"c"); !errors.Is(err, context.Canceled) {
			t.Errorf("Get with an ended context: %v", err)
		}
		if _, err := s.CompareAndSet(ctx, prefix+"c", 0, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("CompareAndSet with an ended context: %v", err)
		}
	})
	t.Run("counter", func(t *testing.T) { counter(t, s, prefix+"n") })
	t.Run("one winner", func(t *testing.T) { oneWinner(t, s, prefix+"w") })
}

// contract holds one key against what snowflake.Store says.
func contract(t *testing.T, s snowflake.Store, key string) {
	t.Helper()
	ctx := t.Context()
	refused := func(rev int64, when string) {
		t.Helper()
		if _, err := s.CompareAndSet(ctx, key, rev, []byte("refused")); !errors.Is(err, snowflake.ErrConflict) {
			t.Fatalf("%q: CompareAndSet %s: %v, not a conflict", key, when, err)
		}
	}
	value, rev, err := s.Get(ctx, key)
	if err != nil || rev != 0 || len(value) != 0 {
		t.Fatalf("%q: an absent key is %q at %d: %v", key, value, rev, err)
	}
	refused(7, "at a revision that never was")
	seen := map[int64]bool{0: true}
	for _, want := range []string{"x", "", "two\nlines", "\x00\xff", "x"} {
		old := rev
		if rev, err = s.CompareAndSet(ctx, key, old, []byte(want)); err != nil {
			t.Fatalf("%q: CompareAndSet at %d: %v", key, old, err)
		}
		if rev <= 0 || seen[rev] {
			t.Fatalf("%q: revision %d came before, or is not positive", key, rev)
		}
		seen[rev] = true
		refused(old, "at an old revision")
		refused(0, "of a key that is there")
		got, at, err := s.Get(ctx, key)
		if err != nil || at != rev || string(got) != want {
			t.Fatalf("%q: %q at %d became %q at %d: %v", key, want, rev, got, at, err)
		}
		for i := range got {
			got[i] = '!' // it is ours
		}
		if again, _, err := s.Get(ctx, key); err != nil || string(again) != want {
			t.Fatalf("%q: the value changed with the caller's copy: %q, %v", key, again, err)
		}
	}
}

// counter adds up under contention: no update is lost, none counts twice.
func counter(t *testing.T, s snowflake.Store, key string) {
	const workers, each = 4, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				value, rev, err := s.Get(t.Context(), key)
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				n, _ := strconv.Atoi(string(value)) // absent: 0
				_, err = s.CompareAndSet(t.Context(), key, rev, strconv.AppendInt(nil, int64(n+1), 10))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, snowflake.ErrConflict):
					t.Errorf("CompareAndSet: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	value, _, err := s.Get(t.Context(), key)
	if want := strconv.Itoa(workers * each); err != nil || !bytes.Equal(value, []byte(want)) {
		t.Errorf("%d updates gave %q: %v", workers*each, value, err)
	}
}

// oneWinner lets several write at one revision.
func oneWinner(t *testing.T, s snowflake.Store, key string) {
	rev := int64(0)
	for round := range 10 {
		var wg sync.WaitGroup
		revs := make([]int64, 4)
		for w := range revs {
			wg.Go(func() {
				got, err := s.CompareAndSet(t.Context(), key, rev, strconv.AppendInt(nil, int64(w), 10))
				if err == nil {
					revs[w] = got
				} else if !errors.Is(err, snowflake.ErrConflict) {
					t.Errorf("CompareAndSet: %v", err)
				}
			})
		}
		wg.Wait()
		value, at, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		for w, got := range revs {
			if won := string(value) == strconv.Itoa(w); won != (got == at) || !won && got != 0 {
				t.Fatalf("round %d: writer %d was told %d, and %q is at %d", round, w, got, value, at)
			}
		}
		rev = at
	}
}
