package page

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
)

func TestFiles(t *testing.T) { dashtest.CheckFiles(t, FS()) }

// The scripts call what JSON brings them by its type's name: state.now, node.rate. So what
// they read can be held against the Go types, in both directions.
func TestScriptsReadWhatThereIs(t *testing.T) {
	have, read := dashtest.Fields(dashtest.Scripts(t, FS()), map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "totals": reflect.TypeFor[Totals](), "node": reflect.TypeFor[Node](),
		"event": reflect.TypeFor[Event](), "run": reflect.TypeFor[Run](), "bar": reflect.TypeFor[Bar](),
	})
	require.Equal(t, have, read)
}

// The names that Go and the page must share and that no type carries.
func TestPageUsesTheActionsNames(t *testing.T) {
	all := dashtest.Files(t, FS())
	scripts := dashtest.Scripts(t, FS())
	for _, name := range []string{ActionKill, ActionStart, ActionMove, ActionRun, NodeServing, NodeDown} {
		require.Contains(t, scripts, `"`+name+`"`)
	}
	for _, state := range []string{NodeServing, NodeWaiting, NodeReplica, NodeSyncing, NodeDown} {
		require.Contains(t, all["index.html"], `id="icon-`+state+`"`)
		require.Contains(t, all["style.css"], `[data-state=`+state+`]`)
	}
}
