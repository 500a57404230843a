package trie

type (
	Fuzzy       struct{ MaxEdits int }
	fuzzyQuery  struct{}
	fuzzyCursor struct{}
)

func (f Fuzzy) allowed(q *fuzzyQuery, prefix []byte) int           { return 0 }
func (c *fuzzyCursor) start(s *Snapshot, q *fuzzyQuery, edits int) {}
func (c *fuzzyCursor) next(h *hit) bool                            { return false }
