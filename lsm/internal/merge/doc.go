// Package merge joins sorted sources into one, and range tombstones into something that
// can be asked.
//
//   - New makes one iterator of many, in both directions.
//   - Cover answers which tombstone hides a key at a sequence number; its Cursor does so
//     for a scan, in constant time while the scan stays between two bounds.
//   - Fragment and FragmentVisible cut overlapping tombstones into pieces that do not
//     overlap, for files that may not.
//
// A Cover is immutable and safe for concurrent use; iterators and cursors are for one
// goroutine each.
package merge
