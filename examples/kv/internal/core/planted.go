package core

// Bug names a mistake that has cost stores like this one their users' data. A build with
// the tag plantedbugs can make each; the simulation must notice.
type Bug int

// The bugs.
const (
	NoBug              Bug = iota
	BugKeepActor           // go on under the old actor with a counter that starts again
	BugErrorIsNotFound     // take a read that failed for a key that is not there
	BugReapByAge           // forget tombstones by age, whatever the others hold
	BugForgetHints         // drop hints at a restart
	BugHintIsOwner         // count a stand-in as an owner
	BugOverwrite           // repair by overwriting instead of merging
	BugEarlyAck            // acknowledge before the write is durable
	BugTwice               // coordinate a doubled forward again
	BugTreeSkips           // leave merges out of the comparison tree
	BugLastWriteWins       // keep the sibling with the latest wall clock only
	BugPruneContext        // forget a causal context's oldest entry
	BugLazyRepair          // answer reads before stale replicas are level
	BugOldMessages         // take messages of any age
	BugServeWiped          // vote in reads with an empty disk before it is rebuilt
	bugEnd
)

var bugs = [bugEnd]string{
	"none", "keep actor", "error is not found", "reap by age", "forget hints", "hint is owner", "overwrite", "early ack",
	"twice", "tree skips", "last write wins", "prune context", "lazy repair", "old messages", "serve wiped",
}

func (b Bug) String() string { return bugs[b] }

// Bugs are all that can be planted.
func Bugs() []Bug {
	var all []Bug
	for b := NoBug + 1; b < bugEnd; b++ {
		all = append(all, b)
	}
	return all
}
