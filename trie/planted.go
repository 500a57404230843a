package trie

// bug names a mistake that completes wrongly, and only sometimes. A build with the tag
// plantedbugs can make each; the tests against the model must notice.
type bug int

const (
	noBug             bug = iota
	bugBestStops          // raise the best of the node of an update, and not that of those above
	bugNoTombstone        // leave a deleted term in the layers below
	bugFilterMisses       // leave a key out of the filter of those that hide others
	bugTies               // let the search decide among terms of equal score
	bugFrontierShort      // keep fewer entries than there are results wanted
	bugHeadIsAll          // take the answers of a head for all that there are
	bugHeadUnderDelta     // ask the base for as many as are wanted, whatever is hidden of them
	bugFrozenShows        // show of the frozen delta what the active one has changed
	bugMergeForgets       // lose what was changed while a merge ran
	bugMergeRevives       // bring back in a merge what was deleted
	bugSureTooSoon        // take a prefix that matches within the edits for one that needs them
	bugNoSwap             // count two neighbours in the wrong order as two edits
	bugLateLog            // write an update to the log with the next one
	bugReplayRevives      // pass over the deletes of a log
	bugEnd
)
