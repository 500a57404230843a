package upstream

import (
	"sync/atomic"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// budget bounds the attempts that are not the first: to a percentage of the requests, and
// a few each second besides, so that a quiet pool may retry, too. Without it retries
// multiply the load on backends that fail since they are overloaded.
type budget struct {
	percent int64
	credit  atomic.Int64 // hundredths of an attempt
	few     *ratelimit.Limiter
}

// mostCredit is what a long good time saves up: so many attempts.
const mostCredit = 100

func newBudget(percent int) (*budget, error) {
	few, err := ratelimit.New(ratelimit.PerSecond(10))
	return &budget{percent: int64(percent), few: few}, err
}

// deposit counts a request.
func (b *budget) deposit() {
	if b.credit.Load() < 100*mostCredit {
		b.credit.Add(b.percent)
	}
}

// withdraw says whether one more attempt may be made.
func (b *budget) withdraw() bool {
	for {
		have := b.credit.Load()
		if have < 100 {
			return b.few.Allow()
		}
		if b.credit.CompareAndSwap(have, have-100) {
			return true
		}
	}
}
