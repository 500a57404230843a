package main

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// watchRules loads a file of rules when it has changed, until ctx is done. What it cannot
// load it tries again when it changes once more: a file that is just being written is
// refused, and then there whole.
func watchRules(ctx context.Context, path string, every time.Duration, load func(b []byte, by string) error, missing func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, err := os.Stat(path)
	gone := err != nil
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := os.Stat(path)
		if err != nil {
			if !gone {
				missing(err)
			}
			gone = true
			continue
		}
		if !gone && last != nil && os.SameFile(now, last) && now.ModTime().Equal(last.ModTime()) && now.Size() == last.Size() {
			continue
		}
		gone, last = false, now
		b, err := readFile(path)
		if err != nil {
			missing(err)
			continue
		}
		_ = load(b, "file "+path) // it audits, and tells of, what it refuses
	}
}

// readFile reads no more than rules can be long, and a byte, so that they are too long.
func readFile(path string) (b []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, rules.MaxSize+1))
}
