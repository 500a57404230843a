package core

import "encoding/binary"

// What a node's store holds:
//
//	o partition(4) key   → object        the partitions this node owns, each one key range
//	h len target key     → object        hints: what target missed
//	m name               → bytes         about the node itself
//
// Everything of a key travels and is stored in one encoding, that of EncodeObject.

func objectKey(p int, key []byte) []byte {
	return append(partitionPrefix(p), key...)
}

func partitionPrefix(p int) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 64), 'o'), uint32(p))
}

// objectOf splits what objectKey made.
func objectOf(k []byte) (p int, key []byte, ok bool) {
	if len(k) < 6 || k[0] != 'o' {
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint32(k[1:])), k[5:], true
}

func hintKey(target string, key []byte) []byte {
	return append(hintPrefix(target), key...)
}

func hintPrefix(target string) []byte {
	return append(append(make([]byte, 0, 64), 'h', byte(len(target))), target...)
}

// hintOf splits what hintKey made.
func hintOf(k []byte) (target string, key []byte, ok bool) {
	if len(k) < 2 || k[0] != 'h' || len(k) < 3+int(k[1]) {
		return "", nil, false
	}
	end := 2 + int(k[1])
	return string(k[2:end]), k[end:], true
}

func metaKey(name string) []byte { return append([]byte{'m'}, name...) }
