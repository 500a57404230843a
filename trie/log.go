package trie

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The folder of a durable index:
//
//	LOCK                    locked by who has the index open
//	CURRENT                 which base, and the first log that is not in it
//	base-0000000000000007   a snapshot's file
//	log-0000000000000009    updates, oldest first; the logs after CURRENT's in order
//
// CURRENT is replaced by renaming, after all that it names is durable, so that at every
// moment it names a whole state; what it does not name is rubbish and removed by the next
// that looks. An update is in a log before it can be seen.
//
// A record of a log, numbers little-endian:
//
//	0  CRC-32C of what follows, u32
//	4  length of the payload, u32
//	8  payload: 1 (set) uvarint score, display form   or   2 (delete) key
//
// Records say what is true after the update, not by how much it changed, so that reading
// one twice does no harm.
type logStore struct {
	dir    string
	lock   *folderLock
	create func(path string) (logFile, error)
	number uint64 // of the log that is written
	file   logFile
	record []byte
}

// logFile is what a log needs of a file.
type logFile interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

const (
	currentName = "CURRENT"
	recordSet   = 1
	recordGone  = 2
	recordHead  = 8
	maxRecord   = 1 + binary.MaxVarintLen64 + limitMaxTerm
)

func baseName(n uint64) string { return fmt.Sprintf("base-%016d", n) }
func logName(n uint64) string  { return fmt.Sprintf("log-%016d", n) }

func appendFile(path string) (logFile, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// recover reads the folder into the index, or makes it hold the index if it is empty.
func (x *Index) recover() (err error) {
	l := &logStore{dir: x.o.Dir, create: x.o.create}
	if l.create == nil {
		l.create = appendFile
	}
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	if l.lock, err = lockFolder(l.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.lock.release())
		}
	}()
	name, first, err := readCurrent(l.path(currentName))
	if errors.Is(err, fs.ErrNotExist) {
		l.sweep("", 1, 0)
		x.log = l
		return l.replace(x.now.Load())
	}
	if err != nil {
		return err
	}
	base, err := Open(l.path(name))
	if err != nil {
		return err
	}
	if err := x.fits(base); err != nil {
		return err
	}
	of := &layers{base: base, active: &delta{}}
	x.now.Store(of)
	l.number = first
	for n := first; ; n++ {
		last := false
		if _, err := os.Stat(l.path(logName(n + 1))); errors.Is(err, fs.ErrNotExist) {
			last = true
		} else if err != nil {
			return err
		}
		if err := x.replay(of, l.path(logName(n)), last); err != nil {
			return err
		}
		if last {
			l.number = n
			break
		}
	}
	l.sweep(name, first, l.number)
	if l.file, err = l.create(l.path(logName(l.number))); err != nil {
		return err
	}
	x.log = l
	return nil
}

// replay applies a log. What was being written when the power went is cut off, if the log
// is the last one; a bad record with good ones behind it is damage.
func (x *Index) replay(of *layers, path string, last bool) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := 0
	for at < len(data) {
		payload := nextRecord(data[at:])
		if payload == nil {
			break
		}
		if err := x.apply1(of, payload); err != nil {
			return &CorruptError{Path: path, Offset: int64(at), Reason: err.Error()}
		}
		at += recordHead + len(payload)
	}
	if at == len(data) {
		return nil
	}
	for i := at + 1; i < len(data); i++ {
		if nextRecord(data[i:]) != nil {
			return &CorruptError{Path: path, Offset: int64(at), Reason: "a bad record before good ones"}
		}
	}
	if !last {
		return &CorruptError{Path: path, Offset: int64(at), Reason: "a bad record at the end of a log that was finished"}
	}
	return os.Truncate(path, int64(at))
}

// nextRecord returns the payload of the record that b begins with, nil if there is none.
func nextRecord(b []byte) []byte {
	if len(b) < recordHead {
		return nil
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n == 0 || n > maxRecord || int(n) > len(b)-recordHead || crc32.Checksum(b[4:recordHead+n], castagnoli) != binary.LittleEndian.Uint32(b) {
		return nil
	}
	return b[recordHead : recordHead+n]
}

func (x *Index) apply1(of *layers, payload []byte) error {
	var l leaf
	var term string
	switch payload[0] {
	case recordSet:
		score, at := uvarint(payload, 1)
		if at == 0 {
			return errors.New("a record without a score")
		}
		l.score, term = score, string(payload[at:])
	case recordGone:
		if planted(bugReplayRevives) {
			return nil
		}
		l.deleted, term = true, string(payload[1:])
	default:
		return fmt.Errorf("a record of kind %d", payload[0])
	}
	key, err := x.o.Builder.Fold.key(nil, term, limitMaxTerm)
	if err != nil {
		return err
	}
	if !l.deleted && term != string(key) {
		l.show = []byte(term)
	}
	_, alive, below := of.forUpdate(key)
	if l.deleted && !alive {
		return nil
	}
	x.apply(of, key, l, below)
	return nil
}

func (l *logStore) path(name string) string { return filepath.Join(l.dir, name) }

func (l *logStore) encode(b, key []byte, of *leaf) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHead)...)
	if of.deleted {
		b = append(append(b, recordGone), key...)
	} else {
		b = binary.AppendUvarint(append(b, recordSet), of.score)
		if of.show != nil {
			b = append(b, of.show...)
		} else {
			b = append(b, key...)
		}
	}
	binary.LittleEndian.PutUint32(b[start+4:], uint32(len(b)-start-recordHead))
	binary.LittleEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

func (l *logStore) append(key []byte, of *leaf, sync bool) error {
	if planted(bugLateLog) {
		_, err := l.file.Write(l.record)
		l.record = l.encode(l.record[:0], key, of)
		return err
	}
	l.record = l.encode(l.record[:0], key, of)
	if _, err := l.file.Write(l.record); err != nil {
		return err
	}
	if sync {
		return l.file.Sync()
	}
	return nil
}

func (l *logStore) sync() error { return l.file.Sync() }

func (l *logStore) close() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.file.Sync(), l.file.Close())
}

// rotate finishes the log and begins the next.
func (l *logStore) rotate() error {
	// Where a log has a successor, its end was not being written when the power went.
	if err := l.sync(); err != nil {
		return err
	}
	f, err := l.begin(l.number+1, nil)
	if err != nil {
		return err
	}
	old := l.file
	l.file, l.number = f, l.number+1
	return old.Close()
}

// begin makes a log that holds the leaves of a delta and is durable.
func (l *logStore) begin(n uint64, of *delta) (logFile, error) {
	if err := os.Remove(l.path(logName(n))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // of an attempt that failed
	}
	f, err := l.create(l.path(logName(n)))
	if err != nil {
		return nil, err
	}
	var b []byte
	if of != nil {
		for key, leaf := range of.leaves() {
			if strings.IndexByte(view(key), aliasMark) >= 0 {
				continue // comes of the term itself
			}
			b = l.encode(b, key, leaf)
		}
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(l.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeBase makes a file of a base that CURRENT does not name yet.
func (l *logStore) writeBase(s *Snapshot) (string, error) {
	f, err := os.CreateTemp(l.dir, "base-new-*.tmp")
	if err != nil {
		return "", err
	}
	f.Close() // it only reserves a name
	return filepath.Base(f.Name()), s.WriteFile(f.Name())
}

// commitBase makes the folder's state a base that was written and the log that is being
// written.
func (l *logStore) commitBase(file string) error {
	return l.commit(file, l.number, l.number)
}

// commit names a base and the first log behind it in CURRENT.
func (l *logStore) commit(file string, first, last uint64) error {
	name := baseName(first)
	if err := os.Rename(l.path(file), l.path(name)); err != nil {
		return err
	}
	if err := writeCurrent(l.path(currentName), name, first); err != nil {
		return err
	}
	l.sweep(name, first, last)
	return nil
}

// discard removes a base that is not wanted after all.
func (l *logStore) discard(file string) { os.Remove(l.path(file)) }

// replace makes layers the folder's state.
func (l *logStore) replace(of *layers) error {
	file, err := l.writeBase(of.base)
	if err != nil {
		return err
	}
	// The gap keeps the logs of an attempt that fails from being read as successors.
	first := l.number + 2
	last := first
	if of.frozen != nil {
		f, err := l.begin(first, of.frozen)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		last++
	}
	f, err := l.begin(last, of.active)
	if err != nil {
		return err
	}
	if err := l.commit(file, first, last); err != nil {
		return errors.Join(errUnsure, err, f.Close())
	}
	old := l.file
	l.file, l.number = f, last
	if old != nil {
		return old.Close()
	}
	return nil
}

// sweep removes what CURRENT does not name, as far as it can: what stays is never read.
func (l *logStore) sweep(base string, first, last uint64) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, "base-") && name != base || strings.HasPrefix(name, currentName+".")
		if n, ok := strings.CutPrefix(name, "log-"); ok {
			number, err := strconv.ParseUint(n, 10, 64)
			ours = err == nil && (number < first || number > last)
		}
		if ours {
			os.Remove(l.path(name))
		}
	}
}

// writeCurrent replaces CURRENT.
func writeCurrent(path, base string, first uint64) error {
	text := fmt.Sprintf("ashlar trie 1\nbase %s\nlog %d\n", base, first)
	text += fmt.Sprintf("crc %08x\n", crc32.Checksum([]byte(text), castagnoli))
	return replaceFile(path, func(f *os.File) error {
		_, err := f.WriteString(text)
		return err
	})
}

func readCurrent(path string) (base string, first uint64, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", 0, err
	}
	var sum uint32
	if _, err := fmt.Sscanf(string(data), "ashlar trie 1\nbase %s\nlog %d\ncrc %x\n", &base, &first, &sum); err != nil {
		return "", 0, &CorruptError{Path: path, Reason: "not the state of an index"}
	}
	text, _, _ := strings.Cut(string(data), "crc ")
	if crc32.Checksum([]byte(text), castagnoli) != sum || base != filepath.Base(base) {
		return "", 0, &CorruptError{Path: path, Reason: "checksum"}
	}
	return base, first, nil
}
