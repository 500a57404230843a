package client

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"iter"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

var loadCommand = command{
	name: "load", args: "DIR|FILE.tsv|-", least: 1, most: 1, summary: "write many keys",
	about: `Loads a directory, each file under its path with slashes; or a file of lines "key tab
value"; or such lines from standard input. Lines of one key are written in their order.
Values over 16 MiB are reported and skipped, and with -if-absent so are keys that have a
value. A key that fails does not stop the others, but a hundred in a row do. Ctrl-C waits
for the writes that have begun.
`,
	flags: func(fs *flag.FlagSet, s *settings) {
		s.writeFlags(fs)
		s.valueFlags(fs)
		s.parallel = 16
		fs.Func("parallel", "`number` of writes at a time (default 16)", func(v string) error {
			if err := count(&s.parallel, v); err != nil || s.parallel > maxParallel {
				return fmt.Errorf("want a number from 1 to %d", maxParallel)
			}
			return nil
		})
	},
	run: func(s *session, args []string) error {
		src, done, err := s.open(args[0])
		if err != nil {
			return err
		}
		defer done()
		l := &load{s: s, start: time.Now()}
		stop := l.showProgress(story.IsTerminal(s.errs))
		l.work(src)
		stop()
		return l.summary()
	},
}

const (
	maxParallel = 1024
	maxRow      = 100 // failures one after the other that end a load
	maxListed   = 10  // failures in the summary
)

// load is what has come of one load so far.
type load struct {
	s     *session
	start time.Time

	mu sync.Mutex
	tally
	lines int64 // guarded by mu: keys that deserve a line
	row   int   // guarded by mu: failures since the last success
	code  int   // guarded by mu: the worst exit code of a key
}

// tally counts; load guards it with mu.
type tally struct {
	Keys     int64     `json:"keys"`
	Bytes    int64     `json:"bytes"`
	Skipped  int64     `json:"skipped"`
	Failed   int64     `json:"failed"`
	Stopped  bool      `json:"stopped,omitempty"`
	Failures []failure `json:"failures,omitempty"` // the first of those skipped and failed
}

type failure struct {
	Key   string `json:"key"`
	Error string `json:"error"`
}

// work loads all of src. A key always goes to the same worker, so that its lines stay in
// order.
//
// A source that blocks in a read, as a terminal does, cannot be interrupted; its goroutine
// is then left behind, and ends with the process.
func (l *load) work(src iter.Seq2[item, error]) {
	ctx, cancel := context.WithCancel(l.s.ctx)
	defer cancel()
	queues := make([]chan item, l.s.parallel)
	var workers sync.WaitGroup
	for i := range queues {
		queues[i] = make(chan item, 1)
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case it, ok := <-queues[i]:
					if !ok {
						return
					}
					if l.put(it) {
						cancel()
					}
				}
			}
		})
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		seed := maphash.MakeSeed()
		for it, err := range src {
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				l.count(it.key, 0, err)
				continue
			}
			select {
			case queues[maphash.String(seed, it.key)%uint64(len(queues))] <- it:
			case <-ctx.Done():
				return
			}
		}
		for _, q := range queues {
			close(q)
		}
	}()
	select {
	case <-read:
	case <-ctx.Done():
	}
	workers.Wait()
	l.mu.Lock()
	l.Stopped = ctx.Err() != nil
	l.mu.Unlock()
}

// put writes one key; it finishes what it began even if the load is told to stop.
func (l *load) put(it item) (giveUp bool) {
	value, err := it.value()
	if err == nil {
		_, err = l.s.client.Put(context.WithoutCancel(l.s.ctx), []byte(it.key), value, l.s.writeOptions())
	}
	return l.count(it.key, len(value), err)
}

// count takes note of one key. It says whether so many have failed that the load should
// end.
func (l *load) count(key string, size int, err error) (giveUp bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.Keys++
		l.Bytes += int64(size)
		l.row = 0
		return false
	}
	switch {
	case l.s.ifAbsent && errors.Is(err, api.ErrCondition):
		l.Skipped++ // as asked for: not worth a line
		return false
	case errors.Is(err, errSkipped):
		l.Skipped++
	default:
		l.Failed++
	}
	l.code = max(l.code, exitCode(err))
	l.lines++
	if len(l.Failures) < maxListed {
		l.Failures = append(l.Failures, failure{key, err.Error()})
	}
	if !errors.Is(err, errSkipped) && !errors.Is(err, errInput) {
		l.row++
	}
	return l.row >= maxRow
}
