package sim

import "slices"

// What goes wrong, one thing after another, several at a time. Never more than a store
// with three copies can bear: one disk at a time is lost or put back from a copy, and the
// next only when the first is level again.

const (
	maxSkew   = 2_000 // milliseconds that a wall clock is off
	backupAge = 4_000 // milliseconds that a copy of a disk is old, at most; below Retention
)

func (s *sim) load() {
	s.makeClients()
	s.w.After(500, s.fault)
}

func (s *sim) anybody() *process { return s.procs[s.ids[s.w.Rand.IntN(len(s.ids))]] }

// fault makes one thing go wrong and plans the next.
func (s *sim) fault() {
	if s.over {
		return
	}
	s.res.Faults++
	p := s.anybody()
	switch s.w.Rand.IntN(16) {
	case 0, 1:
		s.down(p, false)
	case 2:
		s.down(p, true)
	case 3:
		// The whole room loses its power.
		if s.w.Chance(0.5) {
			for _, id := range s.ids {
				s.down(s.procs[id], true)
			}
		}
	case 4:
		p.freeze(s.w.Between(50, 8_000))
	case 5, 6:
		s.split()
	case 7:
		// One node hears and is not heard, or the other way round.
		for _, id := range s.ids {
			if s.w.Chance(0.5) {
				s.net.Cut(p.id, id)
			} else {
				s.net.Cut(id, p.id)
			}
		}
		s.note("%s is half cut off", p.id)
		s.suspect(p, 1)
		s.w.After(s.w.Between(200, 4_000), s.heal)
	case 8:
		s.heal()
	case 9:
		s.note("%s has a full disk", p.id)
		p.disk.full = true
		s.w.After(s.w.Between(200, 3_000), func() { p.disk.full = false })
	case 10:
		p.disk.bad = uint64(s.w.Between(1, 5))
		s.note("%s cannot read every %d. key", p.id, p.disk.bad)
		s.w.After(s.w.Between(200, 2_000), func() { p.disk.bad = 0 })
	case 11:
		p.fsync = s.w.Between(2, 1_500)
		s.note("%s syncs in up to %d ms", p.id, p.fsync)
	case 12:
		p.skew = s.w.Between(-maxSkew, maxSkew)
	case 13:
		s.suspect(p, 0.5)
		s.w.After(s.w.Between(100, 2_000), s.alive)
	case 14:
		s.wipe(p)
	case 15:
		s.putBack(p)
	}
	s.w.After(s.w.Between(100, 1_500), s.fault)
}

// down ends a process for a while; others learn of it sooner or later.
func (s *sim) down(p *process, power bool) {
	if p.node == nil {
		return
	}
	p.crash(power)
	s.suspect(p, 0.9)
	away := s.w.Between(0, 400)
	if s.w.Chance(0.4) {
		away = s.w.Between(1_000, 9_000)
	}
	s.w.After(away, func() {
		p.start()
		s.w.After(s.w.Between(0, 1_000), s.alive)
	})
}

// suspect makes others believe that a process is down.
func (s *sim) suspect(p *process, chance float64) {
	for _, id := range s.ids {
		if s.w.Chance(chance) {
			s.w.After(s.w.Between(0, 2_000), func() {
				if !s.over {
					s.tell(id, p.id, false)
				}
			})
		}
	}
}

// split cuts the nodes into two groups.
func (s *sim) split() {
	left := slices.Clone(s.ids)
	s.w.Rand.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
	left = left[:s.w.Between(1, nodes/2)]
	s.note("%v are cut off", left)
	for _, a := range s.ids {
		for _, b := range s.ids {
			if slices.Contains(left, a) != slices.Contains(left, b) {
				s.net.Cut(a, b)
				s.w.After(s.w.Between(300, 1_500), func() {
					if !s.net.Open(a, b) {
						s.tell(a, b, false)
					}
				})
			}
		}
	}
	s.w.After(s.w.Between(500, 5_000), s.heal)
}

func (s *sim) heal() {
	s.note("the network heals")
	s.net.Heal()
	s.w.After(s.w.Between(0, 500), s.alive)
}

// wipe gives a process an empty disk.
func (s *sim) wipe(p *process) {
	if !s.lossy || s.wipes > 0 || p.node == nil {
		return
	}
	s.wipes++
	p.crash(true)
	s.note("%s has an empty disk", p.id)
	p.disk = newDisk()
	p.start()
	s.untilLevel(p)
}

// putBack gives a process what its disk held some time ago, while all others are there:
// they must have seen the starts since.
func (s *sim) putBack(p *process) {
	if !s.lossy {
		return
	}
	if s.backup == nil || s.w.Now()-s.backupAt > backupAge {
		s.backup, s.backupOf, s.backupAt = p.disk.clone(), p.id, s.w.Now()
		return
	}
	p = s.procs[s.backupOf]
	for _, id := range s.ids {
		q := s.procs[id]
		if q.node == nil || q.frozen > s.w.Now() || q.disk.full {
			return
		}
		for _, other := range s.ids {
			if id != other && (!s.net.Open(id, other) || !q.node.Up(other)) {
				return
			}
		}
	}
	if s.wipes > 0 || p.node.Stats().Ready < p.node.Stats().Partitions {
		return
	}
	s.wipes++
	s.note("%s gets its disk of %d ms ago", p.id, s.w.Now()-s.backupAt)
	p.crash(true)
	p.disk, s.backup = s.backup, nil
	p.start()
	s.untilLevel(p)
}

// untilLevel waits until a process has made up for its disk.
func (s *sim) untilLevel(p *process) {
	s.w.After(200, func() {
		if p.node != nil && p.node.Stats().Rebuilding == 0 {
			s.note("%s is level again", p.id)
			s.wipes--
			return
		}
		s.untilLevel(p)
	})
}
