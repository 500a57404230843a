package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// item is one key to load. Its value is read by the worker that writes it, so that no
// more values are in memory than there are workers.
type item struct {
	key   string
	value func() ([]byte, error)
}

// errSkipped is an item that is left out on purpose.
var errSkipped = errors.New("skipped")

// open finds what the argument of load means. The source yields an error for what it
// cannot read and goes on; close ends it.
func (s *session) open(arg string) (src iter.Seq2[item, error], close func() error, err error) {
	if arg == "-" {
		return lines(s.in), func() error { return nil }, nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errInput, err)
	}
	if info.IsDir() {
		return files(os.DirFS(arg)), func() error { return nil }, nil
	}
	f, err := os.Open(arg)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errInput, err)
	}
	return lines(f), f.Close, nil
}

// files yields the regular files of a tree under their paths, in order.
func files(tree fs.FS) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		// The function returns no error but SkipAll.
		fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
			it := item{key: path, value: func() ([]byte, error) { return readFile(tree, path) }}
			switch {
			case err != nil:
				err = fmt.Errorf("%w: %w", errInput, err)
			case d.IsDir():
				return nil
			case !d.Type().IsRegular():
				err = fmt.Errorf("%w: not a regular file", errSkipped)
			}
			if !yield(it, err) {
				return fs.SkipAll
			}
			return nil
		})
	}
}

func readFile(tree fs.FS, path string) ([]byte, error) {
	f, err := tree.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errInput, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > api.MaxValue {
		return nil, tooLarge(info.Size())
	}
	b, err := readValue(f)
	if errors.Is(err, api.ErrValueTooLarge) {
		return nil, tooLarge(api.MaxValue + 1) // it has grown since
	}
	return b, err
}

func tooLarge(n int64) error {
	return fmt.Errorf("%w: %w: %d bytes", errSkipped, api.ErrValueTooLarge, n)
}

// lines yields an item for each line, "key tab value". The value goes on to the end of the
// line, further tabs and all; lines may end in CR LF, empty ones say nothing.
func lines(r io.Reader) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, size, err := readLine(in, api.MaxKey+api.MaxValue+len("\t\r\n"))
			if size > 0 && !yieldLine(n, line, size, yield) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(item{key: fmt.Sprintf("line %d", n)}, fmt.Errorf("%w: %w", errInput, err))
				return
			}
		}
	}
}

func yieldLine(n int, line []byte, size int64, yield func(item, error) bool) bool {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) == 0 && size <= 2 {
		return true
	}
	key, value, ok := bytes.Cut(line, []byte("\t"))
	at := fmt.Sprintf("line %d", n)
	switch {
	case size > int64(len(line)+2):
		return yield(item{key: at}, tooLarge(size))
	case !ok:
		return yield(item{key: at}, fmt.Errorf("%w: no tab", errInput))
	case len(value) > api.MaxValue:
		return yield(item{key: at}, tooLarge(int64(len(value))))
	}
	return yield(item{key: string(key), value: func() ([]byte, error) { return value, nil }}, nil)
}

// readLine reads a line with its end, and says how long it was. Of one over most bytes it
// keeps nothing.
func readLine(in *bufio.Reader, most int) (line []byte, size int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		size += int64(len(part))
		if size <= int64(most) {
			line = append(line, part...)
		} else {
			line = nil
		}
		if err != bufio.ErrBufferFull {
			return line, size, err
		}
	}
}
