package lsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// open opens a database in memory, for the examples; give Open a directory and no FS.
func open() *lsm.DB {
	db, err := lsm.Open("db", lsm.Options{FS: lsmtest.NewFS()})
	if err != nil {
		panic(err)
	}
	return db
}

func Example() {
	dir, err := os.MkdirTemp("", "lsm")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := lsm.Open(dir, lsm.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	fmt.Println(db.Put([]byte("hello"), []byte("world")))
	v, err := db.Get([]byte("hello"))
	fmt.Printf("%s %v\n", v, err)
	_, err = db.Get([]byte("goodbye"))
	fmt.Println(errors.Is(err, lsm.ErrNotFound))
	// Output:
	// <nil>
	// world <nil>
	// true
}

func ExampleDB_Scan() {
	db := open()
	defer db.Close()
	for _, k := range []string{"user/ada", "user/bob", "visit/1"} {
		_ = db.Put([]byte(k), []byte("x"), lsm.Queued)
	}
	for e, err := range db.Scan(lsm.Prefix([]byte("user/"))) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", e.Key)
	}
	// Output:
	// user/ada
	// user/bob
}

func ExampleBatch() {
	db := open()
	defer db.Close()
	var b lsm.Batch
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("b"), []byte("2"))
	b.DeleteRange([]byte("b"), []byte("c"))
	fmt.Println(b.Len(), db.Apply(&b))
	_, err := db.Get([]byte("b"))
	fmt.Println(err)
	// Output:
	// 3 <nil>
	// lsm: key not found
}

func ExampleDB_Update() {
	db := open()
	defer db.Close()
	err := db.Update(context.Background(), func(tx *lsm.Txn) error {
		n, err := tx.Get([]byte("n"))
		if err != nil && !errors.Is(err, lsm.ErrNotFound) {
			return err
		}
		return tx.Put([]byte("n"), append(n, 'x'))
	})
	v, _ := db.Get([]byte("n"))
	fmt.Printf("%v %s\n", err, v)
	// Output: <nil> x
}

func ExampleSnapshot() {
	db := open()
	defer db.Close()
	_ = db.Put([]byte("k"), []byte("old"))
	s := db.Snapshot()
	defer s.Close()
	_ = db.Put([]byte("k"), []byte("new"))
	v, _ := s.Get([]byte("k"))
	fmt.Printf("%s\n", v)
	// Output: old
}

func ExampleTTL() {
	var now atomic.Int64 // the database asks for the time from several goroutines
	db, err := lsm.Open("db", lsm.Options{FS: lsmtest.NewFS(), Now: func() time.Time { return time.UnixMilli(now.Load()) }})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	_ = db.Put([]byte("session"), []byte("42"), lsm.TTL(time.Hour), lsm.Written)
	now.Add(time.Hour.Milliseconds())
	_, err = db.Get([]byte("session"))
	fmt.Println(err)
	// Output: lsm: key not found
}

func ExampleCorruptError() {
	disk := lsmtest.NewFS()
	disk.WriteFile("db/CURRENT", []byte("nonsense"))
	_, err := lsm.Open("db", lsm.Options{FS: disk})
	if c, ok := errors.AsType[*lsm.CorruptError](err); ok {
		fmt.Println(c.File, errors.Is(err, lsm.ErrCorrupt))
	}
	// Output: CURRENT true
}

func ExampleStats() {
	db := open()
	defer db.Close()
	_ = db.Put([]byte("k"), []byte("v"))
	st := db.Stats()
	fmt.Println(st.LastSeq, st.Syncs, st.Memtables)
	// Output: 1 1 1
}
