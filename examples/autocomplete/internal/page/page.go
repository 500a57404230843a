// Package page is the service's page: a search box as people know it, and below it what
// the service is doing.
//
// It is a folder of static files without a build step, loads nothing from elsewhere and
// runs under the content security policy that examples/internal/dash sets. The search box
// asks /api/v1/suggestions on the same server; all else is drawn from the newest State.
package page

import (
	"embed"
	"io/fs"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

//go:embed static
var static embed.FS

// FS holds index.html and all that it loads, for dash.Options.Page.
func FS() fs.FS { return dash.Folder(static, "static") }

// The actions that the page posts, and the arguments of each. An error that one returns
// is shown beside the button.
const (
	ActionKill     = "kill"     // ArgNode: stop it as a crash would
	ActionStart    = "start"    // ArgNode: start it on what its disk holds
	ActionRebuild  = "rebuild"  // make the next generation now
	ActionRollback = "rollback" // return to the generation before
)

// ArgNode is the argument of actions on a node.
const ArgNode = "node"

// State is what the page shows at one moment, beside the search box.
type State struct {
	Now      time.Time           `json:"now"`
	Status   router.Status       `json:"status"`
	Trending []router.Suggestion `json:"trending"` // what is searched most right now
	Events   []Event             `json:"events"`   // newest last, at most dash.MaxEvents
}

// Event is something that happened.
type Event struct {
	At   time.Time `json:"at"`
	Node string    `json:"node"` // empty: the service
	Kind string    `json:"kind"` // a word
	Text string    `json:"text"` // a short sentence
}
