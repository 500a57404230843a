package core

import "slices"

// A read that asked every owner would be told by the quickest R of them, and would make
// each of them work for it. So it asks R and keeps the others in reserve: for when one of
// the R cannot answer, or does not within Options.Hedge. An owner that made a read wait
// is asked last for a while. One read in Options.Survey asks everybody all the same, and
// so finds stale owners that the comparisons have not come to yet.
//
// The idea of asking again late is that of Dean and Barroso, The Tail at Scale (2013).

// hedge is a read that is looked after.
type hedge struct {
	r   *reading
	due int64
}

// shunned is for how long an owner that was slow is asked last, in milliseconds.
const shunned = 1000

// candidates are the owners that are up, in the order in which reads ask them: this node,
// then those that were quick, in the table's order.
func (n *Node) candidates(part *partition) []string {
	out := make([]string, 0, len(part.owners))
	slow := 0
	for _, id := range part.owners {
		switch {
		case id == n.o.ID:
			out = slices.Insert(out, 0, id)
		case !n.up(id):
		case n.peers[id].shun > n.now.Mono:
			out = append(out, id)
			slow++
		default:
			out = slices.Insert(out, len(out)-slow, id)
		}
	}
	return out
}

// hedge sees to it that a read asks more owners when its time has come.
func (n *Node) hedge(r *reading) {
	if len(r.spare) > 0 {
		n.hedges = append(n.hedges, hedge{r, n.now.Mono + n.o.Hedge})
	}
}

// overdue asks more owners for reads that have waited long enough. All wait as long, so
// the first to come is the first to go.
func (n *Node) overdue() {
	done := 0
	for ; done < len(n.hedges) && n.hedges[done].due <= n.now.Mono; done++ {
		r := n.hedges[done].r
		if r.answered || !n.live(r.op) {
			continue
		}
		for _, id := range r.part.owners {
			if r.asked[id] && id != n.o.ID {
				n.peers[id].shun = n.now.Mono + shunned
			}
		}
		r.widen(len(r.spare))
	}
	n.hedges = slices.Delete(n.hedges, 0, done)
}

// widen asks so many owners more, if there are that many.
func (r *reading) widen(more int) {
	for ; more > 0 && len(r.spare) > 0 && !r.answered; more-- {
		id := r.spare[0]
		r.spare = r.spare[1:]
		if r.n.up(id) {
			r.ask(id, len(r.fetched) == 0)
		}
	}
}
