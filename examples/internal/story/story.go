// Package story tells what a system does, a line an event, and counts what it proves.
//
// Every system under examples/ runs one scripted story. Told to a person it is a log
// that can be read aloud; under -check the same story is the test, and its last line
// is "N passed, 0 failed".
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

var (
	// ErrFailed is returned by Close when a check failed.
	ErrFailed = errors.New("story: a check failed")
	// ErrInterrupted is returned by Play when its context ended.
	ErrInterrupted = errors.New("interrupted")
)

// Story writes lines to one writer. It is safe for concurrent use.
type Story struct {
	now   func() time.Time
	start time.Time

	mu     sync.Mutex
	w      io.Writer // guarded by mu
	passed int       // guarded by mu
	failed []string  // guarded by mu
	open   bool      // guarded by mu: a progress line without its end is on the screen
	redraw bool
	mirror func(kind, text string) // guarded by mu; nil: nobody else is told
}

// New tells a story to w. On a terminal, which the caller knows of, progress lines are
// drawn over each other.
func New(w io.Writer, terminal bool) *Story {
	return &Story{w: w, redraw: terminal, now: time.Now, start: time.Now()}
}

// Mirror tells f, too, what the story says from now on: by kind ("chapter", "says",
// "checks", "fails") and text, for a dashboard. Progress is not told.
func (s *Story) Mirror(f func(kind, text string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mirror = f
}

// Say writes one event.
func (s *Story) Say(format string, args ...any) { s.line("says", "  ", fmt.Sprintf(format, args...)) }

// Chapter writes a heading.
func (s *Story) Chapter(format string, args ...any) {
	s.mu.Lock()
	s.end()
	fmt.Fprintln(s.w)
	s.mu.Unlock()
	s.line("chapter", "# ", fmt.Sprintf(format, args...))
}

// Check records whether what the story claims holds, and says so.
func (s *Story) Check(ok bool, format string, args ...any) bool {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	if ok {
		s.passed++
	} else {
		s.failed = append(s.failed, text)
	}
	s.mu.Unlock()
	if ok {
		s.line("checks", "ok ", text)
	} else {
		s.line("fails", "FAILED ", text)
	}
	return ok
}

// CheckErr is Check for an error, whose text it adds.
func (s *Story) CheckErr(err error, format string, args ...any) bool {
	if err != nil {
		return s.Check(false, "%s: %v", fmt.Sprintf(format, args...), err)
	}
	return s.Check(true, format, args...)
}

// Progress shows how far a long task has come. On a terminal the lines replace each
// other; elsewhere only the last one is written.
func (s *Story) Progress(done, total int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	last := done >= total
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.redraw:
		fmt.Fprintf(s.w, "\r\x1b[K%s %s %s", s.stamp(), bar(done, total, 24), text)
		s.open = true
		if last {
			s.end()
		}
	case last:
		fmt.Fprintf(s.w, "%s    %s\n", s.stamp(), text)
	}
}

// Play tells the chapters one after the other, and then closes the story. The first error
// ends it; ErrInterrupted stands for whatever goes wrong once ctx has ended.
func (s *Story) Play(ctx context.Context, chapters ...func(context.Context) error) error {
	for _, tell := range chapters {
		err := tell(ctx)
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		if err != nil {
			return err
		}
	}
	return s.Close()
}

// Close writes the tally and returns an error that matches ErrFailed if a check failed.
func (s *Story) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	fmt.Fprintf(s.w, "%d passed, %d failed\n", s.passed, len(s.failed))
	if len(s.failed) > 0 {
		return fmt.Errorf("%w: %s", ErrFailed, strings.Join(s.failed, "; "))
	}
	return nil
}

func (s *Story) line(kind, mark, text string) {
	s.mu.Lock()
	s.end()
	fmt.Fprintf(s.w, "%s %s%s\n", s.stamp(), mark, text)
	mirror := s.mirror
	s.mu.Unlock()
	if mirror != nil {
		mirror(kind, text)
	}
}

// end closes a progress line. The caller holds mu.
func (s *Story) end() {
	if s.open {
		fmt.Fprintln(s.w)
		s.open = false
	}
}

func (s *Story) stamp() string {
	return fmt.Sprintf("%6.2fs", s.now().Sub(s.start).Seconds())
}

// bar draws done of total as a bar of width cells.
func bar(done, total, width int) string {
	full := width
	if total > 0 {
		full = min(max(done, 0), total) * width / total
	}
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", width-full) + "]"
}
