// Package apitest has a service for tests of protocols: its ids count up, or it fails.
package apitest

import (
	"sync"

	"github.com/ashlar-go/ashlar/snowflake"
)

// Fake is an api.Service. The zero Fake is ready for use.
type Fake struct {
	mu    sync.Mutex
	next  snowflake.ID // guarded by mu
	err   error        // guarded by mu
	calls int          // guarded by mu
}

// First is the first id of a Fake: 18 digits, made in May 2026.
const First = snowflake.ID(710_000_000_000_000_000)

// Fill implements api.Service.
func (f *Fake) Fill(dst []snowflake.ID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return f.err
	}
	f.next = max(f.next, First)
	for i := range dst {
		dst[i] = f.next
		f.next++
	}
	return nil
}

// Fail makes Fill fail, or no longer.
func (f *Fake) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// Calls is how often Fill was called.
func (f *Fake) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// Layout implements api.Service.
func (f *Fake) Layout() snowflake.Layout { return snowflake.Classic }

// Status implements api.Service.
func (f *Fake) Status() any { return map[string]string{"id": "fake"} }
