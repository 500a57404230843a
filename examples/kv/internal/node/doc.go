// Package node runs a node of the store: it gives the machine of package core a disk
// (lsm), peers (transport), a failure detector (cluster), a clock, and clients.
//
//	HTTP, Redis ──▶ Get, Put … ──▶ mailbox ──▶ loop ──▶ core.Step ──▶ transport ──▶ peers
//	peers ──▶ transport.Receive ──▶   │          │
//	memberlist ──▶ OnChange ─────────▶┘          ├──▶ lsm.Apply, not durable yet
//	ticker ──────────────────────────▶           └──▶ syncer ──▶ lsm.Sync ──▶ Durable ──▶ mailbox
//
// One goroutine, the loop, owns the machine. All that it does is memory, except for reads
// of the disk; it never waits for a peer or for a sync. Everything that came while a sync
// ran shares the next one: that is the group commit.
package node
