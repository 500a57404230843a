package memtable

import (
	"bytes"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Range tombstones are few, so they are kept apart from the skip list: a sorted cover of
// most of them and a short tail of those that came since it was made. Readers look at
// both; the writer folds the tail into the cover when it has grown by an eighth, which
// keeps the cost of n tombstones near n log n however reads and writes interleave.
type spanList struct {
	cover key.Cover
	all   []key.Span
	tail  int // all[tail:] is not in cover
}

func (t *Table) addSpan(s key.Span) {
	old := t.spans.Load()
	l := &spanList{cover: old.cover, all: append(old.all, s), tail: old.tail}
	if n := len(l.all) - l.tail; n > 16+l.tail/8 {
		l.cover, l.tail = key.NewCover(l.all), len(l.all)
	}
	t.spans.Store(l)
}

// CoverSeq is the newest range tombstone not newer than limit that lies over k; 0 if
// there is none.
func (t *Table) CoverSeq(k []byte, limit uint64) uint64 {
	l := t.spans.Load()
	if len(l.all) == 0 {
		return 0
	}
	best := l.cover.Seq(k, limit)
	for _, s := range l.all[l.tail:] {
		if s.Seq > best && s.Seq <= limit && bytes.Compare(s.Start, k) <= 0 && bytes.Compare(k, s.End) < 0 {
			best = s.Seq
		}
	}
	return best
}

// Spans returns the range tombstones in the order in which they came: read-only.
func (t *Table) Spans() []key.Span { return t.spans.Load().all }
