package lsmtest

import (
	"fmt"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// sector is the unit in which a disk writes: all of it or nothing, in bytes.
const sector = 512

// Loss says what a power cut does to that which was not made durable. The zero Loss takes
// all of it away.
type Loss struct {
	Seed uint64
	// Keep is the share of what is not durable that survives, from 0 to 1.
	Keep float64
	// Ordered makes what survives of each file and each directory its oldest part, cut at
	// a byte. Without it each sector and each change of a name has its own luck, and lost
	// sectors before the end of the file hold zeros or stale bytes.
	Ordered bool
}

// String describes the loss, so that it can be typed in again.
func (l Loss) String() string {
	return fmt.Sprintf("lsmtest.Loss{Seed: %d, Keep: %v, Ordered: %v}", l.Seed, l.Keep, l.Ordered)
}

// CrashClone returns the file system as it would be found if the power had gone now. The
// original goes on undisturbed; the clone works, has no faults, no limit and no open files,
// and everything on it is durable. It takes time in proportion to what is not durable.
func (f *FS) CrashClone(l Loss) *FS {
	f.mu.RLock()
	defer f.mu.RUnlock()
	r := rand.New(rand.NewPCG(l.Seed, 0x6c736d)) // one more word, for streams of other uses of the seed
	g := NewFS()
	g.windows = f.windows
	stale := f.stale()
	clones := map[*inode]*inode{}
	for _, dir := range slices.Sorted(maps.Keys(f.dirs)) {
		d := f.dirs[dir]
		names := maps.Clone(d.durable)
		for i, c := range d.pending {
			if l.survives(r, i, len(d.pending)) {
				c.apply(names)
			}
		}
		nd := newDirectory()
		for _, name := range slices.Sorted(maps.Keys(names)) {
			n := names[name]
			if clones[n] == nil {
				clones[n] = n.crash(l, r, stale)
				g.used += int64(len(clones[n].data))
			}
			nd.now[name], nd.durable[name] = clones[n], clones[n]
		}
		g.dirs[dir] = nd
	}
	return g
}

// Crash cuts the power: every operation on f fails from now on, with ErrPowerOff. It
// returns what is left, as CrashClone does.
func (f *FS) Crash(l Loss) *FS {
	f.PowerOff()
	return f.CrashClone(l)
}

// Clone returns a copy of the file system as it is seen now, all of it durable.
func (f *FS) Clone() *FS { return f.CrashClone(Loss{Keep: 1}) }

// survives decides on change i of n.
func (l Loss) survives(r *rand.Rand, i, n int) bool {
	if l.Ordered {
		return float64(i) < l.Keep*float64(n)
	}
	return r.Float64() < l.Keep
}

// stale is what may come to light in sectors that were never written: bytes of a file
// that has a name, the longest there is.
func (f *FS) stale() []byte {
	var longest []byte
	for _, dir := range slices.Sorted(maps.Keys(f.dirs)) {
		for _, name := range slices.Sorted(maps.Keys(f.dirs[dir].now)) {
			if n := f.dirs[dir].now[name]; len(n.data) > len(longest) {
				longest = n.data
			}
		}
	}
	return longest
}

// crash returns what is left of a file, all of it durable.
func (n *inode) crash(l Loss, r *rand.Rand, stale []byte) *inode {
	c := n.clone()
	c.lost = nil
	c.synced = len(c.data)
	dirty := slices.Clone(n.lost)
	if n.synced < len(n.data) {
		dirty = append(dirty, extent{n.synced, len(n.data)})
	}
	if len(dirty) == 0 || l.Keep >= 1 {
		return c
	}
	c.data = slices.Clone(n.data)
	end := len(c.data)
	if l.Ordered || l.Keep <= 0 {
		for _, e := range dirty {
			clear(c.data[e.from+int(l.Keep*float64(e.to-e.from)) : e.to])
		}
		if n.synced < len(n.data) {
			end = n.synced + int(l.Keep*float64(len(n.data)-n.synced))
		}
	} else {
		kept := n.synced
		for _, e := range dirty {
			for at := e.from; at < e.to; {
				next := min((at/sector+1)*sector, e.to)
				switch {
				case r.Float64() < l.Keep:
					kept = max(kept, next)
				case r.IntN(3) == 0 && next <= len(stale):
					copy(c.data[at:next], stale[at:])
				default:
					clear(c.data[at:next])
				}
				at = next
			}
		}
		// The new size may have reached the disk without the bytes.
		if r.IntN(2) == 0 {
			end = kept
		}
		// The end may be in the middle of a sector that was being written.
		if end > n.synced && r.IntN(4) == 0 {
			end -= r.IntN(min(end-n.synced, sector) + 1)
		}
	}
	c.data = slices.Clip(c.data[:end])
	c.synced = end
	return c
}

// ReadFile returns a copy of a file's bytes. It is no operation: it cannot fail by a
// fault.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	n, err := f.find(name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.data), nil
}

// WriteFile sets a file's bytes, durably, and makes it and its directory if need be. Files
// that are open under that name keep what they had. It is no operation either.
func (f *FS) WriteFile(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, base := path.Split(clean(name))
	dir = path.Clean(dir)
	for d := dir; f.dirs[d] == nil; d = path.Dir(d) {
		f.dirs[d] = newDirectory()
	}
	d := f.dirs[dir]
	f.unname(d.now[base])
	n := &inode{data: slices.Clone(data), synced: len(data)}
	f.used += int64(len(data))
	d.now[base], d.durable[base] = n, n
}

// Flip flips one bit of a file, seen by those who have it open too. It is no operation.
func (f *FS) Flip(name string, offset int64, bit uint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	if err != nil {
		return err
	}
	if offset < 0 || offset >= int64(len(n.data)) || bit > 7 {
		return fmt.Errorf("lsmtest: no bit %d at byte %d of %s", bit, offset, name)
	}
	// Clones share the bytes: this file gets its own.
	n.data = slices.Clone(n.data)
	n.data[offset] ^= 1 << bit
	return nil
}

// Truncate cuts a file to n bytes, durably. It is no operation.
func (f *FS) Truncate(name string, size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.find(name)
	if err != nil {
		return err
	}
	if size < 0 || size > int64(len(n.data)) {
		return fmt.Errorf("lsmtest: cannot cut %s of %d bytes to %d", name, len(n.data), size)
	}
	f.used -= int64(len(n.data)) - size
	n.data = slices.Clip(n.data[:size])
	n.synced = min(n.synced, int(size))
	return nil
}

func (f *FS) find(name string) (*inode, error) {
	d, base, err := f.lookup("open", name)
	if err != nil {
		return nil, err
	}
	n := d.now[base]
	if n == nil {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	return n, nil
}
