// Package sstable reads and writes sorted tables, the files that a store's entries end up in.
//
// A table is written once, in order, by a Writer, and read by a Reader: point look-ups,
// iteration both ways, range tombstones. It carries its own filter and index, which an
// open table keeps in memory, so that a look-up of a key that is not there touches one
// cache line, and one of a key that is there reads one block.
//
//	w := sstable.NewWriter(file, sstable.WriterOptions{FileNum: 7})
//	err := w.Add(k, key.Pack(seq, key.Set), v)   // in order
//	meta, err := w.Finish()                      // then sync and close the file
//
//	r, err := sstable.Open(file, size, "000007.table", 7, cache)
//	v, trailer, found, err := r.Get(k, bloom.Hash(k), seq, nil)
//
// Costs: Get, if the block is cached, is a filter probe, a binary search over the index's
// prefixes and one over the block's, and a few entries; no lock and no allocation. An open
// table holds some 36 bytes and a short key for each block, and its filter.
//
// Every byte of a file is under a checksum that also covers where the byte belongs. A
// Reader verifies a block each time that it reads it from the file, and allocates nothing
// by the word of a file alone. Damage is an error (*CorruptError) that names the file
// and the offset. Verify reads a table through and checks every invariant that is written
// down in this package.
//
// Sources: the table format of LevelDB, for the overall shape; see format.go, block.go,
// index.go and cache.go for the parts that differ. docs/lsm-format.md has every byte.
package sstable
