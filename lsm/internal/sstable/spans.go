package sstable

import (
	"encoding/binary"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// The spans block: one range tombstone after the other, in the order of key.CompareSpans,
// to the end of the block:
//
//	uvarint start's length, uvarint end's length, u64 sequence number, start, end

func appendSpan(dst []byte, s key.Span) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.Start)))
	dst = binary.AppendUvarint(dst, uint64(len(s.End)))
	dst = binary.LittleEndian.AppendUint64(dst, s.Seq)
	dst = append(dst, s.Start...)
	return append(dst, s.End...)
}

// parseSpans reads a spans block, which the spans alias; detail says what is wrong with it.
func parseSpans(p []byte) (spans []key.Span, detail string) {
	for len(p) > 0 {
		start, n := binary.Uvarint(p)
		if n <= 0 {
			return nil, "spans: truncated"
		}
		p = p[n:]
		end, n := binary.Uvarint(p)
		if n <= 0 || len(p)-n < 8 {
			return nil, "spans: truncated"
		}
		s := key.Span{Seq: binary.LittleEndian.Uint64(p[n:])}
		p = p[n+8:]
		if start > uint64(len(p)) || end > uint64(len(p))-start {
			return nil, "spans: truncated"
		}
		s.Start, s.End, p = p[:start:start], p[start:start+end:start+end], p[start+end:]
		switch {
		case s.Empty() || s.Seq > key.MaxSeq:
			return nil, "spans: impossible tombstone"
		case len(spans) > 0 && key.CompareSpans(spans[len(spans)-1], s) >= 0:
			return nil, "spans: out of order"
		}
		spans = append(spans, s)
	}
	return spans, ""
}
