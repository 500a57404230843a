package merkle

import "errors"

// Errors of this package; compare with [errors.Is].
var (
	// ErrGeometry says that two trees, or the two sides of an exchange, were made with
	// different [SyncOptions]: their sums cannot be compared.
	ErrGeometry = errors.New("merkle: trees of different geometry or seed")

	// ErrFrame says that a frame is damaged, out of turn, or not what this side can accept.
	// The exchange is over; nothing it reported is wrong, but it may be incomplete.
	ErrFrame = errors.New("merkle: bad frame")

	// ErrVersion says that the peer speaks a version of the protocol that this side does not know.
	ErrVersion = errors.New("merkle: unknown protocol version")

	// ErrSession says that a session was used against its order: it lacks a view or a source,
	// it was started twice, or it had already failed.
	ErrSession = errors.New("merkle: session misused")

	// ErrRange says that an index or a size lies beyond the tree.
	ErrRange = errors.New("merkle: index beyond the tree")

	// ErrProof says that a proof does not lead to the root.
	ErrProof = errors.New("merkle: proof does not verify")
)
