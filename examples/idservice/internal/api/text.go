package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// Format is a text form of ids: snowflake's encodings, and the plain decimal number, which
// is what most people mean by an id.
type Format struct {
	name     string
	fixed    bool // of fixed width: then by encoding
	encoding snowflake.Encoding
}

// Formats are all that the service writes and reads, the default first. Two of them differ
// in width unless one is Plain.
var Formats = []Format{
	{name: "plain"},
	{"decimal", true, snowflake.Decimal},
	{"base32", true, snowflake.Base32},
	{"base62", true, snowflake.Base62},
	{"hex", true, snowflake.Hex},
}

// ParseFormat finds a format by its name; the empty name is Plain. Its error matches
// ErrEncoding.
func ParseFormat(name string) (Format, error) {
	if name == "" {
		return Formats[0], nil
	}
	for _, f := range Formats {
		if f.name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("%w, not %s", ErrEncoding, clip(name))
}

// String is the format's name.
func (f Format) String() string { return f.name }

// Append appends the text of an id.
func (f Format) Append(dst []byte, id snowflake.ID) []byte {
	if f.fixed {
		return f.encoding.Append(dst, id)
	}
	return append(dst, id.String()...)
}

// Parse reads the text of an id, strictly. Its errors match snowflake's ErrSyntax or
// ErrRange.
func (f Format) Parse(s string) (snowflake.ID, error) {
	if f.fixed {
		return f.encoding.Parse(s)
	}
	return snowflake.Parse(s)
}

// Decoded is an id taken apart, and written in every way.
type Decoded struct {
	ID       snowflake.ID `json:"id"`
	Read     string       `json:"read"` // the format it was read in
	Time     time.Time    `json:"time"`
	UnixMS   int64        `json:"unixMs"`
	Node     uint64       `json:"node"`
	Sequence uint64       `json:"sequence"`

	// DataCenter and Machine are the other reading of the node, of the classic cut only.
	DataCenter *uint64 `json:"dataCenter,omitempty"`
	Machine    *uint64 `json:"machine,omitempty"`

	TimeBits  uint8  `json:"timeBits"`
	NodeBits  uint8  `json:"nodeBits"`
	SeqBits   uint8  `json:"seqBits"`
	Binary    string `json:"binary"` // 64 digits, the sign first
	Encodings []Text `json:"encodings"`
}

// Text is one way to write an id.
type Text struct {
	Encoding string `json:"encoding"`
	Text     string `json:"text"`
}

// Decode takes apart an id of a layout, in the named format, or in the only one that reads
// it if none is named. Errors match ErrEncoding, ErrAmbiguous, or snowflake's ErrSyntax and
// ErrRange.
func Decode(l snowflake.Layout, text, format string) (Decoded, error) {
	id, read, err := parse(text, format)
	if err != nil {
		return Decoded{}, err
	}
	p := l.Split(id)
	d := Decoded{
		ID: id, Read: read.name, Time: p.Time, UnixMS: p.Time.UnixMilli(), Node: p.Node, Sequence: p.Seq,
		TimeBits: l.TimeBits, NodeBits: l.NodeBits, SeqBits: l.SeqBits,
		Binary: fmt.Sprintf("%064b", uint64(id)),
	}
	if bits := l.TimeBits + l.NodeBits + l.SeqBits; bits < 63 && id>>bits != 0 {
		return Decoded{}, fmt.Errorf("%w: ids of this layout have %d bits", snowflake.ErrRange, bits)
	}
	if l.NodeBits == 10 {
		dc, m := l.DataCenter(id)
		d.DataCenter, d.Machine = &dc, &m
	}
	for _, f := range Formats {
		d.Encodings = append(d.Encodings, Text{f.name, string(f.Append(nil, id))})
	}
	return d, nil
}

func parse(text, format string) (id snowflake.ID, read Format, err error) {
	if format != "" {
		if read, err = ParseFormat(format); err != nil {
			return 0, read, err
		}
		id, err = read.Parse(text)
		return id, read, err
	}
	var able []string
	var failed error // of a format that the width speaks for
	for _, f := range Formats {
		v, err := f.Parse(text)
		switch {
		case err == nil:
			id, read = v, f
			able = append(able, f.name)
		case failed == nil && (!f.fixed || len(text) == f.encoding.Width()):
			failed = err
		case f.fixed && len(text) == f.encoding.Width():
			failed = fmt.Errorf("%w (as %s)", err, f.name)
		}
	}
	switch {
	case len(able) == 0:
		return 0, read, failed
	case len(able) > 1 && !sameNumber(text, able):
		return 0, read, fmt.Errorf("%w: %s", ErrAmbiguous, strings.Join(able, " or "))
	}
	return id, read, nil
}

// sameNumber tells whether all that read the text read the same: 19 digits are both the
// plain number and the padded one.
func sameNumber(text string, able []string) bool {
	var first snowflake.ID
	for i, name := range able {
		f, err := ParseFormat(name)
		if err != nil {
			return false
		}
		id, err := f.Parse(text)
		if err != nil || i > 0 && id != first {
			return false
		}
		first = id
	}
	return true
}

func clip(s string) string {
	if len(s) > 32 {
		s = s[:32] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// ParseCount reads how many ids a request is for. Its errors match ErrCount.
func ParseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > MaxFill {
		return 0, fmt.Errorf("%w, not for %s", ErrCount, clip(s))
	}
	return n, nil
}
