package page

import (
	"reflect"
	"strings"
	"testing"

	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
	"github.com/stretchr/testify/require"
)

func TestFiles(t *testing.T) { dashtest.CheckFiles(t, FS()) }

// TestStateHasWhatThePageReads: the scripts call what JSON brings them by its type's name
// (state.now, backend.rate), so that what they read can be held against the Go types, in
// both directions.
func TestStateHasWhatThePageReads(t *testing.T) {
	types := map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "totals": reflect.TypeFor[Totals](), "gateway": reflect.TypeFor[Gateway](), "pool": reflect.TypeFor[Pool](),
		"backend": reflect.TypeFor[Backend](), "route": reflect.TypeFor[Route](), "client": reflect.TypeFor[Client](), "audit": reflect.TypeFor[Audit](),
		"event": reflect.TypeFor[Event](), "choice": reflect.TypeFor[Choice](),
	}
	have, read := dashtest.Fields(strings.ReplaceAll(dashtest.Scripts(t, FS()), "state.totals.", "totals."), types)
	require.Equal(t, have, read)
}

// TestScriptsUseTheActionsNames: the names that Go and the scripts share and no type carries.
func TestScriptsUseTheActionsNames(t *testing.T) {
	text := dashtest.Scripts(t, FS())
	for _, name := range []string{ActionKill, ActionStart, ActionSlow, ActionFast, ActionDrain, ActionAdmit, ActionPolicy, ActionRedis, ActionSend} {
		require.Contains(t, text, `"`+name+`"`)
	}
	for _, name := range []string{ArgBackend, ArgPool, ArgPolicy, ArgTo, ArgPath, ArgKey, ArgFrom, ArgCount, ArgRequest} {
		require.Regexp(t, `\b`+name+`(:|,? })`, text, name)
	}
	for _, state := range []string{BackendUp, BackendDown, BackendEjected, BackendDrained} {
		require.Contains(t, dashtest.Files(t, FS())["index.html"], `id="icon-`+state+`"`)
		require.Contains(t, dashtest.Files(t, FS())["style.css"], `[data-state=`+state+`]`)
	}
}
