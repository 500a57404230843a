package frontier

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
)

// Every stored value begins with its version, recordVersion. Numbers are varints unless a
// size is given. Decoders take any bytes: what they refuse is an error, what they accept
// has all its parts, and encoding it again gives a record of the same meaning.
//
//	entry     flags(1) depth [found] len url [attempts(1) visits last rate(4)] [len meta]
//	chunk     version(1) count(1) base  entry…
//	timed     version(1) level(1) entry
//	dead      version(1) level(1) time len cause entry
//	done      version(1) n items(1)
//	host      version(1) flags(1) base penalty edge latency fails trips block visits budget len name
//	template  version(1) step(1)

const (
	recordVersion = 1
	maxChunk      = 64       // items
	maxChunkBytes = 16 << 10 // after which a chunk takes no more items
	maxCause      = 512
)

var (
	errShort   = errors.New("ends early")
	errVersion = errors.New("unknown version")
	errRange   = errors.New("value out of range")
	errTrails  = errors.New("bytes after the end")
)

// entry is an item as it is stored.
type entry struct {
	url      string
	level    uint8 // not part of the encoding: it is in the key, or before the entry
	depth    uint16
	found    int64 // seconds
	attempts uint8
	visits   uint32
	last     int64   // when it was visited last, in seconds
	rate     float32 // logarithm of its changes a second
	meta     []byte
}

const (
	flagHTTPS   = 1 << iota // the URL is https://, the queue's name, and what is stored
	flagHTTP                // the same with http://
	flagFound               // the time of discovery is not the chunk's
	flagHistory             // attempts and visits are there
	flagMeta

	entryFlags = flagHTTPS | flagHTTP | flagFound | flagHistory | flagMeta
)

// appendEntry encodes an entry of a queue with that name, in a chunk of that time.
func appendEntry(b []byte, e *entry, host string, base int64) []byte {
	var flags byte
	url := e.url
	if rest, ok := strings.CutPrefix(url, "https://"); ok && strings.HasPrefix(rest, host) {
		flags, url = flagHTTPS, rest[len(host):]
	} else if rest, ok := strings.CutPrefix(url, "http://"); ok && strings.HasPrefix(rest, host) {
		flags, url = flagHTTP, rest[len(host):]
	}
	if e.found != base {
		flags |= flagFound
	}
	if e.attempts != 0 || e.visits != 0 {
		flags |= flagHistory
	}
	if len(e.meta) > 0 {
		flags |= flagMeta
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(e.depth))
	if flags&flagFound != 0 {
		b = binary.AppendUvarint(b, uint64(e.found))
	}
	b = binary.AppendUvarint(b, uint64(len(url)))
	b = append(b, url...)
	if flags&flagHistory != 0 {
		b = append(b, e.attempts)
		b = binary.AppendUvarint(b, uint64(e.visits))
		b = binary.AppendUvarint(b, uint64(e.last))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(e.rate))
	}
	if flags&flagMeta != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.meta)))
		b = append(b, e.meta...)
	}
	return b
}

// reader takes a record apart. After the first error all it returns is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err, r.b = err, nil
	}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errShort)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	switch {
	case n == 0:
		r.fail(errShort)
		return 0
	case n < 0 || v > limit:
		r.fail(errRange)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(limit uint64) []byte {
	n := r.uvarint(limit)
	if uint64(len(r.b)) < n {
		r.fail(errShort)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) version() {
	if r.byte() != recordVersion {
		r.fail(errVersion)
	}
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrails
	}
	return r.err
}

// entry decodes an entry, or with skip only walks over it. The strings are copies.
func (r *reader) entry(host string, base int64, skip bool) (e entry) {
	flags := r.byte()
	if flags&^entryFlags != 0 || flags&flagHTTPS != 0 && flags&flagHTTP != 0 {
		r.fail(errRange)
	}
	e.depth = uint16(r.uvarint(math.MaxUint16))
	e.found = base
	if flags&flagFound != 0 {
		e.found = int64(r.uvarint(maxSeconds))
	}
	url := r.bytes(maxURLLimit)
	if flags&flagHistory != 0 {
		e.attempts = r.byte()
		e.visits = uint32(r.uvarint(math.MaxUint32))
		e.last = int64(r.uvarint(maxSeconds))
		if len(r.b) < 4 {
			r.fail(errShort)
		} else {
			e.rate = math.Float32frombits(binary.LittleEndian.Uint32(r.b))
			r.b = r.b[4:]
			if !(e.rate >= minRate && e.rate <= maxRate) {
				r.fail(errRange)
			}
		}
	}
	var meta []byte
	if flags&flagMeta != 0 {
		if meta = r.bytes(maxURLLimit); len(meta) == 0 {
			r.fail(errRange)
		}
	}
	if r.err != nil || skip {
		return entry{}
	}
	switch {
	case flags&flagHTTPS != 0:
		e.url = "https://" + host + string(url)
	case flags&flagHTTP != 0:
		e.url = "http://" + host + string(url)
	default:
		e.url = string(url)
	}
	if len(e.url) > maxURLLimit+maxHostName {
		r.fail(errRange)
		return entry{}
	}
	if meta != nil {
		e.meta = append([]byte(nil), meta...)
	}
	return e
}

// maxSeconds bounds stored times: the year 5138.
const maxSeconds = 100_000_000_000

// chunkHeader reads what stands before the entries of a chunk.
func (r *reader) chunkHeader() (count uint8, base int64) {
	r.version()
	count = r.byte()
	if r.err == nil && (count == 0 || count > maxChunk) {
		r.fail(errRange)
	}
	return count, int64(r.uvarint(maxSeconds))
}

// chunkCount is the number of items in a chunk, by its header alone.
func chunkCount(v []byte) (uint8, error) {
	r := reader{b: v}
	n, _ := r.chunkHeader()
	return n, r.err
}

func appendTimed(b []byte, e *entry, host string) []byte {
	return appendEntry(append(b, recordVersion, e.level), e, host, -1)
}

func (r *reader) levelByte() uint8 {
	l := r.byte()
	if l >= levelCount {
		r.fail(errRange)
	}
	return l
}

func decodeTimed(v []byte, host string) (entry, error) {
	r := reader{b: v}
	r.version()
	l := r.levelByte()
	e := r.entry(host, 0, false)
	e.level = l
	return e, r.end()
}

// dead is a dead letter as it is stored.
type dead struct {
	entry
	at    int64 // seconds
	cause string
}

func appendDead(b []byte, d *dead, host string) []byte {
	b = append(b, recordVersion, d.level)
	b = binary.AppendUvarint(b, uint64(d.at))
	b = binary.AppendUvarint(b, uint64(len(d.cause)))
	b = append(b, d.cause...)
	return appendEntry(b, &d.entry, host, -1)
}

func decodeDead(v []byte, host string) (dead, error) {
	r := reader{b: v}
	r.version()
	l := r.levelByte()
	at := int64(r.uvarint(maxSeconds))
	cause := string(r.bytes(maxCause))
	d := dead{entry: r.entry(host, 0, false), at: at, cause: cause}
	d.level = l
	return d, r.end()
}

func appendDone(b []byte, n uint32, items uint8) []byte {
	b = binary.AppendUvarint(append(b, recordVersion), uint64(n))
	return append(b, items)
}

func decodeDone(v []byte) (n uint32, items uint8, err error) {
	r := reader{b: v}
	r.version()
	n = uint32(r.uvarint(math.MaxUint32))
	if items = r.byte(); items == 0 || items >= maxChunk {
		r.fail(errRange)
	}
	return n, items, r.end()
}

const (
	hostHeld  = 1
	hostFlags = hostHeld
)

func appendHost(b []byte, h *host) []byte {
	var flags byte
	if h.held {
		flags |= hostHeld
	}
	b = append(b, recordVersion, flags)
	for _, v := range []uint64{
		uint64(h.base), uint64(h.penalty), uint64(h.edge), uint64(h.latency), uint64(h.fails), uint64(h.trips),
		uint64(ticks(max(h.block, 0))), uint64(h.visits), uint64(h.budget), uint64(len(h.name)),
	} {
		b = binary.AppendUvarint(b, v)
	}
	return append(b, h.name...)
}

// decodeHost reads a host's record into a host that is in no table.
func decodeHost(v []byte) (h host, err error) {
	r := reader{b: v}
	r.version()
	flags := r.byte()
	if flags&^hostFlags != 0 {
		r.fail(errRange)
	}
	h.held = flags&hostHeld != 0
	h.base = uint32(r.uvarint(math.MaxUint32))
	h.penalty = uint32(r.uvarint(math.MaxUint32))
	h.edge = uint32(r.uvarint(math.MaxUint32))
	h.latency = uint32(r.uvarint(math.MaxUint32))
	h.fails = uint16(r.uvarint(math.MaxUint16))
	h.trips = uint8(r.uvarint(math.MaxUint8))
	h.block = int64(r.uvarint(maxTime/1e6)) * 1e6
	h.visits = uint32(r.uvarint(math.MaxUint32))
	h.budget = uint32(r.uvarint(math.MaxUint32))
	h.name = string(r.bytes(maxHostName))
	if r.err == nil && !validHost(h.name) {
		r.fail(errRange)
	}
	return h, r.end()
}
