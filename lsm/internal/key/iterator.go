package key

// Iterator walks internal keys in order, both ways. A new iterator stands nowhere; the
// positioning methods report whether it then stands on an entry. One that has run off
// either end stands nowhere again: Next and Prev stay there and report false, First,
// Last and the seeks bring it back.
//
// Key and Value may point into memory that the iterator reuses: they are valid until the
// next positioning call, and must not be written to. An iterator is for one goroutine.
type Iterator interface {
	// First and Last go to the first and the last entry.
	First() bool
	Last() bool
	// SeekGE goes to the first entry at or after (k, t). With MaxTrailer that is the
	// newest version of k, or of the next key if there is no k.
	SeekGE(k []byte, t Trailer) bool
	// SeekLT goes to the last entry whose user key is below k, the oldest version of it.
	SeekLT(k []byte) bool
	Next() bool
	Prev() bool

	Valid() bool
	Key() []byte
	Trailer() Trailer
	Value() []byte

	// Err is what made the iterator stop early; nil at the ordinary end.
	Err() error
	// Close releases what the iterator holds and returns Err. Nothing may follow it.
	Close() error
}
