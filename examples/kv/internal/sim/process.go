package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

// process is a node with what surrounds it: a disk, two clocks, a life that ends.
type process struct {
	s    *sim
	id   string
	disk *disk
	node *core.Node // nil while it is down
	life int        // what was to happen in an earlier life does not

	boot   int64 // world time of the start
	drift  int64 // of the monotonic clock, parts in a thousand
	skew   int64 // of the wall clock, milliseconds
	frozen int64 // until then nothing is handled
	inbox  []core.Event

	fsync   int64 // the longest that a sync takes
	syncing bool
	waiting map[uint64]func(*core.Done)
	lastID  uint64
}

func (p *process) time() core.Time {
	w := p.s.w.Now()
	return core.Time{Mono: 1 + (w-p.boot)*(1000+p.drift)/1000, Wall: wallEpoch + w + p.skew}
}

// start begins a life; it tries again if the disk does not let it.
func (p *process) start() {
	if p.node != nil {
		return
	}
	p.life++
	p.boot, p.frozen, p.inbox, p.syncing = p.s.w.Now(), 0, nil, false
	p.waiting = map[uint64]func(*core.Done){}
	seed := [32]byte{byte(p.s.w.Rand.Uint64()), byte(p.s.w.Rand.Uint64()), byte(p.s.w.Rand.Uint64()), byte(p.s.w.Rand.Uint64())}
	o := p.s.options
	o.ID, o.Store, o.Rand = p.id, p.disk, rand.NewChaCha8(seed)
	node, err := core.New(o, p.time())
	if err != nil {
		p.s.note("%s does not start: %v", p.id, err)
		p.s.w.After(500, p.start)
		return
	}
	p.s.note("%s starts", p.id)
	p.node = node
	p.later(p.s.w.Between(0, 50), p.tick)
	p.sync()
}

// later does something unless the life has ended by then.
func (p *process) later(ms int64, f func()) {
	life := p.life
	p.s.w.After(ms, func() {
		if p.life == life && p.node != nil {
			f()
		}
	})
}

func (p *process) tick() {
	p.step(core.Tick{})
	p.later(50+p.s.w.Between(0, 10), p.tick)
}

// crash ends the life: by kill, when only what was in memory is gone, or with the power.
func (p *process) crash(power bool) {
	if p.node == nil {
		return
	}
	p.node = nil
	p.life++
	keep := len(p.disk.log)
	if power {
		keep = int(p.s.w.Between(0, int64(keep)))
	}
	p.s.note("%s is gone (power %v)", p.id, power)
	p.disk.crash(keep)
	for id := uint64(1); id <= p.lastID; id++ {
		if f := p.waiting[id]; f != nil {
			delete(p.waiting, id)
			p.s.w.After(0, func() { f(nil) })
		}
	}
}

// freeze stops the process for a while; its clocks go on.
func (p *process) freeze(ms int64) {
	if p.node == nil || p.frozen > p.s.w.Now() {
		return
	}
	p.s.note("%s is frozen for %d ms", p.id, ms)
	p.frozen = p.s.w.Now() + ms
	p.later(ms, func() {
		inbox := p.inbox
		p.inbox = nil
		for _, e := range inbox {
			if p.node != nil {
				p.step(e)
			}
		}
	})
}

// step hands the node an event and carries out what it wants.
func (p *process) step(e core.Event) {
	if p.frozen > p.s.w.Now() {
		if len(p.inbox) < 10_000 {
			p.inbox = append(p.inbox, e)
		}
		return
	}
	for _, out := range p.node.Step(p.time(), e) {
		switch o := out.(type) {
		case *core.Send:
			p.send(o)
		case *core.Done:
			f := p.waiting[o.ID]
			delete(p.waiting, o.ID)
			if f == nil {
				p.s.fail("%s answered request %d twice", p.id, o.ID)
				continue
			}
			p.s.w.After(0, func() { f(o) })
		}
	}
	p.sync()
}

// sync makes what was written durable, one sync after another.
func (p *process) sync() {
	if p.syncing || p.disk.durable == p.disk.token {
		return
	}
	p.syncing = true
	token := p.disk.token
	p.later(p.s.w.Between(1, max(p.fsync, 2)), func() {
		p.syncing = false
		p.disk.synced(token)
		p.step(core.Durable{Token: token})
		p.sync()
	})
}

// send puts a message on the network, as bytes. One for a process that is down comes
// back, mostly: that is what a refused connection tells.
func (p *process) send(m *core.Send) {
	b := m.Message.Append(nil)
	to := p.s.procs[m.To]
	p.s.trace(p.id, m.To, b)
	if to.node == nil && p.s.w.Chance(0.8) {
		p.later(1, func() { p.step(core.Lost{To: m.To, Message: m.Message}) })
		return
	}
	p.s.net.Send(p.id, m.To, func() {
		if to.node == nil {
			return
		}
		msg, err := core.ParseMessage(append([]byte(nil), b...))
		if err != nil {
			p.s.fail("%v", err)
			return
		}
		to.step(core.Received{From: p.id, Message: msg})
	})
}

// ask is a client's request; nil answers that the node was not there, or is no more.
func (p *process) ask(r core.Request, then func(*core.Done)) {
	if p.node == nil {
		p.s.w.After(1, func() { then(nil) })
		return
	}
	p.lastID++
	r.ID = p.lastID
	p.waiting[r.ID] = then
	asked, life := p.s.w.Now(), p.life
	p.later(r.Timeout+1000, func() {
		if p.waiting[r.ID] != nil && p.frozen < asked && p.life == life {
			p.s.fail("%s has not answered request %d after %d ms", p.id, r.ID, p.s.w.Now()-asked)
		}
	})
	p.step(r)
}

func (p *process) String() string {
	if p.node == nil {
		return p.id + ": down"
	}
	return fmt.Sprintf("%s: %+v", p.id, p.node.Stats())
}
