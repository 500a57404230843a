package core

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is matched by errors about bytes that no node of this cluster wrote.
var ErrMalformed = errors.New("kv: malformed")

// Kind is a kind of message.
type Kind uint8

// The kinds. A reply has the kind of its request and Reply set.
const (
	Ping      Kind = iota + 1 // a stamp; the reply brings one back
	Read                      // the object of a key, or its digest
	Merge                     // join an object into a key's, never a blind write; without one, an offer
	Forward                   // coordinate this client's write: the receiver owns the key
	Exchange                  // one frame of a comparison of a partition; answered by frames
	Page                      // keys and objects for a scan
	Vote                      // have you long held exactly these tombstones, and no hint?
	Drop                      // forget these tombstones
	StoreHint                 // hold this object for a node that is down
)

var kinds = [...]string{"?", "ping", "read", "merge", "forward", "exchange", "page", "vote", "drop", "hint"}

// String names the kind.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Code is the outcome in a reply.
type Code uint8

// The codes.
const (
	OK Code = iota
	WrongEpoch
	NotOwner
	Damaged     // the replica cannot read its data; not the same as "not there"
	NoSpace     // refused, nothing written
	Unavailable // too few owners; nothing was written by this request
	Unknown     // it may or may not have been written
	BadContext
	Failed  // a condition does not hold
	TooMany // siblings
	Stale   // the message is older than messages may be, or meant for an earlier tenure
	Malformed
	Wanted      // an offer is accepted: send the object
	Coming      // another peer was told so a moment ago
	Rebuilding  // the replica may have lost what it held, and is not level yet
	Undelivered // no answer: the message surely did not arrive; never sent
	Gone        // no answer: the peer went down; never sent
)

// undone tells that a request was surely not carried out.
func (c Code) undone() bool {
	switch c {
	case WrongEpoch, NotOwner, Damaged, NoSpace, Stale, Malformed, Rebuilding, Undelivered:
		return true
	}
	return false
}

var codes = [...]string{"ok", "wrong epoch", "not an owner", "damaged", "no space", "unavailable", "unknown", "bad context", "condition failed", "too many siblings", "stale", "malformed", "wanted", "coming", "rebuilding", "undelivered", "gone"}

// String names the code.
func (c Code) String() string {
	if int(c) < len(codes) {
		return codes[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Message is what nodes send each other. Which fields mean something depends on the kind.
type Message struct {
	Kind      Kind
	Reply     bool
	Code      Code
	ID        uint64 // of the sender's request; a reply repeats it
	Epoch     uint64 // of the sender's partition table
	Tenure    uint64 // of the sender
	Stamp     uint64 // the sender's monotonic clock; see links.go
	ToTenure  uint64 // of the receiver, as far as the sender knows
	Echo      uint64 // the newest stamp that the sender has from the receiver
	Partition int
	Key       []byte
	Object    []byte // encoded
	Digest    uint64
	Frame     []byte // of a comparison, or the rest of a kind's arguments
	Target    string // of a hint
	Counts    [2]int // owners and stand-ins that have a write
}

// String is for traces.
func (m *Message) String() string {
	s := fmt.Sprintf("%v #%d", m.Kind, m.ID)
	if m.Kind != Ping && m.Kind != Page {
		s += fmt.Sprintf(" p%d", m.Partition)
	}
	if len(m.Key) > 0 {
		s += fmt.Sprintf(" %q", m.Key)
	}
	if m.Target != "" {
		s += " for " + m.Target
	}
	if len(m.Object)+len(m.Frame) > 0 {
		s += fmt.Sprintf(" %d B", len(m.Object)+len(m.Frame))
	}
	if m.Reply {
		return "re " + s + ": " + m.Code.String()
	}
	return s
}

const wireVersion = 1

// Append appends the encoding of the message.
func (m *Message) Append(b []byte) []byte {
	flags := byte(0)
	if m.Reply {
		flags = 1
	}
	b = append(b, wireVersion, byte(m.Kind), flags, byte(m.Code))
	for _, n := range []uint64{m.ID, m.Epoch, m.Tenure, m.Stamp, m.ToTenure, m.Echo, uint64(m.Partition), m.Digest, uint64(m.Counts[0]), uint64(m.Counts[1])} {
		b = binary.AppendUvarint(b, n)
	}
	for _, s := range [][]byte{m.Key, m.Object, m.Frame, []byte(m.Target)} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// ParseMessage reads a message, all of b, whose memory it shares.
func ParseMessage(b []byte) (*Message, error) {
	if len(b) < 4 || b[0] != wireVersion || b[1] == 0 || int(b[1]) >= len(kinds) || b[2] > 1 || int(b[3]) >= len(codes) {
		return nil, fmt.Errorf("%w: message header", ErrMalformed)
	}
	m := &Message{Kind: Kind(b[1]), Reply: b[2] == 1, Code: Code(b[3])}
	b = b[4:]
	var part, c0, c1 uint64
	for _, p := range []*uint64{&m.ID, &m.Epoch, &m.Tenure, &m.Stamp, &m.ToTenure, &m.Echo, &part, &m.Digest, &c0, &c1} {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("%w: message", ErrMalformed)
		}
		*p, b = v, b[n:]
	}
	if part >= 1<<20 || c0 >= 1<<10 || c1 >= 1<<10 {
		return nil, fmt.Errorf("%w: number out of range", ErrMalformed)
	}
	m.Partition, m.Counts = int(part), [2]int{int(c0), int(c1)}
	var target []byte
	for _, p := range []*[]byte{&m.Key, &m.Object, &m.Frame, &target} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, fmt.Errorf("%w: message cut short", ErrMalformed)
		}
		*p, b = b[size:size+int(n):size+int(n)], b[size+int(n):]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after a message", ErrMalformed, len(b))
	}
	m.Target = string(target)
	return m, nil
}

// list is a row of byte strings in one frame.
func appendList(b []byte, parts ...[]byte) []byte {
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

func parseList(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return nil, fmt.Errorf("%w: list", ErrMalformed)
		}
		out, b = append(out, b[size:size+int(n)]), b[size+int(n):]
	}
	return out, nil
}
