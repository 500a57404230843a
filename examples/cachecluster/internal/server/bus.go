package server

import (
	"encoding/json"
	"net"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/failover"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/slots"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// envelope is what one node sends another: BUS cluster {json}. Nothing is answered, and
// nothing relies on its arrival.
type envelope struct {
	Cluster string `json:"-"`
	failover.Message
	Slots   []slots.Range `json:"slots,omitempty"`
	Channel []byte        `json:"channel,omitempty"`
	Payload []byte        `json:"payload,omitempty"`
}

const (
	maxEnvelope = 24 << 20 // a published message of 16 MiB, as JSON has it
	maxRanges   = slots.Count
)

// peer sends to another node, over a connection of its own.
type peer struct {
	cl     *membership
	to     Member
	queue  chan []byte
	queued atomic.Int64 // bytes
}

// What may wait for a node; more is lost, as on a bad network.
const (
	peerQueue = 256
	peerBytes = 32 << 20
)

func newPeer(cl *membership, to Member) *peer {
	return &peer{cl: cl, to: to, queue: make(chan []byte, peerQueue)}
}

// tell sends a message if there is room for it.
func (p *peer) tell(e envelope) {
	b, err := json.Marshal(e)
	if err != nil || len(b) > maxEnvelope {
		return
	}
	var out resp.Buffer
	out.Command([]byte("BUS"), []byte(e.Cluster), b)
	if p.queued.Load()+int64(len(out.B)) > peerBytes {
		return
	}
	select {
	case p.queue <- out.B:
		p.queued.Add(int64(len(out.B)))
	default:
	}
}

// run connects again and again until the node ends.
func (p *peer) run() {
	done := p.cl.n.done
	patience := min(p.cl.cfg.timeout(), time.Second)
	for {
		nc, err := net.DialTimeout("tcp", p.to.Addr, patience)
		if err == nil {
			p.feed(nc, patience)
			nc.Close()
		}
		select {
		case <-done:
			return
		case <-time.After(patience / 10):
		}
	}
}

// feed writes what is queued, as much at once as there is.
func (p *peer) feed(nc net.Conn, patience time.Duration) {
	for {
		var b []byte
		select {
		case <-p.cl.n.done:
			return
		case b = <-p.queue:
			p.queued.Add(-int64(len(b)))
		}
		for more := true; more && len(b) < 64<<10; {
			select {
			case next := <-p.queue:
				p.queued.Add(-int64(len(next)))
				b = append(b, next...)
			default:
				more = false
			}
		}
		nc.SetWriteDeadline(time.Now().Add(patience))
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
}

// bus takes a message of another node. Whatever cannot be of this cluster is ignored and
// ends the connection.
func (cl *membership) bus(c *conn, cluster, payload []byte) {
	var e envelope
	if string(cluster) != cl.cfg.Cluster || len(payload) > maxEnvelope || json.Unmarshal(payload, &e) != nil || len(e.Slots) > maxRanges {
		c.refuse("ERR not a message of this cluster")
		c.end()
		return
	}
	if e.Channel != nil {
		cl.n.publish(e.Channel, e.Payload)
		return
	}
	if e.Slots != nil {
		changed, err := cl.slots.Merge(e.Slots, len(cl.cfg.Shards))
		if err != nil {
			c.refuse("ERR " + err.Error())
			c.end()
			return
		}
		if changed {
			cl.remapped()
		}
	}
	cl.carry(cl.machine.Receive(cl.now(), e.Message))
}

// publish sends a published message to all other nodes.
func (cl *membership) publish(channel, message []byte) {
	for _, p := range cl.peers {
		p.tell(envelope{Cluster: cl.cfg.Cluster, Channel: channel, Payload: message})
	}
}

// remapped follows a change of who owns slots: moves that are over end, and keys in slots
// that another shard has taken over go.
func (cl *membership) remapped() {
	for slot := range cl.moves.From {
		if cl.slots.At(slot).Shard == cl.shard {
			delete(cl.moves.From, slot)
		}
	}
	for slot, to := range cl.moves.To {
		if cl.slots.At(slot).Shard != cl.shard {
			cl.n.note("slots", "slot %d is now shard %d's", slot, to+1)
			delete(cl.moves.To, slot)
		}
	}
	dropped := 0
	if cl.serving {
		for slot := range uint16(slots.Count) {
			if n := cl.n.db.CountSlot(slot); n > 0 && cl.slots.At(slot).Shard != cl.shard {
				if _, importing := cl.moves.From[slot]; !importing {
					dropped += n
					cl.n.dropSlot(slot)
				}
			}
		}
	}
	if dropped > 0 {
		cl.n.note("slots", "dropped %d keys of slots that another shard has taken over", dropped)
	}
	if err := cl.save(false); err != nil {
		cl.n.note("disk", "cannot save: %v", err)
	}
}
