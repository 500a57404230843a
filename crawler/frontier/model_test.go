package frontier

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// TestModel drives a frontier and a naive one, which is lists and maps in memory, with the
// same operations under a clock that only the test moves, across closings and power cuts.
// What is leased must be what the rules allow, no host may be visited too early or twice
// at a time, and nothing may be lost.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(rt)
		defer m.close()
		rt.Repeat(map[string]func(*rapid.T){
			"add":     m.add,
			"tick":    m.tick,
			"lease":   m.take,
			"end":     m.end,
			"end2":    m.end,
			"lease2":  m.take,
			"delay":   m.setDelay,
			"block":   m.block,
			"budget":  m.budget,
			"requeue": m.requeue,
			"reopen":  m.reopen,
			"":        m.check,
		})
	})
}

type (
	modelItem struct {
		url      string
		level    uint8
		attempts int
		visits   int
		due      int64 // ms
		order    int
	}
	modelQueue struct {
		since int64
		items []modelItem
	}
	modelHost struct {
		queues  map[uint8]*modelQueue
		held    []modelItem
		dead    []modelItem
		fence   int64 // ns
		block   int64
		ready   bool
		listed  uint8
		since   int64
		leased  bool
		lapses  int64 // ns: when the lease expires
		from    uint8 // level of the leased item
		expired int
		fails   int
		trips   int
		visits  int
		budget  int
		base    time.Duration
		lastEnd int64
	}
	model struct {
		f      *Frontier
		fs     *lsmtest.FS
		o      Options
		now    int64 // ns
		hosts  map[string]*modelHost
		seen   map[string]bool
		leases []*Lease
		order  int
		seed   uint64
		moved  [][]moved // what was sorted in since the last sync: the power may undo it
	}
	moved struct {
		h  *modelHost
		it modelItem
	}
)

func newModel(rt *rapid.T) *model {
	m := &model{fs: lsmtest.NewFS(), now: 1_800_000_000e9, hosts: map[string]*modelHost{}, seen: map[string]bool{}}
	m.o = Options{
		MinDelay: time.Second, LeaseTime: 20 * time.Second, Ageing: 3 * time.Second, Retries: []time.Duration{2 * time.Second, 7 * time.Second},
		Breaker: 3, Rest: 30 * time.Second, MaxRest: 100 * time.Second, TrapSample: -1, RecrawlMin: time.Second, RecrawlMax: time.Minute,
		Prefetch: rapid.SampledFrom([]int64{1, 400, 1 << 20}).Draw(rt, "prefetch"),
		Now:      func() time.Time { return time.Unix(0, m.now) },
	}
	m.open(rt)
	return m
}

func (m *model) open(rt *rapid.T) {
	m.o.Store = lsm.Options{FS: m.fs, MemtableSize: 64 << 10, Now: time.Now}
	f, err := Open("dir", m.o)
	require.NoError(rt, err)
	m.f = f
	f.work.Wait() // what is done behind
}

func (m *model) close() { m.f.Close() }

func (m *model) host(name string) *modelHost {
	h := m.hosts[name]
	if h == nil {
		h = &modelHost{queues: map[uint8]*modelQueue{}}
		m.hosts[name] = h
	}
	return h
}

const modelStep = int64(time.Second) // Ageing of 3 s, for three levels

func (h *modelHost) best() (uint8, bool) {
	found := false
	var best uint8
	var first int64
	for l := range uint8(levelCount) {
		if q := h.queues[l]; q != nil {
			if d := q.since + int64(l)*modelStep; !found || d < first {
				found, best, first = true, l, d
			}
		}
	}
	return best, found
}

func (h *modelHost) overdue(now int64) bool {
	return slices.ContainsFunc(h.held, func(i modelItem) bool { return i.due*1e6 <= now })
}

func (h *modelHost) live() bool {
	return h.leased || (len(h.queues) > 0 || len(h.held) > 0) && (h.budget == 0 || h.visits < h.budget)
}

// list brings a host's readiness up to date, as an operation at this time does.
func (m *model) list(h *modelHost, anew bool) {
	ready := !h.leased && h.live() && h.fence <= m.now && h.block <= m.now && (len(h.queues) > 0 || h.overdue(m.now))
	if ready && (!h.ready || anew) {
		h.since, h.listed = m.now, 0
		if !h.overdue(m.now) {
			h.listed, _ = h.best()
		}
	}
	h.ready = ready
}

func (m *model) advance() {
	for _, h := range m.hosts {
		if h.leased && h.lapses <= m.now {
			h.leased = false
			h.expired++
			m.failed(h)
		}
	}
	m.f.Stats()
	for name, h := range m.hosts {
		if h.lapses != 0 && !h.leased {
			h.fence = m.now + m.delay(name)
			h.lapses, h.ready = 0, false
		}
		m.list(h, false)
	}
}

// delay is the frontier's own, which may be no less than what was asked for.
func (m *model) delay(name string) int64 {
	i, ok := m.f.Host(name)
	if !ok {
		return int64(m.o.MinDelay)
	}
	if i.Delay < max(m.o.MinDelay, m.hosts[name].base) {
		panic(fmt.Sprintf("%s has a delay of %v", name, i.Delay))
	}
	return int64(i.Delay)
}

func (m *model) failed(h *modelHost) {
	if h.fails++; h.fails < m.o.Breaker {
		return
	}
	rest := m.o.Rest << h.trips
	h.trips = min(h.trips+1, 10)
	h.fails = m.o.Breaker - 1
	h.block = max(h.block, m.now+int64(min(rest, m.o.MaxRest)))
}

func (m *model) push(h *modelHost, it modelItem) {
	q := h.queues[it.level]
	if q == nil {
		q = &modelQueue{since: m.now}
		h.queues[it.level] = q
	}
	q.items = append(q.items, it)
}

var modelHosts = []string{"a.example", "b.example", "c.example:81", "d.example"}

func (m *model) add(rt *rapid.T) {
	n := rapid.IntRange(1, 8).Draw(rt, "items")
	var items []Item
	want := 0
	type placed struct {
		h  *modelHost
		it modelItem
	}
	var now, later []placed
	for range n {
		name := rapid.SampledFrom(modelHosts).Draw(rt, "host")
		url := fmt.Sprintf("https://%s/p/%d", name, rapid.IntRange(0, 400).Draw(rt, "path"))
		lvl := rapid.Uint8Range(0, 15).Draw(rt, "level")
		it := Item{URL: url, Priority: float64(lvl) / 3, Depth: int(lvl)}
		h := m.host(name)
		due := int64(0)
		if rapid.IntRange(0, 5).Draw(rt, "later") == 0 {
			ms := m.now/1e6 + rapid.Int64Range(-1000, 9000).Draw(rt, "due")
			it.NotBefore = time.UnixMilli(ms)
			if ms+1 > m.now/1e6 {
				due = ms + 1
			}
		}
		items = append(items, it)
		if m.seen[url] {
			continue
		}
		m.seen[url] = true
		want++
		m.order++
		p := placed{h, modelItem{url: url, level: lvl, due: due, order: m.order}}
		if due != 0 {
			later = append(later, p)
		} else {
			now = append(now, p)
		}
	}
	m.list2(func() {
		for _, p := range now {
			m.push(p.h, p.it)
		}
		for _, p := range later {
			p.h.held = append(p.h.held, p.it)
		}
	}, func() {
		added, err := m.f.Add(context.Background(), items...)
		require.NoError(rt, err)
		require.Equal(rt, want, added)
	})
}

// list2 does something to both, and lists hosts anew that have something more urgent now.
func (m *model) list2(naive, real func()) {
	real()
	m.moved = nil
	naive()
	m.advance()
	for _, h := range m.hosts {
		if l, ok := h.best(); ok && h.ready && l < h.listed && !h.overdue(m.now) {
			m.list(h, true)
		}
	}
}

func (m *model) tick(rt *rapid.T) {
	d := rapid.SampledFrom([]int64{1, 7, 100, 500, 1000, 1001, 5000, 30_000}).Draw(rt, "ms")
	m.now += d * 1e6
	m.advance()
}

func (m *model) take(rt *rapid.T) {
	m.now += 1e6
	m.advance()
	l, err := m.f.TryLease()
	live := false
	// Hosts with items that have become due sort those in when their turn comes.
	for range 100 {
		first, tied := m.first()
		if first == nil {
			break
		}
		sorted := false
		for _, h := range tied {
			name := m.nameOf(h)
			m.f.mu.Lock()
			released := !m.f.hosts.find(name).overdue(m.now)
			m.f.mu.Unlock()
			if h.overdue(m.now) && released {
				m.sortIn(h)
				sorted = true
			}
		}
		if !sorted {
			break
		}
	}
	for _, h := range m.hosts {
		live = live || h.live()
	}
	first, tied := m.first()
	if first == nil {
		if live {
			require.ErrorIs(rt, err, ErrNotReady)
		} else {
			require.ErrorIs(rt, err, ErrDrained)
		}
		return
	}
	require.NoError(rt, err)
	h := m.hosts[l.Host]
	require.True(rt, slices.Contains(tied, h), "%s is not the most urgent", l.Host)
	lvl, _ := h.best()
	it := h.queues[lvl].items[0]
	if h.expired >= maxExpired {
		rt.Fatalf("%s was leased after %d leases expired", l.URL, h.expired)
	}
	require.Equal(rt, it.url, l.URL)
	require.Equal(rt, it.attempts, l.Attempt)
	require.Equal(rt, it.visits, l.Visits)
	require.Equal(rt, float64(lvl)/3, l.Priority)
	require.GreaterOrEqual(rt, m.now-h.lastEnd, int64(max(m.o.MinDelay, h.base)), "too early")
	h.leased, h.ready, h.from = true, false, lvl
	h.lapses = m.now + int64(m.o.LeaseTime)
	m.leases = append(m.leases, l)
}

// first returns a host with the earliest deadline, and all that share it. Items whose
// leases expired too often leave first.
func (m *model) first() (first *modelHost, tied []*modelHost) {
	for {
		var best int64
		first, tied = nil, nil
		for _, h := range m.hosts {
			if !h.ready {
				continue
			}
			d := h.since + int64(h.listed)*modelStep
			if first == nil || d < best {
				first, best, tied = h, d, []*modelHost{h}
			} else if d == best {
				tied = append(tied, h)
			}
		}
		poisoned := false
		for _, h := range tied {
			if h.expired >= maxExpired && !h.overdue(m.now) {
				lvl, _ := h.best()
				h.dead = append(h.dead, m.pop(h, lvl))
				m.moved = nil
				h.expired = 0
				m.list(h, true)
				poisoned = true
			}
		}
		if !poisoned {
			return first, tied
		}
	}
}

func (m *model) nameOf(h *modelHost) string {
	for name, x := range m.hosts {
		if x == h {
			return name
		}
	}
	return ""
}

func (m *model) sortIn(h *modelHost) {
	slices.SortFunc(h.held, func(a, b modelItem) int {
		if a.due != b.due {
			return int(a.due - b.due)
		}
		return a.order - b.order
	})
	var batch []moved
	for len(h.held) > 0 && h.held[0].due*1e6 <= m.now {
		m.push(h, h.held[0])
		batch = append(batch, moved{h, h.held[0]})
		h.held = h.held[1:]
	}
	m.moved = append(m.moved, batch)
	m.list(h, true)
}

func (m *model) pop(h *modelHost, lvl uint8) modelItem {
	q := h.queues[lvl]
	it := q.items[0]
	q.items = q.items[1:]
	q.since = m.now
	if len(q.items) == 0 {
		delete(h.queues, lvl)
	}
	return it
}

func (m *model) end(rt *rapid.T) {
	if len(m.leases) == 0 {
		rt.Skip()
	}
	i := rapid.IntRange(0, len(m.leases)-1).Draw(rt, "which")
	l := m.leases[i]
	m.leases = slices.Delete(m.leases, i, i+1)
	m.now += 1e6
	m.advance()
	h := m.hosts[l.Host]
	alive := h.leased && h.lapses == l.Expires.UnixNano() && h.queues[h.from].items[0].url == l.URL
	if !alive {
		require.ErrorIs(rt, l.Done(Result{}), ErrLease)
		require.ErrorIs(rt, l.Retry(Failure{}), ErrLease)
		require.ErrorIs(rt, l.Release(), ErrLease)
		require.ErrorIs(rt, l.Extend(), ErrLease)
		return
	}
	var it modelItem
	switch kind := rapid.SampledFrom([]string{"done", "again", "retry", "throttled", "final", "release", "extend"}).Draw(rt, "kind"); kind {
	case "extend":
		require.NoError(rt, l.Extend())
		h.lapses = m.now + int64(m.o.LeaseTime)
		m.leases = append(m.leases, l)
		return
	case "release":
		require.NoError(rt, l.Release())
	case "done", "again":
		r := Result{}
		if kind == "again" {
			r.Every, r.Changed = 5*time.Second, rapid.Bool().Draw(rt, "changed")
		}
		require.NoError(rt, l.Done(r))
		h.fails, h.trips = 0, 0
		it = m.pop(h, h.from)
		h.visits++
		if kind == "again" {
			m.order++
			e := l.e
			pause := m.o.next(&e, m.now, r)
			it.attempts, it.visits, it.order, it.due = 0, it.visits+1, m.order, (m.now+int64(pause))/1e6
			h.held = append(h.held, it)
		}
	default:
		fail := Failure{Cause: kind, Final: kind == "final", Throttled: kind == "throttled"}
		if rapid.Bool().Draw(rt, "after") {
			fail.After = 11 * time.Second
		}
		require.NoError(rt, l.Retry(fail))
		if fail.Throttled {
			h.block = max(h.block, m.now+int64(fail.After))
		} else {
			m.failed(h)
		}
		it = m.pop(h, h.from)
		h.visits++
		if fail.Final || it.attempts == len(m.o.Retries) {
			h.dead = append(h.dead, it)
		} else {
			m.order++
			it.due = (m.now + int64(max(m.o.Retries[it.attempts], fail.After))) / 1e6
			it.attempts++
			it.order = m.order
			h.held = append(h.held, it)
		}
	}
	if it.url != "" {
		h.expired = 0
		m.moved = nil
	}
	h.leased, h.lapses = false, 0
	h.lastEnd = m.now
	h.fence = m.now + m.delay(l.Host)
	m.list(h, true)
}

func (m *model) setDelay(rt *rapid.T) {
	name := rapid.SampledFrom(modelHosts).Draw(rt, "host")
	d := rapid.SampledFrom([]time.Duration{0, 1500 * time.Millisecond, 4 * time.Second}).Draw(rt, "delay")
	m.advance()
	h := m.host(name)
	before := m.delay(name)
	require.NoError(rt, m.f.SetDelay(name, d))
	m.moved = nil
	h.base = d
	h.fence += m.delay(name) - before
	m.list(h, true)
}

func (m *model) block(rt *rapid.T) {
	name := rapid.SampledFrom(modelHosts).Draw(rt, "host")
	until := m.now + rapid.Int64Range(-5, 20).Draw(rt, "until")*1e9
	m.advance()
	require.NoError(rt, m.f.Block(name, time.Unix(0, until)))
	h := m.host(name)
	m.moved = nil
	h.block = until
	m.list(h, true)
}

func (m *model) budget(rt *rapid.T) {
	name := rapid.SampledFrom(modelHosts).Draw(rt, "host")
	m.advance()
	h := m.host(name)
	h.budget = rapid.SampledFrom([]int{0, 0, 2, 10, h.visits}).Draw(rt, "budget")
	require.NoError(rt, m.f.SetBudget(name, h.budget))
	m.moved = nil
	m.list(h, true)
}

func (m *model) requeue(rt *rapid.T) {
	m.advance()
	want := 0
	for _, name := range modelHosts {
		want += len(m.host(name).dead)
	}
	m.list2(func() {
		// In the order of the letters: by host in the order of their numbers, then by age.
		for _, h := range m.hosts {
			for _, it := range h.dead {
				it.attempts, it.visits = 0, 0
				m.push(h, it)
			}
			h.dead = nil
		}
	}, func() {
		n, err := m.f.Requeue(context.Background(), nil)
		require.NoError(rt, err)
		require.Equal(rt, want, n)
	})
}

// reopen closes the frontier, or cuts the power, and opens it again.
func (m *model) reopen(rt *rapid.T) {
	cut := rapid.Bool().Draw(rt, "cut")
	if cut {
		m.seed++
		old := m.fs
		m.fs = old.Crash(lsmtest.Loss{Seed: m.seed, Keep: 0.5})
	}
	err := m.f.Close()
	if !cut {
		require.NoError(rt, err)
	}
	m.now += 3e6
	m.open(rt)
	m.leases = nil
	if cut {
		m.undo()
	}
	m.moved = nil
	for name, h := range m.hosts {
		h.leased, h.lapses, h.ready, h.expired = false, 0, false, 0
		for _, q := range h.queues {
			q.since = m.now
		}
		i, ok := m.f.Host(name)
		if !ok {
			continue
		}
		if cut {
			require.LessOrEqual(rt, i.Visits, h.visits)
			h.visits, h.fails = i.Visits, i.Failures
		}
		h.fence = m.now + m.delay(name)
		h.lastEnd = m.now
	}
	m.advance()
}

// undo takes back what the power cut undid: the last batches of items that had become due.
func (m *model) undo() {
	held := func() (n int64) {
		for _, h := range m.hosts {
			n += int64(len(h.held))
		}
		return n
	}
	for len(m.moved) > 0 && held() < m.f.Stats().Waiting {
		last := len(m.moved) - 1
		for _, b := range m.moved[last] {
			q := b.h.queues[b.it.level]
			q.items = slices.DeleteFunc(q.items, func(i modelItem) bool { return i.order == b.it.order })
			if len(q.items) == 0 {
				delete(b.h.queues, b.it.level)
			}
			b.h.held = append(b.h.held, b.it)
		}
		m.moved = m.moved[:last]
	}
}

// check compares what can be counted.
func (m *model) check(rt *rapid.T) {
	m.advance()
	s := m.f.Stats()
	var queued, held, dead, leased int64
	for name, h := range m.hosts {
		for _, q := range h.queues {
			queued += int64(len(q.items))
		}
		held += int64(len(h.held))
		dead += int64(len(h.dead))
		if h.leased {
			leased++
		}
		i, ok := m.f.Host(name)
		if !ok {
			require.Empty(rt, h.queues)
			continue
		}
		require.Equal(rt, h.visits, i.Visits, name)
		require.Equal(rt, h.leased, i.State == StateLeased, name)
		require.Equal(rt, h.ready, i.State == StateReady, "%s is %v", name, i.State)
		require.Equal(rt, h.fails, i.Failures, name)
	}
	require.Equal(rt, []int64{queued, held, dead, leased}, []int64{s.Queued, s.Waiting, s.Dead, s.Leased}, "queued, held back, dead, leased")
	letters := map[string]bool{}
	for d, err := range m.f.DeadLetters() {
		require.NoError(rt, err)
		letters[d.URL] = true
	}
	require.Len(rt, letters, int(dead))
}
