package lsm

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// Durability says what an acknowledged write survives. It is a WriteOption.
type Durability uint8

// The durabilities. A write never survives without all writes before it.
const (
	Synced  Durability = iota // power loss: synced before the call returns; calls that wait together share one sync
	Written                   // the end of the process: handed to the operating system
	Queued                    // neither, until the next flush of the log's buffer; Close, Sync or any stronger write does that
)

// Compression names how tables are compressed below level 0.
type Compression uint8

// The compressions.
const (
	Snappy        Compression = iota // fast (Snappy format)
	Zstd                             // smaller, slower
	NoCompression                    // none
)

// Options configures Open. The zero value is a good default; sizes are in bytes.
type Options struct {
	Durability   Durability       // of writes that do not say otherwise (Synced)
	MemtableSize int64            // when a memtable is written to disk (64 MiB; at most 3 GiB); up to five lie in memory, one of them empty
	CacheSize    int64            // decoded blocks kept in memory (64 MiB; negative: none)
	BlockSize    int              // of table blocks before compression (4 KiB)
	BitsPerKey   float64          // of the tables' Bloom filters (10; negative: no filters)
	Compression  Compression      // of tables below level 0 (Snappy); level 0 is not compressed
	TableSize    int64            // at which compactions start another table (8 MiB)
	L0Tables     int              // tables at level 0 that start a compaction (4); five times as many stop writes
	LevelBase    int64            // of level 1; each further level holds ten times as much (64 MiB)
	Compactors   int              // compactions that may run at the same time (1)
	FS           FS               // where files live (the operating system)
	Now          func() time.Time // clock for times to live (time.Now); called from several goroutines
	Logger       *slog.Logger     // nil: silent
	Hooks        Hooks            // nil funcs are not called
}

// Hooks tell of what happens inside. They are called outside of locks, from the goroutine
// that did the work, and hold it up. They may read, but not write, flush, compact, resume
// or close: a write can wait for the very work that the hook holds up.
type Hooks struct {
	Flushed   func(JobInfo)       // a memtable became a table
	Compacted func(JobInfo)       // tables were merged
	Stalled   func(time.Duration) // a write waited for the background
	Failed    func(error)         // the database became read-only
}

// JobInfo describes a flush or a compaction.
type JobInfo struct {
	Level    int // where the tables went
	In, Out  int // tables
	BytesIn  int64
	BytesOut int64
	Took     time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.Durability > Queued || o.Compression > NoCompression {
		return o, fmt.Errorf("%w: unknown durability or compression", ErrOptions)
	}
	if o.MemtableSize < 0 || o.MemtableSize > memtable.MaxSize || o.BlockSize < 0 || o.TableSize < 0 || o.L0Tables < 0 || o.LevelBase < 0 || o.Compactors < 0 {
		return o, fmt.Errorf("%w: size or count out of range", ErrOptions)
	}
	if !(o.BitsPerKey <= 64) {
		return o, fmt.Errorf("%w: %v bits per key", ErrOptions, o.BitsPerKey)
	}
	def(&o.MemtableSize, 64<<20)
	def(&o.CacheSize, 64<<20)
	def(&o.BlockSize, 4<<10)
	def(&o.BitsPerKey, 10)
	def(&o.TableSize, 8<<20)
	def(&o.L0Tables, 4)
	def(&o.LevelBase, 64<<20)
	def(&o.Compactors, 1)
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func def[T int | int64 | float64](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}

// table is how a table at a level is written.
func (o *Options) table(num uint64, level int) sstable.WriterOptions {
	w := sstable.WriterOptions{FileNum: num, BlockSize: o.BlockSize, BitsPerKey: o.BitsPerKey}
	if level > 0 {
		w.Compression = [...]sstable.Compression{Snappy: sstable.Snappy, Zstd: sstable.Zstd, NoCompression: sstable.None}[o.Compression]
	}
	return w
}

// WriteOption adjusts one write. The set is closed: a Durability, or TTL.
type WriteOption interface{ isWriteOption() }

func (Durability) isWriteOption() {}

type ttlOption time.Duration

func (ttlOption) isWriteOption() {}

// TTL makes a Put expire d after the write, by Options.Now; d of zero or less is a value
// that has expired at once. It has no effect on other writes; a batch has PutTTL.
func TTL(d time.Duration) WriteOption { return ttlOption(max(d, 0)) }

// writeOptions is what a write's options add up to.
func (db *DB) writeOptions(opts []WriteOption) (d Durability, ttl time.Duration, expires bool) {
	d = db.o.Durability
	for _, o := range opts {
		switch o := o.(type) {
		case Durability:
			d = min(o, Queued)
		case ttlOption:
			ttl, expires = time.Duration(o), true
		}
	}
	return d, ttl, expires
}
