package frontier

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/lsm"
)

// What stands in the store. Numbers in keys are big-endian, so that they sort; id is a
// host's number.
//
//	m f                   format of the directory: formatVersion
//	m s                   how often it was opened
//	m c                   the latest time seen, in nanoseconds
//	h id                  host: name, delays, breaker, budget
//	s id hash(12)         URL was added; no value
//	q id level n          chunk n of a queue: up to 64 items, in order
//	d id level            how far the first chunk of a queue is done: n, items
//	t id due seq          item that is held back until due (ms)
//	x id seq              dead letter
//	y hash(8)             yield of a template
//
// Everything of a host is below five prefixes, so that it can be read, and removed by
// five range deletes, without a look at any other.
//
// A URL is two small writes when it is added, s and its share of q, and one when it is
// done: d, or the removal of q with its last item. A lease writes nothing.
const (
	tagMeta     = 'm'
	tagHost     = 'h'
	tagSeen     = 's'
	tagChunk    = 'q'
	tagDone     = 'd'
	tagTimed    = 't'
	tagDead     = 'x'
	tagTemplate = 'y'

	formatVersion = 1
)

var (
	keyFormat = []byte{tagMeta, 'f'}
	keyStarts = []byte{tagMeta, 's'}
	keyClock  = []byte{tagMeta, 'c'}
)

func appendHostKey(b []byte, tag byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, tag), id)
}

// seenKey is the key under which it is noted that the URL was added. The hash has 96 bits
// and the key names the host, so that whoever makes URLs collide harms only the host that
// he answers for.
func seenKey(id uint32, url string) (k [17]byte) {
	hash := xxhash.Sum64String(url)
	k[0] = tagSeen
	binary.BigEndian.PutUint32(k[1:], id)
	binary.BigEndian.PutUint64(k[5:], hash)
	var d xxhash.Digest
	d.ResetWithSeed(hash ^ 0x9e3779b97f4a7c15)
	_, _ = d.WriteString(url)
	binary.BigEndian.PutUint32(k[13:], uint32(d.Sum64()>>32))
	return k
}

// filterHash is what the Bloom filter knows a key by.
func filterHash(k []byte) uint64 { return xxhash.Sum64(k) }

func chunkKey(id uint32, level uint8, n uint32) (k [10]byte) {
	k[0] = tagChunk
	binary.BigEndian.PutUint32(k[1:], id)
	k[5] = level
	binary.BigEndian.PutUint32(k[6:], n)
	return k
}

func doneKey(id uint32, level uint8) (k [6]byte) {
	k[0] = tagDone
	binary.BigEndian.PutUint32(k[1:], id)
	k[5] = level
	return k
}

func timedKey(id uint32, due int64, seq uint64) (k [21]byte) {
	k[0] = tagTimed
	binary.BigEndian.PutUint32(k[1:], id)
	binary.BigEndian.PutUint64(k[5:], uint64(due))
	binary.BigEndian.PutUint64(k[13:], seq)
	return k
}

func deadKey(id uint32, seq uint64) (k [13]byte) {
	k[0] = tagDead
	binary.BigEndian.PutUint32(k[1:], id)
	binary.BigEndian.PutUint64(k[5:], seq)
	return k
}

func templateKey(hash uint64) (k [9]byte) {
	k[0] = tagTemplate
	binary.BigEndian.PutUint64(k[1:], hash)
	return k
}

// hostOfKey returns the number of the host that a key is about; ok is false if the key
// has not the length that its tag demands.
func hostOfKey(k []byte) (id uint32, ok bool) {
	if len(k) == 0 {
		return 0, false
	}
	want := 0
	switch k[0] {
	case tagHost:
		want = 5
	case tagSeen:
		want = 17
	case tagChunk:
		want = 10
	case tagDone:
		want = 6
	case tagTimed:
		want = 21
	case tagDead:
		want = 13
	}
	if len(k) != want {
		return 0, false
	}
	return binary.BigEndian.Uint32(k[1:]), true
}

func tagRange(tag byte) lsm.Range { return lsm.Prefix([]byte{tag}) }

func hostRange(tag byte, id uint32) lsm.Range { return lsm.Prefix(appendHostKey(nil, tag, id)) }
