package failover

// Bug names a mistake that has cost clusters like this one their agreement. A build with
// the tag plantedbugs can make each; the simulation must notice.
type Bug int

// The bugs.
const (
	NoBug        Bug = iota
	BugNoLease       // serve without the answers of a majority
	BugHastyVote     // vote against a leader that one hears
	BugMinority      // win with a vote too few
	BugLastWins      // believe the last message, not the highest epoch
	bugEnd
)

var bugs = [bugEnd]string{
	"none", "no lease", "hasty vote", "minority", "last wins",
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
