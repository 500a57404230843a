package memtable

import (
	"slices"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// A spanSet is an immutable state of a table's range tombstones, made anew by every one
// that is added. The newest few are looked at one by one; the others are in covers, each
// larger than the one after it. Adding one is then O(log² n) amortised and
// asking O(log² n), where a single cover would have to be rebuilt every time.
//
// Source: J. L. Bentley, J. B. Saxe, "Decomposable Searching Problems" (1980).
type spanSet struct {
	all    []key.Span // in order of arrival
	covers []cover    // of all but the last few, from the oldest on
}

// cover is a Cover of n spans.
type cover struct {
	key.Cover
	n int
}

// loose is how many spans are looked at one by one.
const loose = 16

// addSpan publishes a state with one more span.
func (t *Table) addSpan(s key.Span) {
	next := &spanSet{}
	if old := t.spans.Load(); old != nil {
		*next = *old
	}
	// Readers look only below the length they have loaded: appending in place is safe.
	next.all = append(next.all, s)
	covered := next.covered()
	if len(next.all)-covered == loose {
		n := loose
		covers := slices.Clone(next.covers)
		for len(covers) > 0 && covers[len(covers)-1].n <= n {
			n += covers[len(covers)-1].n
			covers = covers[:len(covers)-1]
		}
		next.covers = append(covers, cover{key.NewCover(next.all[len(next.all)-n:]), n})
	}
	t.spans.Store(next)
	t.size.Add(int64(len(s.Start) + len(s.End) + spanCost))
	t.length.Add(1)
}

// spanCost is about what a span takes besides its keys.
const spanCost = 128

// covered is the number of spans in covers.
func (s *spanSet) covered() int {
	n := 0
	for _, c := range s.covers {
		n += c.n
	}
	return n
}

// Spans returns the range tombstones in order of arrival. The slice is a view that must
// not be written to and does not change.
func (t *Table) Spans() []key.Span {
	if s := t.spans.Load(); s != nil {
		return s.all[:len(s.all):len(s.all)]
	}
	return nil
}

// CoverSeq returns the highest sequence number of a range tombstone that contains k and
// is not newer than seq; 0 if there is none. One load if the table has no tombstones,
// O(log² n) if it has n; no allocation.
func (t *Table) CoverSeq(k []byte, seq uint64) uint64 {
	s := t.spans.Load()
	if s == nil {
		return 0
	}
	var best uint64
	covered := 0
	for _, c := range s.covers {
		best = max(best, c.Seq(k, seq))
		covered += c.n
	}
	for _, sp := range s.all[covered:] {
		if sp.Seq <= seq && sp.Seq > best && sp.Contains(k) {
			best = sp.Seq
		}
	}
	return best
}

// Covers returns the range tombstones as a few covers, which do not change.
func (t *Table) Covers() []key.Cover {
	s := t.spans.Load()
	if s == nil {
		return nil
	}
	out := make([]key.Cover, 0, len(s.covers)+1)
	for _, c := range s.covers {
		out = append(out, c.Cover)
	}
	if loose := key.NewCover(s.all[s.covered():]); !loose.Empty() {
		out = append(out, loose)
	}
	return out
}
