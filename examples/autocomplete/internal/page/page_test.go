package page

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
)

func TestFiles(t *testing.T) { dashtest.CheckFiles(t, FS()) }

// The scripts call what JSON brings them by its type's name: status.p50, node.terms. So
// what they read can be held against the Go types.
func TestStateHasWhatThePageReads(t *testing.T) {
	types := map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "status": reflect.TypeFor[router.Status](), "node": reflect.TypeFor[router.NodeStatus](),
		"event": reflect.TypeFor[Event](), "suggestion": reflect.TypeFor[router.Suggestion](), "answer": reflect.TypeFor[router.Response](),
	}
	have, read := dashtest.Fields(dashtest.Scripts(t, FS()), types)
	have = append(have, "answer.error") // in place of a router.Response
	require.Subset(t, have, read)
	require.Greater(t, len(read), 40)
}

// The names that Go and the scripts must share and that no type carries.
func TestScriptsUseTheActionsNames(t *testing.T) {
	scripts := dashtest.Scripts(t, FS())
	for _, name := range []string{ActionKill, ActionStart, ActionRebuild, ActionRollback} {
		require.Contains(t, scripts, `"`+name+`"`)
	}
}
