package frontier

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// run is what is in memory of a queue: the chunk at its head, and some of those behind it.
// One read of the store brings several, as neighbours lie in the same blocks; how many
// depends on how many hosts share Options.Prefetch.
type run struct {
	n     uint32 // of the chunk
	level uint8
	next  uint8 // item that rest begins with
	count uint8
	base  int64  // the chunk's time, in seconds
	all   []byte // the chunk
	rest  []byte // of it
	more  []byte // chunks behind it, each after its length
	size  int64  // memory
}

// openChunk makes a chunk ready to be read from an item on.
func openChunk(v []byte, n uint32, level, pos uint8) (*run, error) {
	c := &run{n: n, level: level}
	if err := c.begin(v); err != nil {
		return nil, err
	}
	return c, c.seek(pos)
}

// begin goes to the first item of a chunk.
func (c *run) begin(v []byte) error {
	r := reader{b: v}
	c.count, c.base = r.chunkHeader()
	c.next, c.all, c.rest = 0, v, r.b
	return r.err
}

// follow goes on to the chunk behind, if it is there.
func (c *run) follow() bool {
	r := reader{b: c.more}
	v := r.bytes(maxStreamValue)
	if r.err != nil || c.begin(v) != nil {
		return false
	}
	c.n, c.more = c.n+1, r.b
	return true
}

// seek goes to an item.
func (c *run) seek(pos uint8) error {
	if pos >= c.count {
		return errRange
	}
	if pos < c.next {
		if err := c.begin(c.all); err != nil {
			return err
		}
	}
	r := reader{b: c.rest}
	for c.next < pos && r.err == nil {
		r.entry("", c.base, true)
		c.next++
	}
	c.rest = r.b
	return r.err
}

// entry decodes the item that the run stands at.
func (c *run) entry(host string) (entry, error) {
	r := reader{b: c.rest}
	e := r.entry(host, c.base, false)
	e.level = c.level
	if r.err == nil && c.next+1 == c.count {
		return e, r.end()
	}
	return e, r.err
}

const (
	runOverhead = 160     // what a run takes besides its bytes
	maxAhead    = 16      // chunks that are read at once
	maxShare    = 4 << 10 // bytes of a host
)

// chunks is memory for a read.
type chunks struct {
	keys [maxAhead][10]byte
	list [maxAhead][]byte
	buf  []byte
}

var chunkPool = sync.Pool{New: func() any { return new(chunks) }}

var errEnough = errors.New("enough")

// loadRun reads the chunk at the head of a queue, and those behind it for which there is
// room. It stays in memory while there is room for it.
func (f *Frontier) loadRun(h *host, q queue) (*run, error) {
	f.mu.Lock()
	f.unload(h)
	share := min(f.o.Prefetch/int64(max(f.live, 1)), maxShare, f.o.Prefetch-f.loaded) - runOverhead
	f.mu.Unlock()
	s := chunkPool.Get().(*chunks)
	defer chunkPool.Put(s)
	want := 1
	if share > 0 { // a chunk of one URL takes some 64 bytes
		want = int(min(int64(q.tail-q.head), share/64+1, maxAhead))
	}
	for i := range want {
		s.keys[i] = chunkKey(h.id, q.level, q.head+uint32(i))
		s.list[i] = s.keys[i][:]
	}
	s.buf = s.buf[:0]
	first, got := 0, 0
	err := f.db.GetMany(s.list[:want], func(i int, v []byte) error {
		switch {
		case i != got: // a gap, which is found when its turn comes
			return errEnough
		case i == 0:
			s.buf = append(s.buf, v...)
			first = len(v)
		case int64(len(s.buf)+len(v)) > share:
			return errEnough
		default:
			s.buf = binary.AppendUvarint(s.buf, uint64(len(v)))
			s.buf = append(s.buf, v...)
		}
		got++
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, storeError("read a queue", err)
	}
	if got == 0 {
		return nil, f.damage(h, q, errors.New("not there"))
	}
	all := slices.Clone(s.buf)
	r, err := openChunk(all[:first:first], q.head, q.level, q.pos)
	if err != nil {
		return nil, f.damage(h, q, err)
	}
	r.more, r.size = all[first:], int64(cap(all))+runOverhead
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded+r.size <= f.o.Prefetch && (got > 1 || r.count-q.pos > 1) {
		h.run = r
		f.loaded += r.size
	}
	return r, nil
}

// unload lets go of a host's run. The caller holds mu.
func (f *Frontier) unload(h *host) {
	if h.run != nil {
		f.loaded -= h.run.size
		h.run = nil
	}
}

// damage sets a host aside for a chunk that cannot be read.
func (f *Frontier) damage(h *host, q queue, err error) error {
	k := chunkKey(h.id, q.level, q.head)
	f.mu.Lock()
	f.unload(h)
	f.mu.Unlock()
	return &RecordError{Host: h.name, Key: k[:], Detail: err.Error()}
}
