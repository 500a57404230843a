package snowflake_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// clock makes the examples print the same every time.
func clock() time.Time { return time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC) }

func Example() {
	g, err := snowflake.New(snowflake.Options{Node: 7, Now: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	id, err := g.Next()
	fmt.Println(id, err)
	fmt.Println(g.Layout().Time(id).Format(time.RFC3339Nano))
	fmt.Println(snowflake.Base62.Format(id))
	// Output:
	// 781089295564828672 <nil>
	// 2026-11-26T09:30:00Z
	// 0vhOd4Hp98q
}

func ExampleNew_mark() {
	dir, err := os.MkdirTemp("", "ids")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "node-7.mark")

	g, err := snowflake.New(snowflake.Options{Node: 7, Mark: snowflake.FileMark(path), Now: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	before, _ := g.Next()
	_ = g.Close()

	// The machine comes back with its clock ten minutes behind.
	late := func() time.Time { return clock().Add(-10 * time.Minute) }
	_, err = snowflake.New(snowflake.Options{Node: 7, Mark: snowflake.FileMark(path), Now: late})
	fmt.Println(errors.Is(err, snowflake.ErrClock), err)

	// A service that would rather run ahead than wait says so.
	g, err = snowflake.New(snowflake.Options{Node: 7, Mark: snowflake.FileMark(path), Now: late, MaxBack: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	after, _ := g.Next()
	fmt.Println(after > before)
	// Output:
	// true snowflake: clock went back: by 9m59.991s, at most 5s
	// true
}

func ExampleGenerator_Fill() {
	g, err := snowflake.New(snowflake.Options{Now: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	ids := make([]snowflake.ID, 3)
	err = g.Fill(ids)
	fmt.Println(ids, err)
	// Output: [781089295564800000 781089295564800001 781089295564800002] <nil>
}

func ExampleGenerator_All() {
	g, err := snowflake.New(snowflake.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	n := 0
	for _, err := range g.All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		if n++; n == 5 {
			break
		}
	}
	fmt.Println(n)
	// Output: 5
}

func ExampleStats() {
	g, err := snowflake.New(snowflake.Options{Node: 2, Now: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	_, _ = g.Next()
	fmt.Println(g.Stats())
	// Output: node 2: last 781089295564808192, 0s ahead (skew 0s), 0 waits of 0s, clock back 0 times and refused 0, 0 marks and 0 failed
}

func ExampleLayout_Between() {
	day := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	lo, hi := snowflake.Classic.Between(day, day.AddDate(0, 0, 1))
	fmt.Printf("SELECT * FROM orders WHERE id BETWEEN %d AND %d\n", lo, hi)
	// Output: SELECT * FROM orders WHERE id BETWEEN 780945850368000000 AND 781308238233599999
}

func ExampleLayout() {
	// Seconds since 1970, 2,048 nodes, as many ids a second and node.
	l := snowflake.Layout{TimeBits: 41, NodeBits: 11, SeqBits: 11}
	fmt.Println(l.Validate(), l.MaxNode(), l.MaxSeq())
	l.SeqBits = 12
	fmt.Println(l.Validate())
	// Output:
	// <nil> 2047 2047
	// snowflake: bad layout: 41 + 11 + 12 bits are neither 63 nor 53
}

func ExampleParts() {
	node, _ := snowflake.JoinNode(3, 17) // data centre 3, machine 17
	id, _ := snowflake.Classic.Join(snowflake.Parts{Time: clock(), Node: node, Seq: 5})
	p := snowflake.Classic.Split(id)
	dc, machine := snowflake.Classic.DataCenter(id)
	fmt.Println(p.Time.Format(time.Kitchen), p.Node, p.Seq, dc, machine)
	// Output: 9:30AM 113 5 3 17
}

func ExampleID() {
	type order struct {
		ID snowflake.ID `json:"id"`
	}
	b, _ := json.Marshal(order{781089295564828672})
	fmt.Println(string(b)) // a string, for JavaScript would make it …8700
	var o order
	fmt.Println(json.Unmarshal([]byte(`{"id":"0781"}`), &o))
	// Output:
	// {"id":"781089295564828672"}
	// snowflake: not an id: leading zero
}

func ExampleEncoding() {
	const id = 781089295564828672
	for _, e := range []snowflake.Encoding{snowflake.Decimal, snowflake.Base32, snowflake.Base62, snowflake.Hex} {
		fmt.Println(e, e.Format(id))
	}
	_, err := snowflake.Base32.Parse("0nnqwhra07000")
	fmt.Println(err)
	// Output:
	// decimal 0781089295564828672
	// base32 0NNQWJDR00W00
	// base62 0vhOd4Hp98q
	// hex 0ad6fc9370007000
	// snowflake: not an id: character 'n' at 1
}

func ExampleForm() {
	veil, err := snowflake.NewVeil([]byte("32 bytes out of the secret store"), "order")
	if err != nil {
		fmt.Println(err)
		return
	}
	orders := snowflake.Form{Prefix: "ord_", Encoding: snowflake.Base32, Veil: veil}
	for id := snowflake.ID(781089295564828672); id < 781089295564828674; id++ {
		s := orders.Format(id)
		back, err := orders.Parse(s)
		fmt.Println(s, back == id, err)
	}
	_, err = orders.Parse("usr_0NNQWJDR00W00")
	fmt.Println(err)
	// Output:
	// ord_69S5W3XV3E2GE true <nil>
	// ord_348VFGKQNN6AX true <nil>
	// snowflake: not an id: no prefix "ord_"
}

func ExampleVeil() {
	veil, err := snowflake.NewVeil([]byte("32 bytes out of the secret store"), "user")
	if err != nil {
		fmt.Println(err)
		return
	}
	public := veil.Hide(41)
	fmt.Println(public, veil.Reveal(public))
	// Output: 4322785264253365208 41
}

func ExampleAcquireFile() {
	dir, err := os.MkdirTemp("", "ids")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 3 {
		lease, err := snowflake.AcquireFile(dir, 2)
		if err != nil {
			fmt.Println(errors.Is(err, snowflake.ErrNoNode))
			return
		}
		fmt.Println("node", lease.Node())
		defer lease.Release(context.Background())
	}
	// Output:
	// node 0
	// node 1
	// true
}

func ExampleAcquire() {
	var store snowflake.MemStore // etcd, Postgres …
	ctx := context.Background()
	lease, err := snowflake.Acquire(ctx, &store, snowflake.LeaseOptions{Nodes: 1024, Prefer: 300})
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := snowflake.New(snowflake.Options{Lease: lease})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close() // releases the lease
	id, err := g.Next()
	fmt.Println(g.Layout().Node(id), err)
	// Output: 300 <nil>
}

func ExampleTickets() {
	source, err := snowflake.NewStoreTickets(&snowflake.MemStore{}, snowflake.CounterOptions{Key: "invoices", Offset: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	tickets, err := snowflake.NewTickets(snowflake.TicketOptions{Sources: []snowflake.TicketSource{source}, Block: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tickets.Close()
	for range 3 {
		fmt.Println(tickets.Next(context.Background()))
	}
	// Output:
	// 1000 <nil>
	// 1001 <nil>
	// 1002 <nil>
}

func ExampleStoreTickets() {
	// Two stores that know nothing of each other: one has the even numbers, one the odd.
	for n := range int64(2) {
		s, err := snowflake.NewStoreTickets(&snowflake.MemStore{}, snowflake.CounterOptions{Key: "n", Offset: n, Step: 2})
		if err != nil {
			fmt.Println(err)
			return
		}
		b, err := s.Take(context.Background(), 10)
		fmt.Println(b, err)
	}
	// Output:
	// {0 10 2} <nil>
	// {1 10 2} <nil>
}

func ExampleDirStore() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := snowflake.NewDirStore(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	rev, err := s.CompareAndSet(ctx, "key", 0, []byte("first"))
	fmt.Println(rev, err)
	_, err = s.CompareAndSet(ctx, "key", 0, []byte("second"))
	fmt.Println(errors.Is(err, snowflake.ErrConflict))
	// Output:
	// 1 <nil>
	// true
}

func ExampleClockError() {
	now := clock()
	g, err := snowflake.New(snowflake.Options{Now: func() time.Time { return now }, MaxBack: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	_, _ = g.Next()
	now = now.Add(-time.Minute)
	_, err = g.Next()
	if ce, ok := errors.AsType[*snowflake.ClockError](err); ok {
		fmt.Println(ce.Back.Round(time.Second), err)
	}
	// Output: 1m0s snowflake: clock went back: by 59.99s, at most 0s
}
