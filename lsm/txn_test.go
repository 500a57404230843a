package lsm_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// TestConflicts: a transaction reads something, something is written beside it, and it
// may commit only if that would not have changed what it read. So it is wherever the
// write has got to meanwhile: memory, a table, the bottom.
func TestConflicts(t *testing.T) {
	var now atomic.Int64
	now.Store(1000)
	k := func(s string) []byte { return []byte(s) }
	get := func(keys ...string) func(*lsm.Txn) error {
		return func(tx *lsm.Txn) error {
			for _, key := range keys {
				if _, err := tx.Get(k(key)); err != nil && !errors.Is(err, lsm.ErrNotFound) {
					return err
				}
			}
			return nil
		}
	}
	scan := func(r lsm.Range, limit int) func(*lsm.Txn) error {
		return func(tx *lsm.Txn) error {
			n := 0
			for _, err := range tx.Scan(r) {
				if n++; err != nil || n == limit {
					return err
				}
			}
			return nil
		}
	}
	put := func(key string) func(*lsm.DB) error {
		return func(db *lsm.DB) error { return db.Put(k(key), k("new")) }
	}
	del := func(key string) func(*lsm.DB) error { return func(db *lsm.DB) error { return db.Delete(k(key)) } }
	delRange := func(a, b string) func(*lsm.DB) error {
		return func(db *lsm.DB) error { return db.DeleteRange(k(a), k(b)) }
	}
	tests := []struct {
		name     string
		read     func(*lsm.Txn) error
		write    func(*lsm.DB) error
		conflict bool
	}{
		{"another key", get("b"), put("c"), false},
		{"the key", get("b"), put("b"), true},
		{"the second key", get("a", "d"), put("d"), true},
		{"an absent key", get("bb"), put("bb"), true},
		{"deleted", get("b"), del("b"), true},
		{"in a deleted range", get("b"), delRange("a", "c"), true},
		{"at the end of a deleted range", get("b"), delRange("a", "b"), false},
		{"at the start of a deleted range", get("b"), delRange("b", "c"), true},
		{"expiring", get("b"), func(db *lsm.DB) error { return db.Put(k("b"), nil, lsm.TTL(time.Hour)) }, true},
		{"expired at once", get("b"), func(db *lsm.DB) error { return db.Put(k("b"), nil, lsm.TTL(0)) }, true},
		{"nothing read", get(), put("b"), false},
		{"a scan of all", scan(lsm.Range{}, 0), put("zz"), true},
		{"an empty scan", scan(lsm.Range{Start: k("x"), End: k("z")}, 0), put("y"), true},
		{"behind a scan", scan(lsm.Range{Start: k("a"), End: k("c")}, 0), put("c"), false},
		{"in front of a scan", scan(lsm.Range{Start: k("b"), End: k("c")}, 0), put("a"), false},
		{"a scan, deleted", scan(lsm.Range{Start: k("a"), End: k("c")}, 0), del("b"), true},
		{"a scan, range deleted", scan(lsm.Range{Start: k("a"), End: k("c")}, 0), delRange("b", "z"), true},
		{"a scan, range deleted behind", scan(lsm.Range{Start: k("a"), End: k("c")}, 0), delRange("c", "z"), false},
		{"a scan that stopped, behind", scan(lsm.Range{}, 2), put("c"), false},
		{"a scan that stopped, at its last key", scan(lsm.Range{}, 2), put("b"), true},
		{"a scan that stopped, between", scan(lsm.Range{}, 2), put("aa"), true},
		{"a scan back that stopped, behind", scan(lsm.Range{Reverse: true}, 2), put("b"), false},
		{"a scan back that stopped, at its last key", scan(lsm.Range{Reverse: true}, 2), put("c"), true},
	}
	settle := map[string]func(*lsm.DB) error{
		"in memory":  func(*lsm.DB) error { return nil },
		"in a table": func(db *lsm.DB) error { return db.Flush(context.Background()) },
		"at the bottom": func(db *lsm.DB) error {
			return errors.Join(db.Flush(context.Background()), db.Compact(context.Background(), lsm.Range{}))
		},
	}
	for where, settle := range settle {
		for _, x := range tests {
			t.Run(where+"/"+x.name, func(t *testing.T) {
				o := smallOptions(lsmtest.NewFS())
				o.Now = func() time.Time { return time.UnixMilli(now.Load()) }
				db, err := lsm.Open("db", o)
				require.NoError(t, err)
				defer db.Close()
				for _, key := range []string{"a", "b", "c", "d"} {
					require.NoError(t, db.Put(k(key), k("old")))
				}
				require.NoError(t, settle(db))
				tx := db.Begin()
				defer tx.Discard()
				require.NoError(t, x.read(tx))
				require.NoError(t, tx.Put(k("own"), nil))
				require.NoError(t, x.write(db))
				require.NoError(t, settle(db))
				now.Add(10)
				err = tx.Commit()
				has, herr := db.Has(k("own"))
				require.NoError(t, herr)
				require.Equal(t, !x.conflict, has)
				if x.conflict {
					require.ErrorIs(t, err, lsm.ErrConflict)
				} else {
					require.NoError(t, err)
				}
			})
		}
	}
}

// TestTxnSeesItsWrites: a transaction reads its snapshot overlaid with what it wrote.
func TestTxnSeesItsWrites(t *testing.T) {
	db, err := lsm.Open("db", smallOptions(lsmtest.NewFS()))
	require.NoError(t, err)
	defer db.Close()
	for _, k := range []string{"a", "b", "c", "d"} {
		require.NoError(t, db.Put([]byte(k), []byte("db")))
	}
	tx := db.Begin()
	show := func(reverse bool) (s string) {
		for e, err := range tx.Scan(lsm.Range{Reverse: reverse}) {
			require.NoError(t, err)
			v, err := tx.Get(e.Key)
			require.NoError(t, err)
			require.Equal(t, v, e.Value)
			s += string(e.Key) + "=" + string(e.Value) + " "
		}
		return s
	}
	require.NoError(t, tx.Put([]byte("b"), []byte("tx")))
	require.NoError(t, tx.Put([]byte("bb"), []byte("tx")))
	require.NoError(t, tx.Delete([]byte("c")))
	require.NoError(t, db.Put([]byte("e"), []byte("later")))
	require.Equal(t, "a=db b=tx bb=tx d=db ", show(false))
	require.Equal(t, "d=db bb=tx b=tx a=db ", show(true))
	require.NoError(t, tx.DeleteRange([]byte("a"), []byte("bb")))
	require.NoError(t, tx.Put([]byte("aa"), []byte("tx")))
	require.Equal(t, "aa=tx bb=tx d=db ", show(false))
	_, err = tx.Get([]byte("b"))
	require.ErrorIs(t, err, lsm.ErrNotFound)
	require.ErrorIs(t, tx.Put(make([]byte, lsm.MaxKey+1), nil), lsm.ErrTooLarge)
	for n := range 300 { // past the overlay's first size
		require.NoError(t, tx.Put([]byte{'x', byte(n >> 8), byte(n)}, make([]byte, 100)))
	}
	v, err := tx.Get([]byte("aa"))
	require.NoError(t, err)
	require.Equal(t, "tx", string(v))
	require.ErrorIs(t, tx.Commit(), lsm.ErrConflict, "it scanned what e was put into")
	require.ErrorIs(t, tx.Commit(), lsm.ErrClosed)
	_, err = db.Get([]byte("aa"))
	require.ErrorIs(t, err, lsm.ErrNotFound)
}

// TestUpdateTriesAgain: on a conflict, until its context ends; the function's own error
// is returned at once.
func TestUpdateTriesAgain(t *testing.T) {
	db, err := lsm.Open("db", smallOptions(lsmtest.NewFS()))
	require.NoError(t, err)
	defer db.Close()
	k := []byte("k")
	runs := 0
	require.NoError(t, db.Update(t.Context(), func(tx *lsm.Txn) error {
		if _, err := tx.Get(k); err != nil && !errors.Is(err, lsm.ErrNotFound) {
			return err
		}
		if runs++; runs < 4 {
			if err := db.Put(k, []byte{byte(runs)}); err != nil {
				return err
			}
		}
		return tx.Put([]byte("done"), nil)
	}))
	require.Equal(t, 4, runs)
	ctx, cancel := context.WithCancel(t.Context())
	err = db.Update(ctx, func(tx *lsm.Txn) error {
		_, _ = tx.Get(k)
		if runs++; runs == 10 {
			cancel()
		}
		return errors.Join(db.Put(k, nil), tx.Put([]byte("never"), nil))
	})
	require.ErrorIs(t, err, context.Canceled)
	mine := errors.New("mine")
	require.Equal(t, mine, db.Update(t.Context(), func(*lsm.Txn) error { return mine }))
	for range db.Scan(lsm.Prefix([]byte("never"))) {
		t.Fatal("a transaction that never committed left something")
	}
}
