package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// workload is what the users of a run do.
type workload struct {
	name   string // of the distribution
	size   int    // bytes of a value
	keys   *chooser
	reads  float64 // share of reads; the rest are plain writes
	values []byte  // at least twice size; values are cut out of it
}

const requestTimeout = 10 * time.Second

// newValues makes bytes that no compression makes smaller.
func newValues(rng *rand.Rand, size int) []byte {
	b := make([]byte, 2*size+1<<16)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// user is a worker that reads and writes keys over a connection of its own.
type user struct {
	w    *workload
	rng  *rand.Rand
	conn *conn
}

// newUsers makes n users, spread over the nodes.
func newUsers(w *workload, addrs []string, n int, seed uint64) []worker {
	out := make([]worker, n)
	for i := range out {
		out[i] = &user{w: w, rng: rand.New(rand.NewPCG(seed, uint64(i))), conn: newConn(addrs[i%len(addrs)], requestTimeout)}
	}
	return out
}

func closeUsers(users []worker) {
	for _, u := range users {
		u.(*user).conn.close()
	}
}

func keyPath(size, k int) string { return "/kv/bench/" + strconv.Itoa(size) + "/" + strconv.Itoa(k) }

func (u *user) do() (note string, failed bool) {
	path := keyPath(u.w.size, u.w.keys.draw(u.rng))
	if u.rng.Float64() < u.w.reads {
		return u.read(path)
	}
	return u.write(path)
}

func (u *user) read(path string) (note string, failed bool) {
	status, size, err := u.conn.do("GET", path, nil)
	switch {
	case err != nil:
		return kind(err), true
	case status == 200 && size != int64(u.w.size):
		return "wrong value", true
	case status == 200:
		return "", false
	case status == 300:
		return "siblings", false // two wrote at a time, and both values are there
	case status == 404:
		return "not found", true // every key is written before a run
	}
	return fmt.Sprint("read ", status), true
}

func (u *user) write(path string) (note string, failed bool) {
	at := u.rng.IntN(len(u.w.values) - u.w.size + 1)
	status, _, err := u.conn.do("PUT", path, u.w.values[at:at+u.w.size])
	switch {
	case err != nil:
		return kind(err), true
	case status != 204:
		return fmt.Sprint("write ", status), true
	}
	return "", false
}

// kind is an error's name in a table.
func kind(err error) string {
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return "time-out"
	}
	return "connection"
}

// filler writes one key.
type filler struct {
	*user
	k int
}

func (f *filler) do() (note string, failed bool) { return f.write(keyPath(f.w.size, f.k)) }
