// Package lsmtest is a file system in memory that behaves as badly as real ones may, on
// cue and by seed: for testing that what was called durable is durable.
//
// It implements lsm.FS. Use it to test lsm, or the crash safety of what you build on lsm;
// do not use it to hold data.
//
// It knows what each file and directory has been told to make durable, and so what a
// power cut may take away:
//
//	disk := lsmtest.NewFS()
//	db, _ := lsm.Open("db", lsm.Options{FS: disk})
//	_ = db.Put([]byte("k"), []byte("v"))                   // synced
//	disk = disk.Crash(lsmtest.Loss{Seed: 1, Keep: 0.5})    // the power goes; this is left
//	db, _ = lsm.Open("db", lsm.Options{FS: disk})          // "k" must be there
//
// What it models, and what of it is harsher than most disks:
//
//   - Bytes written and not yet synced survive a power cut in part and in any order,
//     sector by sector; in place of the lost ones come zeros, or stale bytes of other files.
//   - Names created, renamed and removed survive only once SyncDir has returned; a file's
//     own Sync does not save its name. Directories themselves are durable at once.
//   - A failed Sync loses what it was to save: a later Sync that succeeds does not bring
//     it back, though reads show it until the power goes.
//   - Any operation can fail, once or for good, before or after it took effect; a write can
//     stop half-way; the disk can be full.
//   - Opened files can refuse to be removed or renamed, as on Windows.
//
// Every method of FS and of its files is safe for concurrent use. Given the same
// operations in the same order, a seed gives the same disk.
package lsmtest
