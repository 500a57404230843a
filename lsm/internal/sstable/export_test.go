package sstable

// SetReadAhead sets how many bytes an iterator that goes past the cache reads at once.
func SetReadAhead(i *Iter, n int) { i.ahead = n }
