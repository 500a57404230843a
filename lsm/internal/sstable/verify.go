package sstable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// maxFindings ends a verification: a table that is rotten throughout need not say so of
// every block.
const maxFindings = 100

// Verify reads every block from the file, past the cache, and checks every entry: order,
// separators, restarts, filter, and that the properties say what is there. It joins what
// it finds; errors of the file itself and of ctx end it early. The rest of the table was
// checked by Open and is read again.
func (t *Reader) Verify(ctx context.Context) error {
	v := verifier{t: t, seen: Meta{FileNum: t.meta.FileNum, Size: t.meta.Size}}
	if again, err := Open(struct{ io.ReaderAt }{t.r}, int64(t.meta.Size), t.name, t.meta.FileNum, nil); err != nil {
		v.report(err)
	} else if again.index.blocks() != t.index.blocks() {
		v.find(t.index.offsets[t.index.blocks()], "index changed since the table was opened")
	}
	for i := range t.index.blocks() {
		if len(v.errs) >= maxFindings {
			break
		}
		if err := ctx.Err(); err != nil {
			v.report(err)
			return errors.Join(v.errs...)
		}
		if err := v.block(i); err != nil {
			v.report(err)
			if !errors.As(err, new(*CorruptError)) {
				return errors.Join(v.errs...)
			}
			v.skipped = true
		}
	}
	v.spans()
	if !v.skipped {
		v.properties()
	}
	return errors.Join(v.errs...)
}

// verifier is a walk through a table's blocks.
type verifier struct {
	t       *Reader
	seen    Meta // what the properties should say
	last    []byte
	lastTr  key.Trailer
	any     bool // there is a last entry
	skipped bool // a block could not be read
	errs    []error
}

func (v *verifier) report(err error) { v.errs = append(v.errs, err) }

func (v *verifier) find(offset uint64, format string, args ...any) {
	v.report(damage(v.t.name, int64(offset), "%s", fmt.Sprintf(format, args...)))
}

// block checks block number i. An error says why it could not be read.
func (v *verifier) block(i int) error {
	b, err := v.t.readBlock(i)
	if err != nil {
		return err
	}
	at := v.t.index.offsets[i]
	restart, first := 0, true
	k := bytes.Clone(b.data[:b.common])
	for off := b.common; off < b.limit; {
		e, ok := b.entry(off)
		if !ok || b.common+e.shared > len(k) {
			return v.t.damaged(i)
		}
		k = append(k[:b.common+e.shared], b.data[e.key:e.value]...)
		if restart < b.restarts && b.offset(restart) == off {
			if e.shared != 0 || b.prefix(restart) != key.Prefix(k[b.common:]) {
				v.find(at, "restart %d is not what its prefix says", restart)
			}
			restart++
		}
		v.entry(at, k, e.trailer, b.data[e.value:e.end])
		if first && i > 0 && v.compareSeparator(i-1, k, e.trailer) >= 0 {
			v.find(at, "first entry is not after the separator before")
		}
		first = false
		off = e.end
	}
	if restart != b.restarts {
		v.find(at, "restart %d is not at an entry", restart)
	}
	if v.compareSeparator(i, v.last, v.lastTr) < 0 {
		v.find(at, "last entry is after the separator")
	}
	return nil
}

// compareSeparator compares separator i with an internal key.
func (v *verifier) compareSeparator(i int, k []byte, t key.Trailer) int {
	x := &v.t.index
	return key.Compare(append(bytes.Clone(x.common), x.suffix(i)...), x.trailers[i], k, t)
}

// entry checks an entry against the one before, the filter and the table's bounds.
func (v *verifier) entry(at uint64, k []byte, t key.Trailer, value []byte) {
	if v.any && key.Compare(v.last, v.lastTr, k, t) >= 0 {
		v.find(at, "key %q out of order", clip(k))
	}
	if !v.t.MayContain(bloom.Hash(k)) {
		v.find(at, "key %q is not in the filter", clip(k))
	}
	if !t.Kind().Point() || t.Kind() == key.SetExpiring && len(value) < key.ExpiryLen {
		v.find(at, "key %q has an impossible entry %v", clip(k), t)
	}
	if m := &v.t.meta; bytes.Compare(k, m.Smallest) < 0 || bytes.Compare(k, m.Largest) > 0 || m.LargestOpen && bytes.Equal(k, m.Largest) {
		v.find(at, "key %q is outside the table's bounds", clip(k))
	}
	v.seen.note(t, len(k), value)
	v.last, v.lastTr, v.any = append(v.last[:0], k...), t, true
}

// spans takes range tombstones into account.
func (v *verifier) spans() {
	for _, s := range v.t.spans {
		v.seen.noteSeq(s.Seq)
		v.seen.Spans++
		v.seen.RawBytes += uint64(len(s.Start) + len(s.End))
		if m := &v.t.meta; bytes.Compare(s.Start, m.Smallest) < 0 || bytes.Compare(s.End, m.Largest) > 0 {
			v.find(v.t.sections.spans, "range tombstone from %q is outside the table's bounds", clip(s.Start))
		}
	}
}

// properties compares what was seen with what the table says of itself.
func (v *verifier) properties() {
	m := v.t.meta
	v.seen.Smallest, v.seen.Largest, v.seen.LargestOpen = m.Smallest, m.Largest, m.LargestOpen
	if v.seen.Expiring == 0 {
		v.seen.MinExpiry, v.seen.MaxExpiry = 0, 0
	}
	if !reflect.DeepEqual(v.seen, m) {
		v.find(v.t.sections.properties, "properties are %+v, contents are %+v", m, v.seen)
	}
}
