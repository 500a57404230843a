// Package replica keeps a replication stream: what a primary did, as commands, one byte
// after the other since the stream began. A replica that lost its connection says how far
// it came; if the bytes after that are still kept it goes on from there (a partial resync),
// and otherwise it is sent a snapshot (a full one).
//
//	offset  0 ······ kept from ▓▓▓▓▓▓▓▓▓▓▓▓▓▓ Offset
//	                             ▲ a replica that was here at the cut goes on
//
// A stream has a name. When a replica becomes primary it begins a new one at the same
// offset, and remembers the name of the old one with the offset at which it left it: the
// other replicas go on without a snapshot, and so does the old primary, unless it did
// something after that nobody else knows of.
package replica

// Stream is the end of a stream. It is not safe for concurrent use.
type Stream struct {
	id     string
	prev   string // the stream before, which this one continues
	branch int64  // where it left prev
	ring   []byte
	size   int64 // bytes of ring that are kept
	offset int64 // of the next byte
}

// New begins a stream of a name of which so many bytes are kept.
func New(id string, keep int) *Stream {
	return &Stream{id: id, ring: make([]byte, max(keep, 1))}
}

// ID is the stream's name.
func (s *Stream) ID() string { return s.id }

// Offset is how many bytes the stream has had.
func (s *Stream) Offset() int64 { return s.offset }

// Kept is how many bytes are kept.
func (s *Stream) Kept() int64 { return s.size }

// Append adds bytes.
func (s *Stream) Append(b []byte) {
	n := int64(len(s.ring))
	s.offset += int64(len(b))
	if int64(len(b)) > n {
		b = b[int64(len(b))-n:]
	}
	at := (s.offset - int64(len(b))) % n
	copied := copy(s.ring[at:], b)
	copy(s.ring, b[copied:])
	s.size = min(s.size+int64(len(b)), n)
}

// Since appends to dst what came after an offset of a stream that a replica followed, and
// tells whether all of it is kept and the replica knows nothing that is not in here.
func (s *Stream) Since(dst []byte, id string, offset int64) ([]byte, bool) {
	switch {
	case offset < 0 || offset > s.offset || offset < s.offset-s.size:
		return dst, false
	case id == s.id:
	case s.prev != "" && id == s.prev && offset <= s.branch:
	default:
		return dst, false
	}
	n := int64(len(s.ring))
	for offset < s.offset {
		at := offset % n
		end := min(n, at+s.offset-offset)
		dst = append(dst, s.ring[at:end]...)
		offset += end - at
	}
	return dst, true
}

// Follow begins anew as a follower of a stream at an offset, after a full resync.
func (s *Stream) Follow(id string, offset int64) {
	s.id, s.prev, s.branch, s.offset, s.size = id, "", 0, offset, 0
}

// Rename goes on under the name that the primary now has, after a partial resync.
func (s *Stream) Rename(id string) {
	if id != s.id {
		s.prev, s.branch, s.id = s.id, s.offset, id
	}
}
