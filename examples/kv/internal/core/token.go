package core

import (
	"crypto/hmac"
	"crypto/sha256"

	"github.com/ashlar-go/ashlar/vclock"
)

// A context that a client holds is a promise: "I have seen these writes, replace them".
// One that names a write which is still to come would swallow it. So contexts are
// authenticated, together with the key they were read from:
//
//	version(1)  HMAC-SHA256 of key and vector, cut to 16 bytes  vector
const (
	tokenVersion = 1
	tokenMAC     = 16
)

func (n *Node) sign(key []byte, v vclock.Vector) []byte {
	if v.Len() == 0 {
		return nil
	}
	b := make([]byte, 1+tokenMAC, 1+tokenMAC+10*v.Len())
	b[0] = tokenVersion
	b, _ = v.AppendBinary(b) // the error is always nil
	copy(b[1:], n.mac(key, b[1+tokenMAC:]))
	return b
}

// verify reads a context; empty is the empty one.
func (n *Node) verify(key, token []byte) (v vclock.Vector, ok bool) {
	if len(token) == 0 {
		return v, true
	}
	if len(token) < 1+tokenMAC || token[0] != tokenVersion {
		return v, false
	}
	vec := token[1+tokenMAC:]
	if !hmac.Equal(token[1:1+tokenMAC], n.mac(key, vec)) || v.UnmarshalBinary(vec) != nil {
		return vclock.Vector{}, false
	}
	if planted(BugPruneContext) {
		v = pruned(v)
	}
	return v, true
}

func (n *Node) mac(key, vec []byte) []byte {
	h := hmac.New(sha256.New, n.o.Secret)
	h.Write(key)
	h.Write([]byte{byte(len(key)), byte(len(key) >> 8), byte(len(key) >> 16)})
	h.Write(vec)
	return h.Sum(nil)[:tokenMAC]
}

// pruned is the mistake of BugPruneContext.
func pruned(v vclock.Vector) (w vclock.Vector) {
	first := true
	for d := range v.Dots() {
		if !first {
			w.Add(d)
		}
		first = false
	}
	return w
}
