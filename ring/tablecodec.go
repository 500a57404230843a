package ring

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// An encoded table: "ART1", then varints: seed, epoch, partitions, replicas, nodes; each
// node's ID, address and zone after their lengths, and its weight; each partition's
// number of owners and their indexes; and a CRC32C of all before (4 bytes, little-endian).

const tableMagic = "ART1"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// AppendBinary appends the encoding of the table. The error is always nil.
func (t *Table) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, tableMagic...)
	for _, n := range []uint64{t.o.Seed, t.epoch, uint64(t.o.Partitions), uint64(t.o.Replicas), uint64(len(t.nodes))} {
		b = binary.AppendUvarint(b, n)
	}
	for _, n := range t.nodes {
		for _, s := range []string{n.ID, n.Addr, n.Zone} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
		b = binary.AppendUvarint(b, uint64(n.Weight))
	}
	index := t.byID()
	for _, owners := range t.owners {
		b = binary.AppendUvarint(b, uint64(len(owners)))
		for _, n := range owners {
			b = binary.AppendUvarint(b, uint64(index[n.ID]))
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli)), nil
}

// MarshalBinary is AppendBinary into new memory.
func (t *Table) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// tableReader takes values off an encoding; the first problem sticks.
type tableReader struct {
	b   []byte
	err error
}

func (r *tableReader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		if r.err == nil {
			r.err = corrupt("bad number")
		}
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *tableReader) string() string {
	n := r.uvarint(uint64(len(r.b)))
	if r.err != nil || n > uint64(len(r.b)) {
		if r.err == nil {
			r.err = corrupt("cut short")
		}
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// UnmarshalBinary replaces t by the table encoded in b, all of b. Errors match ErrCorrupt
// and leave t as it was. What a hostile encoding can allocate is bounded by its length
// and the largest table. Do not call it on a table that others use.
func (t *Table) UnmarshalBinary(b []byte) error {
	if len(b) < len(tableMagic)+4 || string(b[:4]) != tableMagic {
		return corrupt("no table")
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return corrupt("checksum")
	}
	r := tableReader{b: body[4:]}
	seed, epoch := r.uvarint(1<<64-1), r.uvarint(1<<64-1)
	o := TableOptions{Partitions: int(r.uvarint(maxPartitions)), Replicas: int(r.uvarint(1 << 8)), Seed: seed}
	checked, err := o.withDefaults()
	if r.err != nil || err != nil || checked != o {
		return corrupt("options")
	}
	nodes := make([]Node, r.uvarint(min(maxNodes, uint64(len(r.b)/4))))
	for i := range nodes {
		nodes[i] = Node{ID: r.string(), Addr: r.string(), Zone: r.string(), Weight: int(r.uvarint(1 << 30))}
	}
	if r.err != nil {
		return r.err
	}
	if again, err := sorted(nodes); err != nil || !same(again, nodes) {
		return corrupt("nodes")
	}
	if o.Partitions > len(r.b) {
		return corrupt("partitions missing")
	}
	owners := make([][]Node, o.Partitions)
	for p := range owners {
		n := int(r.uvarint(uint64(min(o.Replicas, len(nodes)))))
		owners[p] = make([]Node, n)
		for i := range owners[p] {
			at := r.uvarint(uint64(len(nodes) - 1))
			if r.err != nil {
				return r.err
			}
			if has(owners[p][:i], nodes[at].ID) {
				return corrupt("partition %d has an owner twice", p)
			}
			owners[p][i] = nodes[at]
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = corrupt("%d bytes too many", len(r.b))
	}
	if r.err != nil {
		return r.err
	}
	*t = *newTable(o, epoch, nodes, owners)
	return nil
}
