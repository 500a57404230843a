package bloom

// Scalable is a filter for an unknown number of keys: a series of Filters, each twice as
// large as the one before and twice as strict, so that the rates, which add up, stay
// below the target for ever (Almeida, Baquero, Preguiça, Hutchison, "Scalable Bloom
// Filters", 2007):
//
//	fpr/2 + fpr/4 + fpr/8 + …  ≤  fpr
//
// A look-up asks the newest, largest filter first; it costs one cache line a stage, and
// there are log2(keys/first size) of them.
type Scalable struct {
	stages []stage
	fpr    float64 // target of the whole
}

type stage struct {
	*Filter
	size int // keys that it was made for
	room int // keys that it still takes
}

// NewScalable makes a filter that starts with room for n keys and keeps fpr however many
// are added, under the same bounds as New. Start near the expected number: every
// doubling costs a line a look-up and one more bit a key.
func NewScalable(n int, fpr float64) *Scalable {
	keys, fpr := clamp(n, fpr)
	s := &Scalable{fpr: fpr}
	s.grow(int(keys))
	return s
}

func (s *Scalable) grow(n int) {
	fpr := s.fpr
	for range len(s.stages) + 1 {
		fpr /= 2
	}
	s.stages = append(s.stages, stage{New(n, fpr), n, n})
}

// AddHash adds the key with hash h and reports whether that was needed: false means that
// it may have been there already.
func (s *Scalable) AddHash(h uint64) (added bool) {
	if s.HasHash(h) {
		return false
	}
	last := &s.stages[len(s.stages)-1]
	if last.room == 0 {
		s.grow(2 * last.size)
		last = &s.stages[len(s.stages)-1]
	}
	last.AddHash(h)
	last.room--
	return true
}

// Add adds a key; see AddHash.
func (s *Scalable) Add(key []byte) bool { return s.AddHash(Hash(key)) }

// HasHash reports whether the key with hash h may have been added; false is sure.
func (s *Scalable) HasHash(h uint64) bool {
	for i := len(s.stages) - 1; i >= 0; i-- {
		if s.stages[i].HasHash(h) {
			return true
		}
	}
	return false
}

// Has reports whether key may have been added; false is sure.
func (s *Scalable) Has(key []byte) bool { return s.HasHash(Hash(key)) }

// Bits is the size of all stages in bits.
func (s *Scalable) Bits() int {
	n := 0
	for _, st := range s.stages {
		n += st.Bits()
	}
	return n
}

// Stages is the number of filters in the series.
func (s *Scalable) Stages() int { return len(s.stages) }

// FPR is the expected rate of false positives now. O(size).
func (s *Scalable) FPR() float64 {
	miss := 1.0
	for _, st := range s.stages {
		miss *= 1 - st.Filter.FPR()
	}
	return 1 - miss
}
