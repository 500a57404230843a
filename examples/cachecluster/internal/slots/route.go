package slots

// Verdict is what a node does with a command.
type Verdict int

// The verdicts.
const (
	Serve     Verdict = iota
	Moved             // the client has an old map: another shard owns the slot
	Ask               // the slot moves, and the key is not here any more: the other shard, this once
	TryAgain          // the slot moves, and the keys are partly here
	CrossSlot         // the keys are of several slots
	Down              // nobody serves the slot at the moment
)

// Moves are the slots that a shard gives away or takes, by the other shard.
type Moves struct {
	To   map[uint16]int // migrating
	From map[uint16]int // importing
}

// Question is what Route has to know of a command and of the node that got it.
type Question struct {
	Slot    uint16
	Shard   int  // of the node
	Serving bool // the node may serve what its shard owns
	Asking  bool // the client was sent here by Ask
	Keys    int  // of the command
	Present int  // of Keys that are here; needed only if Moving
}

// Moving tells whether a slot's route depends on which keys are here.
func (v *Moves) Moving(slot uint16) bool {
	if len(v.To) == 0 && len(v.From) == 0 {
		return false
	}
	_, to := v.To[slot]
	_, from := v.From[slot]
	return to || from
}

// Route decides, and names the shard that Moved and Ask point to.
func Route(m *Map, v *Moves, q Question) (Verdict, int) {
	owner := m.At(q.Slot)
	if owner.Version == 0 {
		return Down, -1
	}
	if owner.Shard != q.Shard {
		if _, importing := v.From[q.Slot]; importing && q.Asking {
			switch {
			case !q.Serving:
				return Down, -1
			case q.Keys > 1 && q.Present < q.Keys:
				return TryAgain, -1
			}
			return Serve, -1
		}
		return Moved, owner.Shard
	}
	if !q.Serving {
		return Down, -1
	}
	if to, migrating := v.To[q.Slot]; migrating && q.Present < q.Keys {
		if q.Present == 0 {
			return Ask, to
		}
		return TryAgain, -1
	}
	return Serve, -1
}
