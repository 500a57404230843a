package client

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// How often a load tells how far it is: on a terminal the line is drawn over, elsewhere
// each one stays.
const (
	redrawEvery = 200 * time.Millisecond
	lineEvery   = 5 * time.Second
)

// showProgress writes progress to standard error until stop is called.
func (l *load) showProgress(terminal bool) (stop func()) {
	every, form := lineEvery, "%s\n"
	if terminal {
		every, form = redrawEvery, "\r\x1b[K%s"
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(l.s.errs, form, l.line())
			case <-done:
				if terminal {
					fmt.Fprint(l.s.errs, "\r\x1b[K")
				}
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// line is one line of progress.
func (l *load) line() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally.String(time.Since(l.start))
}

// summary tells what came of it and turns it into an exit code.
func (l *load) summary() error {
	l.mu.Lock()
	t, code, row, lines := l.tally, l.code, l.row, l.lines
	t.Failures = slices.Clone(t.Failures)
	l.mu.Unlock()
	took := time.Since(l.start)
	if l.s.asJSON {
		if err := l.s.json(struct {
			tally
			Seconds float64 `json:"seconds"`
			Rate    float64 `json:"rate"` // keys a second
		}{t, took.Seconds(), t.rate(took)}); err != nil {
			return err
		}
	} else {
		for _, f := range t.Failures {
			fmt.Fprintf(l.s.errs, "%s: %s\n", quoted([]byte(f.Key)), f.Error)
		}
		if rest := lines - int64(len(t.Failures)); rest > 0 {
			fmt.Fprintf(l.s.errs, "and %s more\n", grouped(rest))
		}
		fmt.Fprintf(l.s.out, "loaded %s\n", t.String(took))
	}
	if t.Stopped {
		code = exitFailed
		why := "stopped"
		if row >= maxRow {
			why = fmt.Sprintf("stopped after %d failures in a row", maxRow)
		}
		fmt.Fprintf(l.s.errs, "kv load: %s; not all was loaded\n", why)
	}
	if code != exitOK {
		return told(code)
	}
	return nil
}

func (t *tally) rate(took time.Duration) float64 {
	return float64(t.Keys) / max(took.Seconds(), 1e-3)
}

// String tells the state after a time.
func (t *tally) String(took time.Duration) string {
	secs := max(took.Seconds(), 1e-3)
	s := fmt.Sprintf("%s keys, %s in %.1f s: %s keys/s, %s/s",
		grouped(t.Keys), size(float64(t.Bytes)), took.Seconds(), grouped(int64(t.rate(took))), size(float64(t.Bytes)/secs))
	if t.Skipped > 0 {
		s += fmt.Sprintf(", %s skipped", grouped(t.Skipped))
	}
	if t.Failed > 0 {
		s += fmt.Sprintf(", %s failed", grouped(t.Failed))
	}
	return s
}

// grouped writes a number with commas.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes with a decimal prefix.
func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if n < 999.5 {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g GB", n)
}
