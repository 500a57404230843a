package sim

import (
	"slices"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

// What is promised, for values that are all different:
//
//   - exactly once   no value is seen that was not written, none twice in one read, none of
//     a write that was refused.
//   - kept           a value acknowledged by a quorum is in every later quorum read, unless
//     a write that knew of it may have replaced it.
//   - replaced       a value that an acknowledged write replaced is in no later quorum read:
//     nothing comes back.
//   - monotone       what one quorum read saw or missed, a later one does not miss or see.
//   - expiry         a value is gone after its time to live, and not before, but for the
//     error of the wall clocks.
//   - in the end     all owners hold the same, every tree is right, no hint waits, tombstones
//     are gone, and the same holds for writes acknowledged by less than a quorum.

// settled reads every key at all owners, from every node, when all is quiet.
func (s *sim) final() map[string]*op {
	final := map[string]*op{}
	for _, id := range s.ids {
		for _, key := range s.keys {
			o := &op{key: key, kind: core.Get, strict: true, start: s.tickOrder(), at: s.w.Now()}
			answered := false
			s.procs[id].ask(core.Request{Action: core.Get, Key: []byte(key), Read: api.ReadOptions{Level: api.All}, Timeout: 2000}, func(d *core.Done) {
				answered = true
				switch {
				case d == nil:
					s.fail("at rest %s is down", id)
				case d.Err != nil:
					s.fail("at rest a read of %s at %s fails: %v", key, id, d.Err)
				default:
					o.outcome, o.saw = acked, values(d.Read)
				}
				o.end, o.until = s.tickOrder(), s.w.Now()
			})
			s.w.Run(s.w.Now() + 100)
			if !answered {
				s.fail("at rest a read of %s at %s has no answer", key, id)
				continue
			}
			if f := final[key]; f != nil && !slices.Equal(f.saw, o.saw) && key[0] != 't' {
				s.fail("at rest %s reads %v of %s, others %v", id, o.saw, key, f.saw)
			}
			final[key] = o
			s.history[key] = append(s.history[key], o)
		}
	}
	return final
}

func (s *sim) judge() {
	s.judgeRest()
	final := s.final()
	for _, key := range s.keys {
		s.judgeKey(s.history[key])
		s.judgeLoose(s.history[key], final[key])
	}
}

// judgeRest looks into the nodes.
func (s *sim) judgeRest() {
	roots := map[int]any{}
	for _, id := range s.ids {
		p := s.procs[id]
		if p.node == nil {
			s.fail("at rest %s is down", id)
			continue
		}
		st := p.node.Stats()
		for part, sum := range p.node.Roots() {
			if other, ok := roots[part]; ok && other != sum {
				s.fail("at rest the owners of partition %d differ", part)
			}
			roots[part] = sum
			if n, err := p.node.CheckTree(part); n > 0 || err != nil {
				s.fail("%d leaves of partition %d at %s were wrong (%v)", n, part, id, err)
			}
		}
		if st.Hints != 0 || st.HintBytes != 0 {
			s.fail("at rest %s has %d hints of %d B", id, st.Hints, st.HintBytes)
		}
		if st.Tombstones != 0 {
			s.fail("at rest %s has %d tombstones", id, st.Tombstones)
		}
		if st.Rebuilding != 0 || st.Ready != st.Partitions {
			s.fail("at rest %s serves %d of %d partitions", id, st.Ready, st.Partitions)
		}
		if st.Ops > 8 {
			s.fail("at rest %s has %d ops", id, st.Ops)
		}
		s.res.Stats.Add(st)
	}
}

// judgeKey judges what was seen of a key.
func (s *sim) judgeKey(ops []*op) {
	writes := map[string]*op{}
	var changes, reads []*op
	for _, o := range ops {
		if o.kind == core.Get {
			if o.outcome == acked {
				reads = append(reads, o)
			}
			continue
		}
		changes = append(changes, o)
		if o.value != "" {
			writes[o.value] = o
		}
	}
	for _, r := range reads {
		for i, v := range r.saw {
			w := writes[v]
			switch {
			case w == nil || w.start > r.end:
				s.fail("%v: %q was not written before", r, v)
			case w.outcome == refused:
				s.fail("%v: %q was refused (%v)", r, v, w)
			case slices.Contains(r.saw[:i], v):
				s.fail("%v: %q is there twice", r, v)
			case w.ttl > 0 && r.at > w.until+w.ttl+2*maxSkew && w.end > 0:
				s.fail("%v: %q has expired (%v)", r, v, w)
			}
		}
		if !r.strict {
			continue
		}
		for _, w := range changes {
			if !w.strict || w.outcome != acked || w.end > r.start {
				continue
			}
			if w.value != "" && !slices.Contains(r.saw, w.value) && !replaceable(changes, w, r) {
				s.fail("%v: %q is missing (%v)", r, w.value, w)
			}
			for _, v := range r.saw {
				if old := writes[v]; slices.Contains(w.covers, v) || w.all && old != nil && old.strict && old.outcome == acked && old.end < w.start {
					s.fail("%v: %q came back after %v", r, v, w)
				}
			}
		}
		if !r.page {
			s.judgeMonotone(reads, changes, writes, r)
		}
	}
}

// replaceable tells whether a value may be gone by the time of a read.
func replaceable(changes []*op, w, r *op) bool {
	if w.ttl > 0 && r.until > w.at+w.ttl-2*maxSkew {
		return true
	}
	return slices.ContainsFunc(changes, func(c *op) bool {
		if c == w || c.outcome == refused || c.start > r.end {
			return false
		}
		return slices.Contains(c.covers, w.value) || c.all && (c.end == 0 || c.outcome == unknown || c.end > w.start)
	})
}

// judgeMonotone holds a read against the reads before it.
func (s *sim) judgeMonotone(reads, changes []*op, writes map[string]*op, r *op) {
	before := func(a, b *op) bool { return a.strict && !a.page && a.end < b.start }
	for _, b := range reads {
		if !before(b, r) {
			continue
		}
		for _, v := range b.saw {
			if w := writes[v]; w != nil && !slices.Contains(r.saw, v) && !replaceable(changes, w, r) {
				s.fail("%v: %q is missing, which %v saw", r, v, b)
			}
		}
		for _, a := range reads {
			if !before(a, b) {
				continue
			}
			for _, v := range r.saw {
				if slices.Contains(a.saw, v) && !slices.Contains(b.saw, v) && writes[v].ttl == 0 {
					s.fail("%v: %q came back, which %v saw and %v did not", r, v, a, b)
				}
			}
		}
	}
}

// judgeLoose holds the end against all that was acknowledged, by whomever.
func (s *sim) judgeLoose(ops []*op, final *op) {
	if final == nil || final.outcome != acked {
		return
	}
	changes := slices.DeleteFunc(slices.Clone(ops), func(o *op) bool { return o.kind == core.Get })
	for _, w := range changes {
		if w.outcome != acked {
			continue
		}
		if w.value != "" && !slices.Contains(final.saw, w.value) && !replaceable(changes, w, final) {
			s.fail("in the end %q is missing (%v)", w.value, w)
		}
		for _, v := range final.saw {
			if slices.Contains(w.covers, v) {
				s.fail("in the end %q came back after %v", v, w)
			}
		}
	}
}
