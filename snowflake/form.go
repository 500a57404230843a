package snowflake

import (
	"fmt"
	"strings"
)

// Form is how ids of one kind look outside of the service: a prefix that tells the kind, a
// text, and a veil over it, if wanted.
//
//	orders := snowflake.Form{Prefix: "ord_", Encoding: snowflake.Base32, Veil: veil}
//	orders.Format(id) // ord_69S5W3XV3E2GE
//
// An id of another kind is refused by its prefix. With a veil the texts do not sort as ids
// do.
type Form struct {
	Prefix   string
	Encoding Encoding
	Veil     *Veil // nil: none
}

// Format is the text of an id.
func (f Form) Format(id ID) string {
	buf := make([]byte, 0, 32)
	return string(f.Append(buf, id))
}

// Append appends the text of an id. It does not allocate if dst has room.
func (f Form) Append(dst []byte, id ID) []byte {
	if f.Veil != nil {
		id = f.Veil.Hide(id)
	}
	return f.Encoding.Append(append(dst, f.Prefix...), id)
}

// Parse reads what Format writes, and nothing else. Its errors match ErrSyntax or ErrRange.
func (f Form) Parse(s string) (ID, error) {
	text, ok := strings.CutPrefix(s, f.Prefix)
	if !ok {
		return 0, fmt.Errorf("%w: no prefix %q", ErrSyntax, f.Prefix)
	}
	id, err := f.Encoding.Parse(text)
	if err == nil && f.Veil != nil {
		id = f.Veil.Reveal(id)
	}
	return id, err
}
