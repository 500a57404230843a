package trie

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// treeWriter writes an arena in one pass over the terms in key order. It keeps open the
// nodes on the way to the last key; a node is written when a key comes that is not
// below it, when its children, which stand before it, are all there:
//
//	keys        new delhi, new york, newt      open: "" ▸ "new" ▸ (newt)
//	then        no                             "new" is closed: its group is written, and
//	                                           it waits, as a child, in the open node "n"
type treeWriter struct {
	arena    []byte
	enc      *encoder
	headMin  int
	heavy    []heavyNode
	last     []byte // the last key
	pending  child  // its leaf, not yet in any group
	some     bool
	open     []openNode
	children []child // of the open nodes, those of deeper ones behind
	codes    []byte  // of the children, in the same order
	scratch  []byte
	terms    int
	root     int
	best     uint64
}

// openNode is a node whose last child may still come. Its children are those from
// children on, and their codes start at codes, up to those of the next open node.
type openNode struct {
	depth    int // length of its path
	children int
	codes    int
}

// child is a finished node that waits for its parent to close.
type child struct {
	best           uint64
	end            int // length of its path
	group          int // position of its children; 0 for a leaf
	count          int // terms below it
	codes, codeEnd int // range of treeWriter.codes
	show           []byte
	first          byte
	label          bool
}

// heavyNode is a node that gets a head: see heads.go.
type heavyNode struct {
	path  []byte
	group int
	best  uint64
	count int
}

func newTreeWriter(t *symbols, headMin int) *treeWriter {
	w := &treeWriter{enc: newEncoder(t), headMin: headMin, arena: make([]byte, firstChild, 1<<12)}
	w.open = append(w.open, openNode{})
	return w
}

// add appends a term; keys must ascend. display is the form to show, nil if it is key.
func (w *treeWriter) add(key []byte, score uint64, display []byte) {
	if w.some {
		w.closeTo(common(w.last, key))
	}
	w.some = true
	if bytes.IndexByte(key, aliasMark) < 0 {
		w.terms++
	}
	w.last = append(w.last[:0], key...)
	w.pending = child{best: score, end: len(key), count: 1, show: bytes.Clone(display)}
}

// closeTo puts the pending leaf where it belongs, closes the open nodes deeper than
// depth and makes sure that there is an open one at depth.
func (w *treeWriter) closeTo(depth int) {
	item := w.pending
	for {
		top := w.open[len(w.open)-1]
		if top.depth <= depth {
			break
		}
		w.attach(item, top.depth)
		item = w.close(top)
		w.open = w.open[:len(w.open)-1]
	}
	if w.open[len(w.open)-1].depth < depth {
		w.open = append(w.open, openNode{depth: depth, children: len(w.children), codes: len(w.codes)})
	}
	w.attach(item, depth)
}

// attach makes item a child of the deepest open node.
func (w *treeWriter) attach(item child, depth int) {
	if label := w.last[depth:item.end]; len(label) > 0 {
		item.label, item.first = true, label[0]
		item.codes = len(w.codes)
		w.codes = w.enc.append(w.codes, label[1:])
		item.codeEnd = len(w.codes)
	}
	w.children = append(w.children, item)
}

// close writes the group of the deepest open node and returns the node as a child.
func (w *treeWriter) close(n openNode) child {
	group := w.children[n.children:]
	slices.SortFunc(group, func(a, b child) int {
		return cmp.Or(cmp.Compare(b.best, a.best), cmp.Compare(order(a.label, a.first), order(b.label, b.first)))
	})
	made := child{best: group[0].best, end: n.depth, group: len(w.arena)}
	prev := made.best
	for i := range group {
		c := &group[i]
		made.count += c.count
		w.write(c, prev, i == len(group)-1)
		prev = c.best
	}
	w.children = w.children[:n.children]
	w.codes = w.codes[:n.codes]
	// Nobody types the mark of an alias.
	if made.count >= w.headMin && bytes.IndexByte(w.last[:n.depth], aliasMark) < 0 {
		w.heavy = append(w.heavy, heavyNode{bytes.Clone(w.last[:n.depth]), made.group, made.best, made.count})
	}
	return made
}

// order is the rank of a record among its siblings: no label, then by first byte.
func order(label bool, first byte) int {
	if !label {
		return 0
	}
	return 1 + int(first)
}

func (w *treeWriter) write(c *child, prev uint64, last bool) {
	pos := len(w.arena)
	codes := w.codes[c.codes:c.codeEnd]
	head, long := byte(0), false
	if c.label {
		if long = len(codes)+1 >= labelLong; long {
			head = labelLong
		} else {
			head = byte(len(codes) + 1)
		}
	}
	if c.group > 0 {
		head |= flagInner
	}
	if last {
		head |= flagLast
	}
	if c.best == prev {
		head |= flagSame
	}
	if c.show != nil {
		head |= flagShow
	}
	w.arena = append(w.arena, head)
	if c.label {
		w.arena = append(w.arena, c.first)
		if long {
			w.arena = binary.AppendUvarint(w.arena, uint64(len(codes)))
		}
	}
	if c.best != prev {
		w.arena = binary.AppendUvarint(w.arena, prev-c.best)
	}
	if c.group > 0 {
		w.arena = binary.AppendUvarint(w.arena, uint64(pos-c.group))
	}
	if c.show != nil {
		w.scratch = w.enc.append(w.scratch[:0], c.show)
		w.arena = binary.AppendUvarint(w.arena, uint64(len(w.scratch)))
		w.arena = append(w.arena, w.scratch...)
	}
	w.arena = append(w.arena, codes...)
}

// finish closes all nodes. An empty trie has no root.
func (w *treeWriter) finish() {
	if !w.some {
		return
	}
	w.closeTo(0)
	root := w.close(w.open[0])
	w.root, w.best = root.group, root.best
}
