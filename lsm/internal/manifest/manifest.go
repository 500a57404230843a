// Package manifest records which tables make up a store. Every change of that set is one
// edit, and the edits since the last full description are one log (package wal), so that
// a change is atomic: either its record is whole or it did not happen.
//
// An edit is a row of fields, each a tag and its content; numbers are varints.
package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// Levels is the number of levels of a store.
const Levels = 7

// Numbers that no store reaches: a thousand files and a hundred million writes a second
// for ten years. What claims more is damaged, and would overflow sooner or later.
const (
	maxFile = 1 << 48
	maxSeq  = 1 << 55
)

// ErrCorrupt is matched by errors about edits that cannot be, alone or after the others.
var ErrCorrupt = errors.New("manifest: corrupt")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Table is one table at one level.
type Table struct {
	Level int
	sstable.Meta
}

// Deleted names a table that is no longer part of the store.
type Deleted struct {
	Level int
	Num   uint64
}

// Edit is one change. Zero numbers are left as they are.
type Edit struct {
	NextFile uint64 // no file with this number or a larger one exists
	LogNum   uint64 // logs with smaller numbers are no longer needed
	LastSeq  uint64 // all that is in tables has this sequence number or a smaller one
	Added    []Table
	Deleted  []Deleted
}

const (
	tagNextFile = 1 + iota
	tagLogNum
	tagLastSeq
	tagAdded
	tagDeleted
)

// Append appends the encoding of e.
func (e *Edit) Append(b []byte) []byte {
	for i, n := range []uint64{e.NextFile, e.LogNum, e.LastSeq} {
		if n != 0 {
			b = binary.AppendUvarint(append(b, byte(tagNextFile+i)), n)
		}
	}
	for _, d := range e.Deleted {
		b = append(b, tagDeleted, byte(d.Level))
		b = binary.AppendUvarint(b, d.Num)
	}
	for i := range e.Added {
		t := &e.Added[i]
		b = append(b, tagAdded, byte(t.Level))
		for _, k := range [][]byte{t.Smallest, t.Largest} {
			b = binary.AppendUvarint(b, uint64(len(k)))
			b = append(b, k...)
		}
		for _, n := range t.numbers() {
			b = binary.AppendUvarint(b, *n)
		}
		b = binary.AppendVarint(b, t.MinExpiry)
		b = binary.AppendVarint(b, t.MaxExpiry)
	}
	return b
}

func (t *Table) numbers() []*uint64 {
	return []*uint64{&t.FileNum, &t.Size, &t.SmallestSeq, &t.LargestSeq, &t.Entries, &t.Deletes, &t.Spans, &t.Expiring, &t.RawBytes}
}

// reader takes fields off an edit; the first problem sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := bytes.Clone(r.b[:n])
	r.b = r.b[n:]
	return v
}

func (r *reader) level() int {
	n := r.uvarint()
	if n >= Levels {
		r.bad, r.b = true, nil
	}
	return int(n)
}

// Parse reads one edit. It copies what it keeps of b.
func Parse(b []byte) (Edit, error) {
	var e Edit
	r := reader{b: b}
	for len(r.b) > 0 && !r.bad {
		switch tag := r.uvarint(); tag {
		case tagNextFile:
			e.NextFile = r.uvarint()
		case tagLogNum:
			e.LogNum = r.uvarint()
		case tagLastSeq:
			e.LastSeq = r.uvarint()
		case tagDeleted:
			e.Deleted = append(e.Deleted, Deleted{r.level(), r.uvarint()})
		case tagAdded:
			t := Table{Level: r.level()}
			t.Smallest, t.Largest = r.bytes(), r.bytes()
			for _, n := range t.numbers() {
				*n = r.uvarint()
			}
			t.MinExpiry, t.MaxExpiry = r.varint(), r.varint()
			e.Added = append(e.Added, t)
		default:
			return Edit{}, corrupt("unknown field %d", tag)
		}
	}
	if r.bad {
		return Edit{}, corrupt("edit cut short")
	}
	return e, nil
}

// State is what the edits so far add up to.
type State struct {
	NextFile, LogNum, LastSeq uint64
	Levels                    [Levels][]Table // level 0 by file number, the others by key
}

// Apply adds an edit. An error leaves the state unusable.
func (s *State) Apply(e *Edit) error {
	s.NextFile, s.LogNum, s.LastSeq = max(s.NextFile, e.NextFile), max(s.LogNum, e.LogNum), max(s.LastSeq, e.LastSeq)
	for _, d := range e.Deleted {
		l := &s.Levels[d.Level]
		i := slices.IndexFunc(*l, func(t Table) bool { return t.FileNum == d.Num })
		if i < 0 {
			return corrupt("table %d is not at level %d and cannot be taken away", d.Num, d.Level)
		}
		*l = slices.Delete(*l, i, i+1)
	}
	for _, t := range e.Added {
		s.Levels[t.Level] = append(s.Levels[t.Level], t)
	}
	return nil
}

// Check sorts the levels and judges the state as a whole.
func (s *State) Check() error {
	switch {
	case s.NextFile > maxFile:
		return corrupt("the next file is %d", s.NextFile)
	case s.LogNum > s.NextFile:
		return corrupt("the log is %d, but the next file is %d", s.LogNum, s.NextFile)
	case s.LastSeq > maxSeq:
		return corrupt("the last sequence number is %d", s.LastSeq)
	}
	seen := map[uint64]bool{}
	for level := range s.Levels {
		l := s.Levels[level]
		slices.SortFunc(l, func(a, b Table) int {
			if level > 0 {
				if c := bytes.Compare(a.Smallest, b.Smallest); c != 0 {
					return c
				}
			}
			if a.FileNum < b.FileNum {
				return -1
			}
			return 1
		})
		for i, t := range l {
			switch {
			case seen[t.FileNum]:
				return corrupt("table %d is there twice", t.FileNum)
			case t.FileNum == 0 || t.FileNum >= s.NextFile:
				return corrupt("table %d, but the next file is %d", t.FileNum, s.NextFile)
			case bytes.Compare(t.Smallest, t.Largest) > 0:
				return corrupt("table %d ends before it starts", t.FileNum)
			case t.LargestSeq > s.LastSeq || t.LargestSeq > key.MaxSeq || t.SmallestSeq > t.LargestSeq:
				return corrupt("table %d has sequence number %d, the last is %d", t.FileNum, t.LargestSeq, s.LastSeq)
			// Neighbours may touch: the end of a range tombstone is exclusive.
			case level > 0 && i > 0 && bytes.Compare(l[i-1].Largest, t.Smallest) > 0:
				return corrupt("tables %d and %d of level %d overlap", l[i-1].FileNum, t.FileNum, level)
			}
			seen[t.FileNum] = true
		}
	}
	return nil
}

// Snapshot is the whole state as one edit, for the start of a new log.
func (s *State) Snapshot() *Edit {
	e := &Edit{NextFile: s.NextFile, LogNum: s.LogNum, LastSeq: s.LastSeq}
	for _, l := range s.Levels {
		e.Added = append(e.Added, l...)
	}
	return e
}
