package trie

// Snapshot is an immutable set of terms with scores.
type Snapshot struct {
	arena   []byte
	root    int // position of the root's group; 0 if there is no term
	best    uint64
	terms   int
	symbols *symbols
	heads   heads
}

// Len is the number of terms.
func (s *Snapshot) Len() int { return s.terms }
