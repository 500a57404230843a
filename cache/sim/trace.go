package sim

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
)

// Zipf draws n of so many keys, key of rank r with a weight of r^-skew.
func Zipf(n, keys int, skew float64, seed uint64) []uint64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	sum := make([]float64, max(1, keys))
	total := 0.0
	for i := range sum {
		total += math.Pow(float64(i+1), -skew)
		sum[i] = total
	}
	out := make([]uint64, n)
	for i := range out {
		r, _ := slices.BinarySearch(sum, rng.Float64()*total)
		out[i] = uint64(min(r, len(sum)-1))
	}
	return out
}

// Loop asks for the same keys in the same order again and again: all that is needed to
// bring LRU's hits to zero is one key more than it holds.
func Loop(n, keys int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(i % max(1, keys))
	}
	return out
}

// Scan is Zipf, interrupted by scans over length keys that are asked for once: a tenth of
// all requests.
func Scan(n, keys, length int, skew float64, seed uint64) []uint64 {
	out := Zipf(n, keys, skew, seed)
	length = max(1, length)
	once := uint64(1) << 40
	for i := 0; i+length <= n; i += 10 * length {
		for j := range length {
			out[i+j] = once
			once++
		}
	}
	return out
}

// Shifting is Zipf whose keys' ranks are dealt anew every period requests.
func Shifting(n, keys, period int, skew float64, seed uint64) []uint64 {
	out := Zipf(n, keys, skew, seed)
	for i := range out {
		out[i] += uint64(i/max(1, period)*keys/4) % uint64(1<<40)
	}
	return out
}

// Join puts traces one after the other, each with keys of its own unless shared is set.
func Join(shared bool, traces ...[]uint64) []uint64 {
	var out []uint64
	for i, t := range traces {
		for _, k := range t {
			if !shared {
				k |= uint64(i) << 48
			}
			out = append(out, k)
		}
	}
	return out
}

// ErrTrace is wrapped by errors about a trace's form.
var ErrTrace = errors.New("sim: bad trace")

// ReadFile reads a trace of little-endian 32-bit keys, packed by gzip.
func ReadFile(name string) ([]uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(f)
}

// Read reads a trace of little-endian 32-bit keys, packed by gzip.
func Read(r io.Reader) ([]uint64, error) {
	z, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrace, err)
	}
	var out []uint64
	var key [4]byte
	for br := bufio.NewReader(z); ; {
		switch _, err := io.ReadFull(br, key[:]); err {
		case nil:
			out = append(out, uint64(binary.LittleEndian.Uint32(key[:])))
		case io.EOF:
			return out, nil
		default: // also when it ends within a key
			return nil, fmt.Errorf("%w: %w", ErrTrace, err)
		}
	}
}
