package core

import (
	"encoding/binary"
	"fmt"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// order is a client's write as it travels: all that the coordinating owner must know.
type order struct {
	del    bool
	mode   api.ContextMode
	cond   api.Condition
	sloppy bool
	r, w   int   // owners that must answer
	ttl    int64 // milliseconds; 0: for ever
	life   int64 // milliseconds left
	token  []byte
	value  []byte
}

func (o *order) encode() []byte {
	var b []byte
	flags := byte(0)
	if o.del {
		flags |= 1
	}
	if o.sloppy {
		flags |= 2
	}
	b = append(b, flags, byte(o.mode), byte(o.cond), byte(o.r), byte(o.w))
	b = binary.AppendUvarint(b, uint64(o.ttl))
	b = binary.AppendUvarint(b, uint64(o.life))
	return append(b, o.token...)
}

func decodeOrder(m *Message) (*order, error) {
	b := m.Frame
	if len(b) < 7 || b[0] > 3 || b[1] > byte(api.Blind) || b[2] > byte(api.IfPresent) {
		return nil, fmt.Errorf("%w: order", ErrMalformed)
	}
	o := &order{del: b[0]&1 != 0, sloppy: b[0]&2 != 0, mode: api.ContextMode(b[1]), cond: api.Condition(b[2]), r: int(b[3]), w: int(b[4]), value: m.Object}
	b = b[5:]
	for _, p := range []*int64{&o.ttl, &o.life} {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > 1<<60 {
			return nil, fmt.Errorf("%w: order", ErrMalformed)
		}
		*p, b = int64(v), b[n:]
	}
	o.token = b
	return o, nil
}
