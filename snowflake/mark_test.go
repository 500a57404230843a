package snowflake

import (
	"context"
	"sync"
	"time"
)

// memMark is a mark in memory, with faults.
type memMark struct {
	mu     sync.Mutex
	t      time.Time
	stores int
	fail   error                                        // what Store and Load return
	hook   func(ctx context.Context, t time.Time) error // called by Store first
}

func (m *memMark) Load(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.t, m.fail
}

func (m *memMark) Store(ctx context.Context, t time.Time) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, t); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.t = t
	m.stores++
	return nil
}

func (m *memMark) set(fail error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// memLease is a lease of a node that is never lost.
type memLease struct {
	memMark
	node     uint64
	released bool
}

func (l *memLease) Node() uint64 { return l.node }

func (l *memLease) Release(context.Context) error {
	l.released = true
	return nil
}
