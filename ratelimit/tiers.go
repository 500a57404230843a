package ratelimit

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxLimits bounds the limits of one key.
const maxLimits = 8

// tier is a list of limits that all have to admit. Immutable.
type tier struct {
	name   string
	rules  []*rule
	limits []Limit
}

func newTier(name string, limits []Limit, alg Algorithm, origin int64) (*tier, error) {
	if len(limits) == 0 || len(limits) > maxLimits {
		return nil, fmt.Errorf("%w: %d limits in tier %q; want 1 to %d", ErrOptions, len(limits), name, maxLimits)
	}
	t := &tier{name: name, limits: slices.Clone(limits)}
	for _, l := range limits {
		r, err := newRule(l, alg, origin)
		if err != nil {
			return nil, fmt.Errorf("tier %q: %w", name, err)
		}
		t.rules = append(t.rules, r)
	}
	return t, nil
}

// before finds the rule whose state the i-th rule of t carries on: of the same name, or at
// the same place if it has none. -1 if there is none.
func (t *tier) before(o *tier, i int) int {
	name := t.rules[i].limit.Name
	if name == "" && i < len(o.rules) {
		return i
	}
	return slices.IndexFunc(o.rules, func(r *rule) bool { return r.limit.Name == name })
}

// ruleset is all tiers at one moment. Immutable; shards change to a new one one after the
// other, each under its lock.
type ruleset struct {
	tiers  []*tier // by number; nil where one was dropped; 0 is the default
	byName map[string]uint16
	stride int // states a key needs beside its entry's: 0 if one fits the entry
	logs   bool
}

// maxTiers bounds the tiers of a Keyed, and with them the keys that have limits of their own.
const maxTiers = 1 << 16

// with is the ruleset where number i is t; i == len(tiers) adds one.
func (s *ruleset) with(i int, t *tier, alg Algorithm) (*ruleset, error) {
	if i >= maxTiers {
		return nil, fmt.Errorf("%w: more than %d tiers", ErrFull, maxTiers)
	}
	n := &ruleset{tiers: slices.Clone(s.tiers), byName: s.byName, stride: s.stride, logs: alg == SlidingLog}
	if i == len(n.tiers) {
		n.tiers = append(n.tiers, nil)
	}
	old := n.tiers[i]
	n.tiers[i] = t
	if named := t != nil && t.name != "" || old != nil && old.name != ""; named {
		n.byName = maps.Clone(s.byName)
		if n.byName == nil {
			n.byName = map[string]uint16{}
		}
		if old != nil {
			delete(n.byName, old.name)
		}
		if t != nil {
			n.byName[t.name] = uint16(i)
		}
	}
	if t != nil && (len(t.rules) > 1 || alg == SlidingCounter || alg == SlidingLog) {
		n.stride = max(n.stride, len(t.rules)) // it never shrinks: the states' places stay
	}
	return n, nil
}

// spare is the number of a tier that is free.
func (s *ruleset) spare() int {
	if i := slices.Index(s.tiers, nil); i >= 0 {
		return i
	}
	return len(s.tiers)
}

// Change is an entry of the audit: somebody changed a tier, or tried to.
type Change struct {
	At   time.Time
	Tier string // "" is the default
	Key  string // not empty: the limits of this key alone, as fmt prints it
	// Before and After are the limits; nil: there was or is none. They are shared: do not
	// change them.
	Before, After []Limit
	Err           error // why nothing was changed; nil if it was
}

// String is a line for a log.
func (c Change) String() string {
	who := fmt.Sprintf("tier %q", c.Tier)
	if c.Key != "" {
		who = "key " + c.Key
	}
	if c.Err != nil {
		return fmt.Sprintf("%s: refused: %v", who, c.Err)
	}
	return fmt.Sprintf("%s: %v → %v", who, c.Before, c.After)
}

// maxAudit is how many changes are remembered.
const maxAudit = 256

// SetTier makes or changes a tier; "" is the default. Keys of the tier keep what they have
// in use. Limits carry on by their name, those without one by their place. It takes
// time in proportion to all keys, but holds back no Take for longer than a small part of
// the table takes. ErrLimit or ErrOptions if the limits are bad: then the old ones stay, and
// the audit shows the error.
func (k *Keyed[K]) SetTier(name string, limits ...Limit) error {
	return k.change(Change{Tier: name}, func(c *Change) error {
		set, i := k.rules.Load(), 0
		if n, known := set.byName[name]; known {
			i = int(n)
		} else if name != "" {
			i = set.spare()
		}
		if i < len(set.tiers) && set.tiers[i] != nil {
			c.Before = set.tiers[i].limits
		}
		t, err := newTier(name, limits, k.alg, k.origin)
		if err != nil {
			return err
		}
		c.After = t.limits
		return k.install(i, t)
	})
}

// DropTier removes a tier; its keys fall back to the default. The default itself and unknown
// tiers cannot be dropped: ErrOptions.
func (k *Keyed[K]) DropTier(name string) error {
	return k.change(Change{Tier: name}, func(c *Change) error {
		set := k.rules.Load()
		i, ok := set.byName[name]
		if !ok || name == "" {
			return fmt.Errorf("%w: no tier %q to drop", ErrOptions, name)
		}
		c.Before = set.tiers[i].limits
		k.mu.Lock()
		maps.DeleteFunc(k.own, func(_ K, n uint16) bool { return n == i })
		k.owned.Store(int64(len(k.own)))
		k.mu.Unlock()
		return k.install(int(i), nil)
	})
}

// Assign puts key into a tier until it is assigned another one; "" is the default again.
// What the key has in use stays in use. ErrOptions if there is no such tier.
func (k *Keyed[K]) Assign(key K, name string) error {
	k.admin.Lock()
	defer k.admin.Unlock()
	i, ok := k.rules.Load().byName[name]
	if !ok && name != "" {
		return fmt.Errorf("%w: no tier %q", ErrOptions, name)
	}
	k.assign(key, i)
	return nil
}

// SetLimits gives key limits of its own; none takes them away again. At most some 65,000
// keys can have some (ErrFull). It is audited like SetTier.
func (k *Keyed[K]) SetLimits(key K, limits ...Limit) error {
	return k.change(Change{Key: fmt.Sprint(key)}, func(c *Change) error {
		set := k.rules.Load()
		i := set.spare()
		if n, ok := k.ownTier(key); ok && set.tiers[n].name == "" {
			i, c.Before = int(n), set.tiers[n].limits
		}
		if len(limits) == 0 {
			if c.Before == nil {
				return nil
			}
			k.assign(key, 0)
			return k.install(i, nil)
		}
		t, err := newTier("", limits, k.alg, k.origin)
		if err != nil {
			return err
		}
		c.After = t.limits
		if err = k.install(i, t); err == nil {
			k.assign(key, uint16(i))
		}
		return err
	})
}

// Tiers are the names of all tiers, sorted, and their limits. The default is "".
func (k *Keyed[K]) Tiers() map[string][]Limit {
	set := k.rules.Load()
	out := map[string][]Limit{"": set.tiers[0].limits}
	for name, i := range set.byName {
		out[name] = set.tiers[i].limits
	}
	return out
}

// Limits are those in force for key. The slice is shared: do not change it.
func (k *Keyed[K]) Limits(key K) []Limit {
	set := k.rules.Load()
	if i, ok := k.ownTier(key); ok && int(i) < len(set.tiers) && set.tiers[i] != nil {
		return set.tiers[i].limits
	}
	return set.tiers[0].limits
}

// Audit is the changes of the rules, oldest first: the last 256.
func (k *Keyed[K]) Audit() []Change {
	k.admin.Lock()
	defer k.admin.Unlock()
	return slices.Clone(k.changes)
}

// change makes a change of the rules, notes it, and tells the hook when no lock is held.
func (k *Keyed[K]) change(c Change, do func(*Change) error) error {
	k.admin.Lock()
	if c.Err = do(&c); c.Err != nil {
		c.After = nil
	}
	c.At = k.wall()
	if len(k.changes) == maxAudit {
		k.changes = slices.Delete(k.changes, 0, 1)
	}
	k.changes = append(k.changes, c)
	k.admin.Unlock()
	if k.onChange != nil {
		k.onChange(c)
	}
	return c.Err
}

// install makes t the tier of number i, everywhere.
func (k *Keyed[K]) install(i int, t *tier) error {
	old := k.rules.Load()
	set, err := old.with(i, t, k.alg)
	if err != nil {
		return err
	}
	k.rules.Store(set)
	used := i < len(old.tiers) && old.tiers[i] != nil
	for j := range k.shards {
		k.shards[j].adopt(set, k.now(), used)
	}
	return nil
}

func (k *Keyed[K]) ownTier(key K) (uint16, bool) {
	if k.owned.Load() == 0 {
		return 0, false
	}
	k.mu.RLock()
	i, ok := k.own[key]
	k.mu.RUnlock()
	return i, ok
}

// assign puts key under tier i, now and whenever it comes again.
func (k *Keyed[K]) assign(key K, i uint16) {
	k.mu.Lock()
	if i == 0 {
		delete(k.own, key)
	} else {
		k.own[key] = i
	}
	k.owned.Store(int64(len(k.own)))
	k.mu.Unlock()
	h, s := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := k.now()
	if at, ok := s.find(h, key, now); ok {
		s.retier(at, i, now)
	}
}
