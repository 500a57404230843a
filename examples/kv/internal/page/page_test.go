package page

import (
	"reflect"
	"testing"

	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
	"github.com/stretchr/testify/require"
)

func TestFiles(t *testing.T) { dashtest.CheckFiles(t, FS()) }

// The scripts call what JSON brings them by its type's name: state.now, node.keys. So
// what they read can be held against the Go types, in both directions.
func TestStateHasWhatThePageReads(t *testing.T) {
	types := map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "totals": reflect.TypeFor[Totals](), "node": reflect.TypeFor[Node](),
		"event": reflect.TypeFor[Event](), "partition": reflect.TypeFor[Partition](),
	}
	have, read := dashtest.Fields(dashtest.Scripts(t, FS()), types)
	require.Equal(t, have, read)
}

// The names that Go and the scripts must share and that no type carries.
func TestScriptsUseTheActionsNames(t *testing.T) {
	scripts := dashtest.Scripts(t, FS())
	for _, name := range []string{ActionKill, ActionStart, ActionCut, ActionHeal, ActionPut, ActionGet, ActionResolve, NodeUp, NodeDown, NodeCut} {
		require.Contains(t, scripts, `"`+name+`"`)
	}
	for _, icon := range []string{NodeUp, NodeDown, NodeCut, NodeRebuilding} {
		require.Contains(t, dashtest.Files(t, FS())["index.html"], `id="icon-`+icon+`"`)
		require.Contains(t, dashtest.Files(t, FS())["style.css"], `[data-state=`+icon+`]`)
	}
}
