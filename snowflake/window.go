package snowflake

import (
	"sync"
	"time"
)

// Reading the clock costs four times as much as taking the next state, and processors that
// read it between their turns hand the state's cache line to and fro for every id. So where
// ids are taken fast, most are taken without: whoever has looked at the clock opens a window,
// and states up to its end are for whoever comes.
//
//	clock   │     look                 look                 look
//	state   ●●●●●●●│●●●●●●●●●●●●●●●●●●●●│●●●●●●●●●●●●●●●●●●●●│●●●●●●
//	               └─ windowIDs ───────▶└─ windowIDs ───────▶└── …      until a timer closes it
//
// Two things keep the time in an id true. A window is short, so that while ids come fast the
// clock is looked at every few microseconds. And a timer closes it after a unit, so that an
// id which comes after a pause carries its own time. What is left is a pause within that
// unit, and a timer that the runtime runs late: by so much an id's time may be behind.
//
// Order does not rest on any of this: a state is taken by one atomic operation, with a
// window or without. Nor does uniqueness: a window ends at what the mark allows.
//
// A generator that issues as fast as its layout allows reads the clock even less: after a
// wait, all of the unit that was waited for is ahead of the clock, and one window.
//
// Somebody else's clock has no windows, for a timer knows nothing about it.
type window struct {
	mu    sync.Mutex
	timer *time.Timer
	armed bool           // the timer will run
	runs  sync.WaitGroup // one if armed
	over  bool
}

const (
	// windowIDs is how many ids there are to a look at the clock. Four times as many are
	// hardly faster.
	windowIDs = 64
	// windowFrom is how many ids of a unit are taken before the first window: at less than
	// that every id looks at the clock. A timer costs as much as some ten looks.
	windowFrom = 256
	// windowMargin is what a window leaves of its unit and of the mark: those who come to its
	// end at once have taken a state already, which there should be a use for.
	windowMargin = windowIDs
)

// windowEnd is the end of a window of at most n states that begins after next, while the
// clock says now: 0 if there is no room for one.
func (g *Generator) windowEnd(next, now, n uint64) uint64 {
	end := min(min(now+g.ahead, g.maxTick)<<g.seqBits|g.seqMask, g.limit.Load())
	if g.adds {
		end -= min(end, windowMargin)
	}
	if end <= next {
		return 0
	}
	return min(next+n, end)
}

// hurried tells whether ids are taken fast enough for a window, of which next is the last
// one, in the clock's unit now. The first condition is for speed.
func (g *Generator) hurried(next, now uint64) bool {
	return next&(windowIDs-1) == 0 && g.adds && g.millis && (next&g.seqMask >= windowFrom || next>>g.seqBits > now)
}

// look decides about a state that was taken at the end of a window. If it is good, the window
// goes on from there; if not, it is spent on nothing, and the window is closed.
func (g *Generator) look(next, free uint64) bool {
	now := g.tick(g.now())
	at := next >> g.seqBits
	end := uint64(0)
	good := at >= now && at <= now+g.ahead && next <= g.limit.Load()
	if good {
		end = g.windowEnd(next, now, windowIDs)
	}
	// Not if the timer has closed it meanwhile.
	g.free.CompareAndSwap(free, end)
	return good
}

// openWindow lets states up to end, if that is not 0, go without a look at the clock, for a
// unit at most.
func (g *Generator) openWindow(end uint64) {
	if g.o.Now != nil || end == 0 {
		return
	}
	w := &g.window
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	if !w.armed {
		w.armed = true
		w.runs.Add(1)
		if w.timer == nil {
			w.timer = time.AfterFunc(g.o.Layout.Unit, g.closeWindow)
		} else {
			w.timer.Reset(g.o.Layout.Unit)
		}
	}
	g.free.Store(end)
}

// closeWindow is the timer's.
func (g *Generator) closeWindow() {
	g.window.mu.Lock()
	g.window.armed = false
	g.free.Store(0)
	g.window.mu.Unlock()
	g.window.runs.Done()
}

// stop returns when no timer runs or will run.
func (w *window) stop() {
	w.mu.Lock()
	w.over = true
	if w.armed && w.timer.Stop() {
		w.runs.Done()
	}
	w.mu.Unlock()
	w.runs.Wait()
}
