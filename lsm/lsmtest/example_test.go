package lsmtest_test

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

func ExampleFS() {
	disk := lsmtest.NewFS()
	db, err := lsm.Open("db", lsm.Options{FS: disk})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = db.Put([]byte("promised"), []byte("1"))               // synced
	_ = db.Put([]byte("hoped for"), []byte("2"), lsm.Written) // not synced

	after := disk.Crash(lsmtest.Loss{}) // the power goes
	_ = db.Close()

	db, err = lsm.Open("db", lsm.Options{FS: after})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	for _, k := range []string{"promised", "hoped for"} {
		v, err := db.Get([]byte(k))
		fmt.Printf("%s: %q %v\n", k, v, err)
	}
	// Output:
	// promised: "1" <nil>
	// hoped for: "" lsm: key not found
}

func ExampleFault() {
	disk := lsmtest.NewFS()
	db, err := lsm.Open("db", lsm.Options{FS: disk})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	disk.Inject(lsmtest.Fault{Kinds: []lsmtest.Kind{lsmtest.OpSync}, Match: "*.log", Times: 1})
	err = db.Put([]byte("k"), []byte("v"))
	fmt.Println(errors.Is(err, syscall.EIO))
	err = db.Put([]byte("k"), []byte("v"))
	fmt.Println(errors.Is(err, lsm.ErrReadOnly))
	// Output:
	// true
	// true
}

func ExampleLoss() {
	disk := lsmtest.NewFS()
	f, _ := disk.Create("a")
	_, _ = f.Write([]byte("first "))
	_ = errors.Join(f.Sync(), disk.SyncDir("."))
	_, _ = f.Write([]byte("second"))
	for _, keep := range []float64{0, 0.5, 1} {
		b, _ := disk.CrashClone(lsmtest.Loss{Keep: keep, Ordered: true}).ReadFile("a")
		fmt.Printf("%q\n", b)
	}
	// Output:
	// "first "
	// "first sec"
	// "first second"
}

func ExampleOp() {
	disk := lsmtest.NewFS()
	disk.Before(func(o lsmtest.Op) {
		if o.Kind.Changes() {
			fmt.Println(o)
		}
	})
	f, _ := disk.Create("a")
	_, _ = f.Write([]byte("hello"))
	_ = f.Sync()
	_ = disk.Rename("a", "b")
	// Output:
	// #1 create a
	// #2 write a, 5 bytes at 0
	// #3 sync a
	// #4 rename a to b
}
