package frontier

import (
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// Options configures Open. The zero value is polite: one request at a time to a host, and
// at least a second between the end of one and the start of the next.
type Options struct {
	// MinDelay is the least time between the end of a visit to a host and the next
	// (1 s; negative: none). SetDelay can only lengthen it.
	MinDelay time.Duration
	// MaxDelay bounds the delay that latency and throttling lead to (60 s). What SetDelay
	// or a Retry-After asks for is not bounded by it.
	MaxDelay time.Duration
	// LatencyFactor times a host's mean latency is the least delay (5; negative: none).
	LatencyFactor float64

	LeaseTime time.Duration   // after which a lease that was not ended expires (5 min)
	Ageing    time.Duration   // of waiting outweighs one step of priority (10 min)
	Retries   []time.Duration // pauses before each retry (nil: 1, 5, 25 min; empty: none)

	Breaker int           // failures in a row that stop visits to a host (5; negative: never)
	Rest    time.Duration // of such a host, doubled up to MaxRest while it stays dead (10 min)
	MaxRest time.Duration // (30 min, or Rest if that is more)

	Budget     int                     // pages of a host until SetBudget (0: no bound)
	TrapSample int                     // pages of one template that are fetched before they are judged (32; negative: never)
	Template   func(url string) uint64 // which URLs one program made (nil: by digits, parameters and repeats; see traps.go)

	RecrawlMin time.Duration // bounds of the time between two visits to a page (5 min)
	RecrawlMax time.Duration // (30 days)

	MaxURL  int // bytes of a URL (8 KiB; at most 64 KiB)
	MaxMeta int // bytes of Item.Meta (1 KiB; at most 64 KiB)

	// KeepOpen makes Lease wait for new items where it would return ErrDrained.
	KeepOpen bool
	// Durability of Add and of the ends of leases (lsm.Synced: they survive a power cut).
	Durability lsm.Durability
	// Prefetch is how many bytes of queued URLs may be kept ready in memory (128 MiB).
	Prefetch int64
	// Store configures the store below; zero fields get values that suit a frontier.
	Store lsm.Options

	Now    func() time.Time // clock (time.Now); it may be called by several goroutines at a time
	Logger *slog.Logger     // nil: silent
	Hooks  Hooks            // nil funcs are not called
}

// Hooks tell of what happens inside. They are called outside of locks, by the goroutine
// that did the work, and hold it up.
type Hooks struct {
	Dead    func(DeadLetter)                   // a URL ran out of retries
	Rested  func(host string, until time.Time) // the breaker opened
	Slowed  func(host string, d time.Duration) // the host throttled, and gets this delay
	Trapped func(url string)                   // a URL of a trap was passed over
	Expired func(url string)                   // a lease expired
}

const (
	maxURLLimit  = 64 << 10
	maxHostName  = 255
	maxPause     = 366 * 24 * time.Hour
	maxDelay     = 45 * 24 * time.Hour // of a host; it fits 32 bits of milliseconds
	maxPrefetch  = 1 << 40
	maxRetryList = 100
)

// validate fills in defaults and checks all bounds.
func (o Options) validate() (Options, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	pauses := []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"MinDelay", &o.MinDelay, time.Second},
		{"MaxDelay", &o.MaxDelay, 60 * time.Second},
		{"LeaseTime", &o.LeaseTime, 5 * time.Minute},
		{"Ageing", &o.Ageing, 10 * time.Minute},
		{"Rest", &o.Rest, 10 * time.Minute},
		{"MaxRest", &o.MaxRest, max(30*time.Minute, o.Rest)},
		{"RecrawlMin", &o.RecrawlMin, 5 * time.Minute},
		{"RecrawlMax", &o.RecrawlMax, max(30*24*time.Hour, o.RecrawlMin)},
	}
	for i, p := range pauses {
		if *p.value == 0 {
			*p.value = p.zero
		}
		if *p.value < 0 && i == 0 {
			*p.value = 0
		} else if *p.value < 0 {
			return o, bad("%s is negative: %v", p.name, *p.value)
		}
		if *p.value > maxPause {
			return o, bad("%s is over a year: %v", p.name, *p.value)
		}
	}
	o.MaxDelay = max(o.MaxDelay, o.MinDelay)
	switch {
	case o.MaxDelay > maxDelay:
		return o, bad("a delay over %v: %v", maxDelay, o.MaxDelay)
	case o.RecrawlMin > o.RecrawlMax:
		return o, bad("RecrawlMin %v is over RecrawlMax %v", o.RecrawlMin, o.RecrawlMax)
	case o.Rest > o.MaxRest:
		return o, bad("Rest %v is over MaxRest %v", o.Rest, o.MaxRest)
	case math.IsNaN(o.LatencyFactor) || o.LatencyFactor > 1e6:
		return o, bad("LatencyFactor %v", o.LatencyFactor)
	case o.Budget < 0 || int64(o.Budget) > math.MaxUint32:
		return o, bad("Budget %d", o.Budget)
	case o.MaxURL < 0 || o.MaxURL > maxURLLimit:
		return o, bad("MaxURL %d", o.MaxURL)
	case o.MaxMeta < 0 || o.MaxMeta > maxURLLimit:
		return o, bad("MaxMeta %d", o.MaxMeta)
	case o.Prefetch < 0 || o.Prefetch > maxPrefetch:
		return o, bad("Prefetch %d", o.Prefetch)
	case o.Durability > lsm.Queued:
		return o, bad("Durability %d", o.Durability)
	case len(o.Retries) > maxRetryList:
		return o, bad("%d Retries", len(o.Retries))
	}
	setDefault(&o.LatencyFactor, 5)
	setDefault(&o.Breaker, 5)
	setDefault(&o.TrapSample, 32)
	setDefault(&o.MaxURL, 8<<10)
	setDefault(&o.MaxMeta, 1<<10)
	setDefault(&o.Prefetch, 128<<20)
	o.LatencyFactor = max(o.LatencyFactor, 0)
	o.Breaker, o.TrapSample = min(max(o.Breaker, 0), math.MaxUint16), min(max(o.TrapSample, 0), math.MaxInt16)
	if o.Retries == nil {
		o.Retries = []time.Duration{time.Minute, 5 * time.Minute, 25 * time.Minute}
	}
	o.Retries = append([]time.Duration(nil), o.Retries...)
	for _, d := range o.Retries {
		if d < 0 || d > maxPause {
			return o, bad("a retry after %v", d)
		}
	}
	if o.Template == nil {
		o.Template = template
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	// A frontier writes far more than it reads, in random order. Few large levels keep the
	// rewriting by compactions down, where many of them would keep reads cheap; and small
	// memtables fit the processor's cache, and keep the log short that a restart replays.
	setDefault(&o.Store.MemtableSize, 16<<20)
	setDefault(&o.Store.L0Tables, 24)
	setDefault(&o.Store.LevelBase, 1<<30)
	setDefault(&o.Store.TableSize, 64<<20)
	if o.Store.Now == nil {
		o.Store.Now = o.Now
	}
	if o.Store.Logger == nil {
		o.Store.Logger = o.Logger
	}
	return o, nil
}

func setDefault[T int | int64 | float64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
