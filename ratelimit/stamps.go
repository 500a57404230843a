package ratelimit

// stamps is the log of a SlidingLog key: a ring of events, oldest first, those of one
// instant as one. It grows as needed, to at most one stamp for each event of the limit.
type stamps struct {
	ring []stamp
	head int
	n    int
	sum  int64 // events in it
}

type stamp struct{ at, n int64 }

func (l *stamps) len() int        { return l.n }
func (l *stamps) at(i int) *stamp { return &l.ring[(l.head+i)%len(l.ring)] }
func (l *stamps) last() int64     { return l.at(l.n - 1).at }

// prune drops what is per or longer ago and returns now, or the newest event's time if
// that is later: a clock that goes back is taken to stand still.
func (l *stamps) prune(now, per int64) int64 {
	if l.n > 0 {
		now = max(now, l.last())
	}
	for l.n > 0 && l.at(0).at <= now-per {
		l.sum -= l.at(0).n
		l.head = (l.head + 1) % len(l.ring)
		l.n--
	}
	return now
}

// push adds n events. A full log takes them into its newest stamp and dates that later,
// which can only refuse more.
func (l *stamps) push(now, n, most int64) {
	n = min(n, 1<<60-l.sum) // a debt without end is no number
	l.sum += n
	if l.n > 0 && (l.last() == now || int64(l.n) >= most) {
		s := l.at(l.n - 1)
		s.at = now
		s.n += n
		return
	}
	if l.n == len(l.ring) {
		ring := make([]stamp, max(2, 2*l.n))
		for i := range l.n {
			ring[i] = *l.at(i)
		}
		l.ring, l.head = ring, 0
	}
	l.n++
	*l.at(l.n - 1) = stamp{now, n}
}

// freeAt is the time of the event that has to leave so that the oldest n are gone; the
// newest's if that is not enough.
func (l *stamps) freeAt(n int64) (at int64) {
	for i := 0; i < l.n && (i == 0 || n > 0); i++ {
		at = l.at(i).at
		n -= l.at(i).n
	}
	return at
}
