// Package snowflake makes time-ordered 63-bit ids, without asking anybody for each, that
// stay unique when the clock, the process and the lease of the worker do not hold.
//
//	g, err := snowflake.New(snowflake.Options{Node: 7, Mark: snowflake.FileMark("ids.mark")})
//	if err != nil {
//		return err
//	}
//	defer g.Close()
//	id, err := g.Next()                    // 781089295564828672
//	when := g.Layout().Time(id)            // to the millisecond
//	text := snowflake.Base62.Format(id)    // 0vhOd4Hp98q, sorts as the id does
//
// # When to use it
//
// For keys of rows, messages, events, orders: wherever many processes need ids at once that
// sort by time, fit a BIGINT and cost nanoseconds. An id tells when, where and about how
// often ids are made; show a [Form] with a [Veil] to strangers. For numbers without gaps use
// a sequence of the database. For small dense numbers from one place, use [Tickets]. For ids
// that nobody coordinates at all, use 128 bits: uuid.NewV7 of google/uuid, or oklog/ulid.
// The two combine: a UUIDv7 or ULID whose time is Layout.Time(id) and whose random part
// begins with the eight bytes of AppendBinary is an id in another coat.
//
// # What it guarantees
//
//   - Ids of one [Generator] strictly increase, over all goroutines: a call that begins
//     after another has returned gets a greater id. Between generators, ids order by time
//     as well as their clocks agree, plus MaxAhead, MaxBack and a unit of the layout.
//   - No id comes twice from one generator, whatever its clock does.
//   - With a [Mark], none comes twice from one node, although the process is killed at any
//     moment and the clock is set back while it is down. Without a Mark that holds only if
//     the clock is not set back between two runs and, after a crash, MaxAhead has passed:
//     nothing that must be unique should run without a Mark or a Lease.
//   - With a [Lease], none comes from two processes, although leases expire, processes are
//     suspended and clocks are wrong: see below.
//   - No call waits longer than a unit of the layout and what the mark takes, MarkEvery at
//     most: what cannot be had by then is an error. No call spins, none sleeps with a lock.
//
// # When the clock goes back
//
// Ids run ahead of the clock by up to MaxAhead (10 ms) when a unit's sequence is used up; a
// step back that is smaller than what is left of it goes unnoticed. A step of up to MaxBack
// (5 s) is smoothed over: the generator follows a clock of its own that runs slower by an
// eighth until the true one has caught up. A larger step is a [ClockError] until then. A
// step forward is believed; if it was wrong, setting it right is a step back. Strictness is
// MaxBack -1, tolerance of an hour is MaxBack of an hour: uniqueness does not depend on it,
// only how far the time in an id may be off.
//
// # Nodes
//
// A node may be a number from the configuration, the ordinal of a StatefulSet, or a lease.
// On one host, [AcquireFile] leases by file locks. Among hosts, [Acquire] leases by a
// compare-and-set [Store]: a few lines over etcd, Consul, ZooKeeper or a SQL table; it must
// be linearizable. Both keep the node's mark with it. That is what makes a lease safe: a
// holder issues ids only up to a time that it has put on record, and the next one begins
// after it. Expiry decides who may try, the record decides who can. So a process that wakes
// up after an hour, with a clock that stood still, finds that the record has changed, and
// has [ErrLeaseLost] instead of an id; what it had been allowed before is below all that
// its successor issues. The two clocks of the machine need not be compared for that.
//
// # Costs and concurrency
//
// An id costs one atomic operation on a word that all goroutines share. Below some 250 ids a
// unit it also costs one reading of the monotonic clock, which is four times as much; beyond,
// only every 64th does. After a pause within such a unit an id may then carry the unit before
// its own, and an earlier one where all processors are so busy that the runtime is late with
// its timers. With Options.Now, be it time.Now, every id reads the clock. Fill reads it once
// for a batch. Nothing allocates. A generator that issues as fast as its layout allows sleeps
// in between: Classic's 4,096 ids a millisecond take less than a tenth of a core. A Mark costs
// two fsyncs a second while ids are issued, in the background; a SharedLease three requests as
// often, and for each renewal. Everything here is safe for concurrent use. New starts no
// goroutine; a mark that is due, and a leased node, have one, and Close and Release wait for it.
//
// The low bits of an id are a sequence number that begins at 0 in every unit: hash an id
// before you take it modulo something.
//
// Sources: Twitter, "Announcing Snowflake" (2010); Sonyflake (2014) for Long; Flickr,
// "Ticket Servers" (2010); Crockford, "Base 32"; the sources of leases and veils are with
// their code.
package snowflake
