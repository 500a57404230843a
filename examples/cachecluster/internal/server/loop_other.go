//go:build !linux

package server

// newLoop is the event loop of machines that have none: nil.
func newLoop(*Node) (acceptor, error) { return nil, nil }
