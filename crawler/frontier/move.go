package frontier

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// Moving a host to another frontier, as a change of the ring asks for:
//
//	source: Export ──▶ stream ──▶ target: Import ──▶ acknowledged ──▶ source: Drop
//
// Export holds the host: from then on no lease of it is given out there, and no item taken
// for it, across restarts. So it is visited by one of them at a time. If the move fails
// anywhere before Drop, Unhold takes it up again at the source, and what the target has is
// to be dropped there. Import replaces what the target had of the host, so that it can be
// repeated; and the target visits the host no earlier than its delay after the import,
// which is later than the last visit of the source.
//
// The stream is
//
//	magic(8)  host record  (tag(1) len key len value)…  0(1)  crc32c of all before (4)
//
// with keys cut down to what follows the host's number.
const streamMagic = "ashfron\x01"

// streamed are the kinds of records that are moved.
var streamed = []byte{tagSeen, tagChunk, tagDone, tagTimed, tagDead}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Export holds a host and writes all of its state to w. ErrBusy if it is leased: end the
// lease, or wait, and try again; it is held already then, so no other lease begins.
// ErrHost if it is not known.
func (f *Frontier) Export(ctx context.Context, name string, w io.Writer) error {
	h, err := f.hold(name, true)
	if err != nil {
		return err
	}
	f.mu.Lock()
	busy := h.state == StateLeased
	rec := appendHost(nil, h)
	f.mu.Unlock()
	if busy {
		return fmt.Errorf("%w: %q", ErrBusy, name)
	}
	sum := crc32.New(castagnoli)
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	buf := append([]byte(streamMagic), binary.AppendUvarint(nil, uint64(len(rec)))...)
	buf = append(buf, rec...)
	if _, err := out.Write(buf); err != nil {
		return fmt.Errorf("frontier: export: %w", err)
	}
	n := 0
	for _, tag := range streamed {
		for e, err := range f.db.Scan(hostRange(tag, h.id)) {
			if err != nil {
				return f.readError("export", err)
			}
			if n++; n&1023 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			buf = append(buf[:0], tag)
			buf = binary.AppendUvarint(buf, uint64(len(e.Key)-5))
			buf = append(buf, e.Key[5:]...)
			buf = binary.AppendUvarint(buf, uint64(len(e.Value)))
			buf = append(buf, e.Value...)
			if _, err := out.Write(buf); err != nil {
				return fmt.Errorf("frontier: export: %w", err)
			}
		}
	}
	if err := out.WriteByte(0); err != nil {
		return fmt.Errorf("frontier: export: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("frontier: export: %w", err)
	}
	if _, err := w.Write(binary.LittleEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return fmt.Errorf("frontier: export: %w", err)
	}
	return nil
}

// hold sets or lifts the hold of a host, durably.
func (f *Frontier) hold(name string, on bool) (*host, error) {
	// Under writeMu: an Add that is under way is through, or will see it.
	f.writeMu.Lock()
	f.mu.Lock()
	h := f.hosts.find(name)
	err := f.usable()
	if err == nil && h == nil {
		err = fmt.Errorf("%w: %.80q", ErrHost, name)
	}
	if err != nil {
		f.mu.Unlock()
		f.writeMu.Unlock()
		return nil, err
	}
	h.held = on
	if h.state != StateLeased {
		f.place(h, f.advance())
		f.wakeUp()
	}
	f.unlock()
	f.writeMu.Unlock()
	return h, f.hostRecord(h)
}

// Unhold takes a host up again that Export holds. Its delay begins anew.
func (f *Frontier) Unhold(name string) error {
	if err := f.Touch(name); err != nil {
		return err
	}
	_, err := f.hold(name, false)
	return err
}

// Drop forgets a host that Export holds, with all of its items, and the URLs that were
// added. ErrBusy if it is not held, or still leased. Durable when it returns.
func (f *Frontier) Drop(name string) error {
	f.writeMu.Lock()
	f.mu.Lock()
	h := f.hosts.find(name)
	err := f.usable()
	switch {
	case err != nil:
	case h == nil:
		err = fmt.Errorf("%w: %.80q", ErrHost, name)
	case !h.held || h.state == StateLeased:
		err = fmt.Errorf("%w: %q", ErrBusy, name)
	}
	f.mu.Unlock()
	if err != nil {
		f.writeMu.Unlock()
		return err
	}
	f.batch.Reset()
	dead, err := f.eraseHost(h)
	if err == nil {
		err = f.db.Apply(&f.batch, f.ordered())
	}
	if err != nil {
		f.writeMu.Unlock()
		return f.writeError("drop a host", err)
	}
	f.forget(h, dead)
	f.writeMu.Unlock()
	return f.settle()
}

// eraseHost puts the removal of all of a host's records into the batch, and counts its
// dead letters. The caller holds writeMu.
func (f *Frontier) eraseHost(h *host) (dead int64, err error) {
	f.batch.Delete(appendHostKey(nil, tagHost, h.id))
	for _, tag := range streamed {
		r := hostRange(tag, h.id)
		f.batch.DeleteRange(r.Start, r.End)
	}
	r := hostRange(tagDead, h.id)
	r.KeysOnly = true
	for _, err := range f.db.Scan(r) {
		if err != nil {
			return 0, err
		}
		dead++
	}
	return dead, nil
}

// forget takes a host out of memory.
func (f *Frontier) forget(h *host, dead int64) {
	f.mu.Lock()
	defer f.unlock()
	f.unplace(h)
	f.unload(h)
	f.stats.Queued -= int64(h.queued)
	f.stats.Waiting -= int64(int32(h.waiting))
	f.stats.Dead -= dead
	f.hosts.drop(h)
	f.wakeUp()
}

// Import takes over a host from a stream that Export wrote, and returns its name. What was
// here of the host is replaced. ErrCorrupt if the stream is damaged or ends early, ErrBusy
// if the host is leased here; nothing has changed then. Durable when it returns.
//
// The whole host is one write: it takes the memory of the stream.
func (f *Frontier) Import(ctx context.Context, r io.Reader) (name string, err error) {
	s, err := readStream(ctx, r)
	if err != nil {
		return "", err
	}
	f.writeMu.Lock()
	if err := f.adopt(s); err != nil {
		f.writeMu.Unlock()
		return "", err
	}
	f.writeMu.Unlock()
	return s.host.name, f.settle()
}

// stream is a host on the move.
type stream struct {
	host    host
	records []record
	levels  []queue
	queued  uint32
	waiting uint32
	dead    int64
	timed   int64
}

// record is one record of a host; key is what follows the host's number.
type record struct {
	tag        byte
	key, value []byte
}

// readStream reads and checks a stream.
func readStream(ctx context.Context, r io.Reader) (*stream, error) {
	bad := func(detail string) error { return fmt.Errorf("%w: import: %s", ErrCorrupt, detail) }
	sum := crc32.New(castagnoli)
	in := bufio.NewReaderSize(r, 64<<10)
	read := func(n uint64) ([]byte, error) {
		// Grown as it comes: a length that lies does not take memory.
		var b []byte
		for uint64(len(b)) < n {
			k := min(n-uint64(len(b)), 64<<10)
			b = append(b, make([]byte, k)...)
			if _, err := io.ReadFull(in, b[uint64(len(b))-k:]); err != nil {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					return nil, bad("ends early")
				}
				return nil, fmt.Errorf("frontier: import: %w", err)
			}
		}
		sum.Write(b)
		return b, nil
	}
	field := func(limit uint64) ([]byte, error) {
		var n uint64
		for shift := 0; ; shift += 7 {
			c, err := read(1)
			if err != nil {
				return nil, err
			}
			n |= uint64(c[0]&0x7f) << shift
			if c[0] < 0x80 {
				break
			}
			if shift > 28 {
				return nil, bad("length out of range")
			}
		}
		if n > limit {
			return nil, bad("length out of range")
		}
		return read(n)
	}
	magic, err := read(uint64(len(streamMagic)))
	if err != nil {
		return nil, err
	}
	if string(magic) != streamMagic {
		return nil, bad("not a stream of a host")
	}
	rec, err := field(1 << 10)
	if err != nil {
		return nil, err
	}
	s := &stream{}
	if s.host, err = decodeHost(rec); err != nil {
		return nil, bad("host: " + err.Error())
	}
	for {
		if len(s.records)&1023 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		tag, err := read(1)
		if err != nil {
			return nil, err
		}
		if tag[0] == 0 {
			break
		}
		rec := record{tag: tag[0]}
		if rec.key, err = field(16); err != nil {
			return nil, err
		}
		if rec.value, err = field(maxStreamValue); err != nil {
			return nil, err
		}
		if err := s.take(rec); err != nil {
			return nil, bad(fmt.Sprintf("record %c %x: %v", rec.tag, rec.key, err))
		}
	}
	want := sum.Sum32()
	var tail [4]byte
	if _, err := io.ReadFull(in, tail[:]); err != nil {
		return nil, bad("ends early")
	}
	if binary.LittleEndian.Uint32(tail[:]) != want {
		return nil, bad("checksum")
	}
	return s, nil
}

// maxStreamValue is above what any record takes: a chunk of maxChunkBytes and one more
// item.
const maxStreamValue = 1 << 20

// take checks a record of the stream and adds it. Records come in the order of their keys,
// kind by kind.
func (s *stream) take(rec record) error {
	if n := len(s.records); n > 0 {
		p := &s.records[n-1]
		if p.tag == rec.tag && slices.Compare(p.key, rec.key) >= 0 || slices.Index(streamed, p.tag) > slices.Index(streamed, rec.tag) {
			return errors.New("out of order")
		}
	}
	full := append(appendHostKey(nil, rec.tag, 0), rec.key...)
	if _, ok := hostOfKey(full); !ok || rec.tag == tagHost {
		return errors.New("bad key")
	}
	name := s.host.name
	switch rec.tag {
	case tagSeen:
		if len(rec.value) != 0 {
			return errRange
		}
	case tagChunk:
		level, n := rec.key[0], binary.BigEndian.Uint32(rec.key[1:])
		c, err := openChunk(rec.value, n, level, 0)
		if err != nil {
			return err
		}
		for ; c.next < c.count; c.next++ {
			r := reader{b: c.rest}
			r.entry(name, c.base, true)
			if c.rest = r.b; r.err != nil {
				return r.err
			}
		}
		if len(c.rest) > 0 {
			return errTrails
		}
		q := (&host{levels: s.levels}).queueOf(level)
		if q == nil {
			s.levels = append(s.levels, queue{level: level, head: n, tail: n})
			q = &s.levels[len(s.levels)-1]
		}
		if level >= levelCount || n != q.tail || n == math.MaxUint32 {
			return errors.New("not the next of its queue")
		}
		q.tail++
		s.queued += uint32(c.count)
	case tagDone:
		n, items, err := decodeDone(rec.value)
		if err != nil {
			return err
		}
		q := (&host{levels: s.levels}).queueOf(rec.key[0])
		if q == nil || q.head != n || uint32(items) >= s.queued {
			return errors.New("done more than there is")
		}
		q.pos = items
		s.queued -= uint32(items)
	case tagTimed:
		if _, err := decodeTimed(rec.value, name); err != nil {
			return err
		}
		due := int64(binary.BigEndian.Uint64(rec.key))
		if due < 0 || due > maxTime/1e6 {
			return errRange
		}
		if s.timed == 0 {
			s.timed = max(due, 1)
		}
		s.waiting++
	case tagDead:
		if _, err := decodeDead(rec.value, name); err != nil {
			return err
		}
		s.dead++
	}
	s.records = append(s.records, rec)
	return nil
}

// adopt writes a host that was read, in the place of the one of that name. The caller holds
// writeMu.
func (f *Frontier) adopt(s *stream) error {
	f.mu.Lock()
	err := f.usable()
	old := f.hosts.find(s.host.name)
	if err == nil && old != nil && old.state == StateLeased {
		err = fmt.Errorf("%w: %q", ErrBusy, s.host.name)
	}
	if err == nil && old != nil { // no lease of it begins while it is replaced
		old.held = true
		f.place(old, f.advance())
	}
	id := f.hosts.top + 1
	f.hosts.top = id
	f.mu.Unlock()
	if err != nil {
		return err
	}
	f.batch.Reset()
	var dead int64
	if old != nil {
		if dead, err = f.eraseHost(old); err != nil {
			return f.readError("import", err)
		}
	}
	n := s.host
	n.id, n.slot, n.held = id, noSlot, false
	n.levels, n.queued, n.waiting, n.timed = s.levels, s.queued, s.waiting, s.timed
	f.saveHost(&f.batch, &n)
	var key []byte
	for _, rec := range s.records {
		key = append(appendHostKey(key[:0], rec.tag, id), rec.key...)
		switch rec.tag {
		case tagTimed: // numbers of this frontier, lest two items get one key
			binary.BigEndian.PutUint64(key[13:], f.seq.Add(1))
		case tagDead:
			binary.BigEndian.PutUint64(key[5:], f.seq.Add(1))
		case tagSeen:
			f.seen.enter(filterHash(key))
		}
		f.batch.Put(key, rec.value)
	}
	if err := f.db.Apply(&f.batch, f.ordered()); err != nil {
		return f.writeError("import", err)
	}
	if old != nil {
		f.forget(old, dead)
	}
	f.mu.Lock()
	defer f.unlock()
	now := f.advance()
	h := f.hosts.add(id, s.host.name)
	n.name = h.name
	*h = n
	for i := range h.levels {
		h.levels[i].since = now
	}
	h.fence = now + f.delay(h)
	f.stats.Queued += int64(h.queued)
	f.stats.Waiting += int64(h.waiting)
	f.stats.Dead += s.dead
	f.place(h, now)
	f.wakeUp()
	return nil
}
