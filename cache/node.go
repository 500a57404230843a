package cache

import (
	"reflect"
	"sync/atomic"
	"unsafe"
)

// node is one entry. It is allocated once, found through the table without a lock, and
// never reused: who holds a pointer to it may read it for ever, and the collector frees it
// when nobody does. A node of a string and a word takes 32 bytes.
//
// key never changes. meta is changed by compare-and-swap alone (see expiry.go for its
// bits). pos, the entry's place in the queues, belongs to who holds Cache.mu.
//
// The value follows the header in one of two layouts, both changed in place by an atomic
// store under the stripe's lock:
//
//	wordNode   values of at most eight bytes without pointers: the bits themselves
//	ptrNode    pointer-shaped values: the pointer; all others: a pointer to an immutable copy
//
// A cache that weighs, or expires idle entries, or records ages uses the rich forms.
type node[K comparable] struct {
	head
	key K
}

// head is what policies see of an entry.
type head struct {
	meta atomic.Uint32
	pos  uint32
}

type wordNode[K comparable] struct {
	node[K]
	val atomic.Uint64
}

type ptrNode[K comparable] struct {
	node[K]
	val unsafe.Pointer
}

// extra is what only some caches need to know of an entry.
type extra struct {
	touched atomic.Int64 // last use, in nanoseconds of the cache's clock
	born    int64        // under Cache.mu
	weight  int64        // under Cache.mu
}

type richWord[K comparable] struct {
	wordNode[K]
	x extra
}

type richPtr[K comparable] struct {
	ptrNode[K]
	x extra
}

// valueKind says how values of a type are stored.
type valueKind uint8

const (
	kindBoxed valueKind = iota
	kindWord
	kindPointer
)

func kindOf(t reflect.Type) valueKind {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return kindPointer
	}
	if t.Size() <= 8 && pointerFree(t) {
		return kindWord
	}
	return kindBoxed
}

func pointerFree(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() == 0 || pointerFree(t.Elem())
	case reflect.Struct:
		for f := range t.NumField() {
			if !pointerFree(t.Field(f).Type) {
				return false
			}
		}
		return true
	case reflect.String, reflect.Slice, reflect.Interface, reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	}
	return true
}

// codec moves values in and out of nodes.
type codec[K comparable, V any] struct {
	kind valueKind
	rich bool
}

// raw is a value as it lies in a node: one of the two.
type raw struct {
	word uint64
	ptr  unsafe.Pointer
}

// newNode makes a node that is in no queue yet. Nobody else sees it, so plain stores do; an
// atomic one costs as much as a third of the allocation.
func (c *codec[K, V]) newNode(k K, v raw, meta uint32) (n *node[K]) {
	switch {
	case c.kind == kindWord && !c.rich:
		w := new(wordNode[K])
		*(*uint64)(unsafe.Pointer(&w.val)) = v.word
		n = &w.node
	case c.kind == kindWord:
		w := new(richWord[K])
		*(*uint64)(unsafe.Pointer(&w.val)) = v.word
		n = &w.node
	case !c.rich:
		n = &(&ptrNode[K]{val: v.ptr}).node
	default:
		n = &(&richPtr[K]{ptrNode: ptrNode[K]{val: v.ptr}}).node
	}
	*(*uint32)(unsafe.Pointer(&n.meta)) = meta
	n.key, n.pos = k, pinned
	return n
}

// pack prepares v for storing; a boxed value is copied to the heap here.
func (c *codec[K, V]) pack(v V) (r raw) {
	switch c.kind {
	case kindWord:
		*(*V)(unsafe.Pointer(&r.word)) = v
	case kindPointer:
		r.ptr = *(*unsafe.Pointer)(unsafe.Pointer(&v))
	default:
		box := new(V)
		*box = v
		r.ptr = unsafe.Pointer(box)
	}
	return r
}

func (c *codec[K, V]) unpack(r raw) V {
	switch c.kind {
	case kindWord:
		return *(*V)(unsafe.Pointer(&r.word))
	case kindPointer:
		return *(*V)(unsafe.Pointer(&r.ptr))
	}
	return *(*V)(r.ptr)
}

// load reads the value of n: one atomic load, and for boxed values the copy behind it.
func (c *codec[K, V]) load(n *node[K]) V {
	if c.kind == kindWord {
		w := (*wordNode[K])(unsafe.Pointer(n)).val.Load()
		return *(*V)(unsafe.Pointer(&w))
	}
	p := atomic.LoadPointer(&(*ptrNode[K])(unsafe.Pointer(n)).val)
	if c.kind == kindPointer {
		return *(*V)(unsafe.Pointer(&p))
	}
	return *(*V)(p)
}

func (c *codec[K, V]) loadRaw(n *node[K]) (r raw) {
	if c.kind == kindWord {
		r.word = (*wordNode[K])(unsafe.Pointer(n)).val.Load()
	} else {
		r.ptr = atomic.LoadPointer(&(*ptrNode[K])(unsafe.Pointer(n)).val)
	}
	return r
}

func (c *codec[K, V]) store(n *node[K], r raw) {
	if c.kind == kindWord {
		(*wordNode[K])(unsafe.Pointer(n)).val.Store(r.word)
	} else {
		atomic.StorePointer(&(*ptrNode[K])(unsafe.Pointer(n)).val, r.ptr)
	}
}

// extra is nil unless the cache has rich nodes.
func (c *codec[K, V]) extra(n *node[K]) *extra {
	switch {
	case !c.rich:
		return nil
	case c.kind == kindWord:
		return &(*richWord[K])(unsafe.Pointer(n)).x
	}
	return &(*richPtr[K])(unsafe.Pointer(n)).x
}

// nodeOf is the node that begins with h.
func nodeOf[K comparable](h *head) *node[K] { return (*node[K])(unsafe.Pointer(h)) }
