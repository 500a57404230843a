// Package lsm is an embedded, ordered, crash-safe key-value store on a log-structured
// merge tree.
//
//	db, err := lsm.Open("data", lsm.Options{})
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	err = db.Put([]byte("hello"), []byte("world"))
//	v, err := db.Get([]byte("hello"))
//
// Keys are ordered bytewise. Writes go to a log and into a sorted table in memory; full
// tables are written to disk whole and merged in the background, level by level. So
// writes are sequential, reads take at most one block of the few tables that a Bloom
// filter lets through, and scans walk in order.
//
// # Use it, or something else
//
// Use it for more data than fits memory, for many writes, for ordered scans, for data
// that expires. Use a map or package cache for what may be lost; a B+tree such as bbolt
// where reads are all and one writer is enough; a server where several processes write.
//
// # Guarantees
//
// A write that was acknowledged survives what its [Durability] names: power loss for
// Synced, the default. After a crash the store holds a prefix of what was written: no
// write without all before it, and a [Batch] of any size whole or not at all.
//
// Every block and record carries a checksum. Damaged data is an error that names the file
// and the place, never a wrong answer; a read error is never reported as "not found".
//
// A failed write or sync makes the store read-only rather than end the process: reads go
// on, [DB.Err] tells why, and [DB.Resume] takes up again when the cause is gone.
//
// [DB.Get] sees every write acknowledged before it. [DB.Scan] and [Snapshot] see one
// moment. [DB.Update] runs serializable transactions, optimistically. Values written with
// a time to live are gone for every reader once it is over, and from disk after the next
// compaction that meets them.
//
// # Costs
//
// Put: O(log n) in memory and, if Synced, a share of one fsync. Get: O(log n) in memory;
// AppendGet does not allocate when the block is cached. DeleteRange: O(log n) whatever it
// deletes. Open: the replay of the log, at most a few memtables. Memory: memtables, the
// block cache, and some twelve bits a key for indexes and filters.
//
// # Concurrency
//
// All methods of DB and Snapshot are safe for concurrent use. Readers take no lock. One
// process may have a directory open at a time.
//
// Sources: O'Neil et al., "The Log-Structured Merge-Tree" (1996); Ghemawat, Dean, LevelDB
// (2011), for the shape of logs, tables and levels.
package lsm
