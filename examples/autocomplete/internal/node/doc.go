// Package node is one node of the service: it holds ranges of terms, as the router hands
// them out, and what is searched right now, and answers for them.
//
//	                        ┌ generation 7: range 0, 3, 4 …   trie.Snapshot, mapped files
//	query{generation, …} ─▶ ┤ generation 6: …                 kept, to go back to
//	                        └ hot                             trie.Trending, all ranges
//
// A query names its generation, so that all nodes that answer one keystroke answer from
// the same one: a new generation takes over at the moment when the router names it, and
// never in between. What is hot is not part of a generation. Every node is fed all of it,
// as an hour of searches is small, and counts of it what lies in the ranges asked for.
//
// The score of a term is exact: its count in the generation, and Boost times its faded
// count of now.
package node

import (
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/querylog"
)

// Query asks for the best completions within some ranges.
type Query struct {
	Generation uint64   `json:"generation"`
	Ranges     []int    `json:"ranges"`
	Bounds     []string `json:"bounds"` // that divide the generation's terms into ranges; see trie.Shards
	Prefix     string   `json:"prefix"`
	K          int      `json:"k"`
	Edits      int      `json:"edits,omitempty"`  // of a fuzzy search, which comes into play where there are less than K exact completions
	Hot        bool     `json:"hot,omitempty"`    // only what is searched right now
	Scores     []string `json:"scores,omitempty"` // terms to tell the scores of, wherever they rank
}

// Bounds of a Query.
const (
	MaxK      = 1000
	MaxScores = 1000
)

// Answer is the answer to a Query.
type Answer struct {
	Found  []Found   `json:"found"`
	Scores []float64 `json:"scores,omitempty"` // in the order of Query.Scores; 0: not there
}

// Found is one completion.
type Found struct {
	Term  string  `json:"term"`
	Score float64 `json:"score"`
	Edits uint8   `json:"edits,omitempty"`
}

// Status is what a node says of itself.
type Status struct {
	ID          string           `json:"id"`
	Boot        uint64           `json:"boot"`        // another after each start
	Generations map[uint64][]int `json:"generations"` // the ranges that it holds of each
	Applied     uint64           `json:"applied"`     // number of the last search it was fed
	Hot         int              `json:"hot"`         // terms searched lately
	Terms       int              `json:"terms"`       // of the newest generation
	Bytes       int64            `json:"bytes"`       // of all generations
	Queries     uint64           `json:"queries"`     // answered
	Since       time.Time        `json:"since"`
}

// Feed is searches in the order of the log. A node that has some of them already leaves
// those out.
type Feed struct {
	Records []querylog.Record `json:"records"`
	// UpTo is how far the log is known with this feed, if records were left out of it.
	UpTo uint64 `json:"upTo"`
}
