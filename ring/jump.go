package ring

// Jump is jump consistent hashing: it maps h to one of so many buckets, evenly, and when a
// bucket is added at the end moves only what goes there. No memory; O(log buckets). With
// no buckets it returns -1.
//
// Lamping, Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm" (2014).
func Jump(h uint64, buckets int) int {
	b, next := int64(-1), int64(0)
	for next < int64(buckets) {
		b = next
		h = h*2862933555777941757 + 1
		// The chance that the key stays in b as long as there are at most next buckets.
		next = int64(float64(b+1) * (float64(int64(1)<<31) / float64(h>>33+1)))
	}
	return int(b)
}
