// Package failover decides who leads each shard of a cluster: which of its nodes takes
// writes, and who takes over when that one is gone.
//
// The nodes of a cluster and the shards that they belong to are fixed. A shard is led by
// one of its nodes since an epoch. A replica that has not heard of its leader for a timeout
// asks the leaders of the other shards for an epoch of its own; with the votes of a majority
// of all shards it leads:
//
//	replica of 2 ──Ask(shard 2, epoch 7)──▶ leaders of 1 and 3
//	             ◀──Grant────────────────── "I have not heard of 2's leader either"
//	             ──Ping(leads: 2 since 7)──▶ everybody
//
// A leader serves only while a majority of shards, its own included, has answered a ping
// that it sent less than a timeout ago: a lease. Whoever grants a vote has not heard a ping
// of the old leader for a timeout, and a majority that grants and a majority that answers
// have a shard in common; so the lease has ended when the new leader begins, and no two
// nodes ever serve a shard at the same time, as long as clocks run at the same speed within
// a tenth.
//
// The hard case is that voters themselves are replaced: a leader that is cut off and does
// not know of its successor must not vote for its shard. Therefore every message tells, for
// each node, the last epoch that it was granted as far as is known (Asked), and nobody
// counts the word of a leader in whose shard a later epoch is open: granted, and not given
// up. Who asks and does not win gives the epoch up and says so (Void); every epoch belongs to
// one node. A leader of whose shard an epoch stays open asks for a later one itself. A new
// leader votes only after a timeout, by when what its predecessor answered is no longer worth
// anything.
//
// A leader that comes back from a crash has lost its newest writes, or all of them. It says
// so (Blank) and leaves the lead to a replica; only if none takes it, it goes on.
//
// Machine is a step function: it is told the time, what arrived and how far the node has
// replicated, and returns what to save and to send. It reads no clock and draws chance from
// a seed. The simulation in this package's tests runs it under faults.
package failover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Lead is who leads a shard, and since which epoch.
type Lead struct {
	Epoch uint64 `json:"e"`
	Node  string `json:"n"`
}

// State is what a node must not forget. It is saved before what depends on it is sent.
type State struct {
	Leads []Lead   `json:"leads"` // by shard
	Asked []uint64 `json:"asked"` // by node, in the order of the shards: the last epoch that it was granted
	Void  []uint64 `json:"void"`  // by node: the last epoch that it gave up
	Mine  uint64   `json:"mine"`  // the last epoch that this node asked for
}

// Kind of a message.
type Kind uint8

// The kinds.
const (
	Ping  Kind = iota + 1 // "I am here"; answered by Pong
	Pong                  // returns the Ping's Sent
	Ask                   // for a vote
	Grant                 // of a vote
)

// Message is what nodes tell each other.
type Message struct {
	Kind   Kind   `json:"k"`
	From   string `json:"f"`
	To     string `json:"-"`
	Sent   int64  `json:"t,omitempty"` // milliseconds on the clock of who sent the Ping
	Shard  int    `json:"s,omitempty"` // of an Ask or Grant
	Epoch  uint64 `json:"e,omitempty"` // of an Ask or Grant
	Offset int64  `json:"o,omitempty"` // how far the sender has replicated
	Blank  bool   `json:"b,omitempty"` // the sender leads but has lost what it knew
	State
}

// Options configure a Machine.
type Options struct {
	Self    string
	Shards  [][]string // the nodes of each; at the very beginning the first one leads
	Timeout int64      // milliseconds of silence after which a leader counts as gone
	Seed    uint64
	// State is that of the last run; nil: there was none. Blank is set if the node led, or may
	// have, and lost data since.
	State *State
	Blank bool
}

// Out is what has to happen: first Save, if set, then Messages are sent.
type Out struct {
	Save     bool
	Messages []Message
	Notes    []string // what a person wants to know
}

// ErrOptions is wrapped by errors about options that cannot be.
var ErrOptions = errors.New("failover: bad options")

// Machine is one node's part. It is not safe for concurrent use.
type Machine struct {
	o     Options
	shard int
	self  int            // place among all nodes
	place map[string]int // of each
	rng   *rand.Rand
	state State

	now      int64
	offset   int64
	heard    map[string]int64 // when each node was last heard of
	blanks   map[string]bool  // which nodes say that they are blank
	offsets  map[string]int64
	acks     map[int]ack // by shard: its leader's newest answer
	blank    int64       // until when this node leaves the lead to others; 0: it does not
	votes    int64       // from when on this node votes
	pinged   int64
	campaign *campaign
	next     int64 // when the next campaign may begin
	out      *Out
	told     *State // what this step's messages tell; nil: to be copied
}

// ack says that a shard's leader of an epoch answered a ping sent then.
type ack struct {
	sent  int64
	epoch uint64
}

type campaign struct {
	epoch  uint64
	grants map[int]uint64 // by shard: the epoch of the leader that granted
	ends   int64
}

// New makes a machine at a time in milliseconds.
func New(o Options, now int64) (*Machine, error) {
	m := &Machine{
		o: o, shard: -1, rng: rand.New(rand.NewPCG(o.Seed, 0xfa11)), now: now, pinged: now - o.Timeout,
		place: map[string]int{}, heard: map[string]int64{}, blanks: map[string]bool{}, offsets: map[string]int64{}, acks: map[int]ack{},
	}
	for s, nodes := range o.Shards {
		if len(nodes) == 0 {
			return nil, fmt.Errorf("%w: shard %d has no node", ErrOptions, s)
		}
		for _, id := range nodes {
			if _, twice := m.heard[id]; twice || id == "" {
				return nil, fmt.Errorf("%w: node %q is there twice, or has no name", ErrOptions, id)
			}
			m.heard[id] = now // nobody is gone before a timeout, however long this node was
			if id == o.Self {
				m.shard, m.self = s, len(m.place)
			}
			m.place[id] = len(m.place)
		}
	}
	if m.shard < 0 || o.Timeout < 10 {
		return nil, fmt.Errorf("%w: node %q, timeout %d ms", ErrOptions, o.Self, o.Timeout)
	}
	m.state = State{Leads: make([]Lead, len(o.Shards)), Asked: make([]uint64, len(m.place)), Void: make([]uint64, len(m.place))}
	for s, nodes := range o.Shards {
		m.state.Leads[s] = Lead{1, nodes[0]}
	}
	if o.State != nil {
		if !m.valid(*o.State) {
			return nil, fmt.Errorf("%w: the saved state is of another cluster", ErrOptions)
		}
		m.learn(*o.State)
		m.state.Mine = o.State.Mine
		m.giveUp()
	}
	if o.Blank && m.Leads() {
		m.blank = now + 4*o.Timeout
	}
	if o.State != nil {
		m.votes = now + o.Timeout
	}
	return m, nil
}

// State is what has to be saved.
func (m *Machine) State() State {
	return State{Leads: slices.Clone(m.state.Leads), Asked: slices.Clone(m.state.Asked), Void: slices.Clone(m.state.Void), Mine: m.state.Mine}
}

// Shard is the node's own.
func (m *Machine) Shard() int { return m.shard }

// Leader is who leads a shard as far as is known, and since which epoch.
func (m *Machine) Leader(shard int) Lead { return m.state.Leads[shard] }

// Leads tells whether this node leads its shard as far as it knows. It serves only if
// Serving says so.
func (m *Machine) Leads() bool { return m.state.Leads[m.shard].Node == m.o.Self }

// Silent tells whether a node was not heard of for a timeout.
func (m *Machine) Silent(id string) bool {
	return id != m.o.Self && m.now-m.heard[id] >= m.o.Timeout
}

// Offset is how far another node said that it has replicated.
func (m *Machine) Offset(id string) int64 { return m.offsets[id] }

// Blank tells whether the node leads but leaves that to a replica.
func (m *Machine) Blank() bool { return m.blank > 0 }

func (m *Machine) majority() int { return len(m.o.Shards)/2 + 1 }

// often is how many milliseconds pass at most between two pings.
const often = 150

// Serving tells whether the node may take writes, and serve reads as a leader.
func (m *Machine) Serving(now int64) bool {
	if !m.Leads() || m.blank > 0 || m.open(m.shard, m.state.Leads[m.shard].Epoch) {
		return false
	}
	if planted(BugNoLease) {
		return true
	}
	lease := m.o.Timeout - m.o.Timeout/10
	answered := 1 // this node
	for s, a := range m.acks {
		if now < a.sent+lease && m.counts(s, a.epoch) {
			answered++
		}
	}
	return answered >= m.majority()
}

// counts tells whether the word of a shard's leader of an epoch is worth anything: not if
// a later leader may have been voted for.
func (m *Machine) counts(shard int, epoch uint64) bool {
	return shard != m.shard && !m.open(shard, epoch)
}

// open tells whether a node of a shard may have won an epoch above one.
func (m *Machine) open(shard int, epoch uint64) bool {
	if m.state.Leads[shard].Epoch > epoch {
		return true
	}
	for _, id := range m.o.Shards[shard] {
		i := m.place[id]
		if a := m.state.Asked[i]; a > epoch && a > m.state.Void[i] {
			return true
		}
	}
	return false
}

// highest is the last epoch that anybody was granted in a shard, or leads since.
func (m *Machine) highest(shard int) uint64 {
	e := m.state.Leads[shard].Epoch
	for _, id := range m.o.Shards[shard] {
		e = max(e, m.state.Asked[m.place[id]])
	}
	return e
}

// giveUp makes it known that this node has not won the epoch that it asked for last.
func (m *Machine) giveUp() {
	if m.state.Mine > m.state.Leads[m.shard].Epoch {
		m.state.Void[m.self], m.told = m.state.Mine, nil
	}
}

// Tick tells the time and how far the node has replicated, below 0 if it has nothing that
// it could lead with. It should come several times a timeout.
func (m *Machine) Tick(now, offset int64) Out {
	out := m.begin(now)
	m.offset = offset
	if now-m.pinged >= min(m.o.Timeout/6, often) {
		m.ping()
	}
	if m.blank > 0 && (!m.Leads() || now >= m.blank) {
		if m.Leads() {
			m.note("nobody took over: %s leads shard %d again", m.o.Self, m.shard)
		}
		m.blank = 0
	}
	if c := m.campaign; c != nil && now >= c.ends {
		m.campaign = nil
		m.giveUp()
		m.out.Save = true
		m.wait()
	}
	m.stand()
	return *out
}

// begin begins a step.
func (m *Machine) begin(now int64) *Out {
	m.now = max(now, m.now)
	m.out, m.told = &Out{}, nil
	return m.out
}

func (m *Machine) note(format string, args ...any) {
	m.out.Notes = append(m.out.Notes, fmt.Sprintf(format, args...))
}

// send adds what every message tells.
func (m *Machine) send(to string, msg Message) {
	msg.From, msg.To, msg.Offset, msg.Blank = m.o.Self, to, m.offset, m.blank > 0
	if m.told == nil {
		s := m.State()
		m.told = &s
	}
	msg.State = *m.told
	m.out.Messages = append(m.out.Messages, msg)
}

func (m *Machine) ping() {
	m.pinged = m.now
	for _, nodes := range m.o.Shards {
		for _, id := range nodes {
			if id != m.o.Self {
				m.send(id, Message{Kind: Ping, Sent: m.now})
			}
		}
	}
}

// wait lets some time pass before the next campaign, so that two do not meet for ever.
func (m *Machine) wait() { m.next = m.now + 1 + m.rng.Int64N(m.o.Timeout) }

// stand begins a campaign if the shard needs a leader and this node could be it.
func (m *Machine) stand() {
	lead := m.state.Leads[m.shard]
	switch {
	case m.campaign != nil || m.blank > 0:
		return
	case m.Leads():
		// Somebody was granted a later epoch, and has neither won it nor given it up.
		if !m.open(m.shard, lead.Epoch) {
			m.next = 0
			return
		}
	case !m.gone(lead.Node) || m.offset < 0:
		m.next = 0
		return
	}
	if m.next == 0 {
		// Who has replicated more stands earlier.
		behind := int64(0)
		for _, id := range m.o.Shards[m.shard] {
			if id != m.o.Self && id != lead.Node && !m.Silent(id) && m.offsets[id] > m.offset {
				behind++
			}
		}
		m.next = m.now + 1 + m.rng.Int64N(m.o.Timeout/4) + behind*m.o.Timeout/2
	}
	if m.now < m.next {
		return
	}
	// The next round of epochs; in each round every node has one of its own.
	all := uint64(len(m.place))
	epoch := (max(m.highest(m.shard), m.state.Mine)/all+1)*all + uint64(m.self)
	m.state.Mine, m.told = epoch, nil
	m.out.Save = true
	m.campaign = &campaign{epoch: epoch, grants: map[int]uint64{}, ends: m.now + m.o.Timeout}
	m.note("%s asks to lead shard %d since epoch %d", m.o.Self, m.shard, epoch)
	for s, l := range m.state.Leads {
		if s != m.shard {
			m.send(l.Node, Message{Kind: Ask, Shard: m.shard, Epoch: epoch})
		}
	}
}

// gone tells whether somebody else should lead instead of a leader.
func (m *Machine) gone(id string) bool { return m.Silent(id) || m.blanks[id] }

// valid tells whether a state can be one of this cluster.
func (m *Machine) valid(s State) bool {
	const most = 1 << 62
	if len(s.Leads) != len(m.o.Shards) || len(s.Asked) != len(m.place) || len(s.Void) != len(m.place) || s.Mine > most {
		return false
	}
	for i, l := range s.Leads {
		if !slices.Contains(m.o.Shards[i], l.Node) || l.Epoch == 0 || l.Epoch > most {
			return false
		}
	}
	for i := range s.Asked {
		if s.Asked[i] > most || s.Void[i] > most {
			return false
		}
	}
	return true
}

// learn takes over what is newer.
func (m *Machine) learn(s State) {
	for i, l := range s.Leads {
		mine := &m.state.Leads[i]
		if l.Epoch > mine.Epoch || planted(BugLastWins) && l.Epoch != mine.Epoch {
			if m.out != nil {
				m.out.Save = true
				if l.Node != mine.Node {
					m.note("%s learns that %s leads shard %d since epoch %d", m.o.Self, l.Node, i, l.Epoch)
				}
			}
			*mine = l
			if i == m.shard {
				m.campaign, m.next = nil, 0
			}
		}
	}
	for i := range s.Asked {
		a, v := max(s.Asked[i], m.state.Asked[i]), max(s.Void[i], m.state.Void[i])
		if m.out != nil && (a != m.state.Asked[i] || v != m.state.Void[i]) {
			m.out.Save = true
		}
		m.state.Asked[i], m.state.Void[i] = a, v
	}
}

// Receive takes a message. One that cannot be from this cluster is ignored.
func (m *Machine) Receive(now int64, msg Message) Out {
	out := m.begin(now)
	if _, known := m.heard[msg.From]; !known || msg.From == m.o.Self || !m.valid(msg.State) || msg.Shard < 0 || msg.Shard >= len(m.o.Shards) {
		return *out
	}
	m.learn(msg.State)
	m.heard[msg.From], m.blanks[msg.From], m.offsets[msg.From] = m.now, msg.Blank, msg.Offset
	switch msg.Kind {
	case Ping:
		m.send(msg.From, Message{Kind: Pong, Sent: msg.Sent})
	case Pong:
		m.answered(msg)
	case Ask:
		m.vote(msg)
	case Grant:
		m.granted(msg)
	}
	return *out
}

// led is the shard that the sender of a message led when it sent it.
func (m *Machine) led(msg Message) (shard int, epoch uint64) {
	for s, l := range msg.Leads {
		if l.Node == msg.From {
			return s, l.Epoch
		}
	}
	return -1, 0
}

// answered extends the lease.
func (m *Machine) answered(msg Message) {
	s, epoch := m.led(msg)
	if s < 0 || msg.Sent > m.now {
		return
	}
	if a := m.acks[s]; epoch > a.epoch || epoch == a.epoch && msg.Sent > a.sent {
		m.acks[s] = ack{msg.Sent, epoch}
	}
}

// vote grants an epoch, or does not.
func (m *Machine) vote(msg Message) {
	s, lead := msg.Shard, m.state.Leads[msg.Shard]
	switch {
	case !m.Leads() || m.shard == s || m.now < m.votes:
		return
	case !slices.Contains(m.o.Shards[s], msg.From) || msg.Epoch > 1<<62:
		return
	case msg.Epoch%uint64(len(m.place)) != uint64(m.place[msg.From]) || msg.Epoch <= lead.Epoch:
		return
	case msg.Epoch < m.highest(s):
		return // a vote for a later epoch may already count
	case msg.Leads[s] != lead:
		return // who asks does not know who leads
	case msg.From != lead.Node && !m.gone(lead.Node) && !planted(BugHastyVote):
		return
	}
	i := m.place[msg.From]
	m.told = nil
	m.state.Asked[i] = max(m.state.Asked[i], msg.Epoch)
	m.out.Save = true
	m.send(msg.From, Message{Kind: Grant, Shard: s, Epoch: msg.Epoch})
}

// granted counts a vote.
func (m *Machine) granted(msg Message) {
	c := m.campaign
	s, epoch := m.led(msg)
	if c == nil || msg.Shard != m.shard || msg.Epoch != c.epoch || s < 0 {
		return
	}
	c.grants[s] = max(c.grants[s], epoch)
	votes := 0
	for s, epoch := range c.grants {
		if m.counts(s, epoch) {
			votes++
		}
	}
	need := m.majority()
	if planted(BugMinority) {
		need--
	}
	if votes < need {
		return
	}
	m.campaign, m.next, m.told = nil, 0, nil
	m.state.Leads[m.shard] = Lead{c.epoch, m.o.Self}
	m.votes = m.now + m.o.Timeout
	clear(m.acks)
	m.out.Save = true
	m.note("%s leads shard %d since epoch %d, with %d votes", m.o.Self, m.shard, c.epoch, votes)
	m.ping()
}
