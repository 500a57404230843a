package page

import (
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// files are the page's files by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, fs.WalkDir(FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(FS(), name)
		out[name] = string(b)
		return err
	}))
	return out
}

// scripts are all that run in the page.
func scripts(t *testing.T) string {
	var b strings.Builder
	for name, text := range files(t) {
		if path.Ext(name) == ".js" {
			b.WriteString(text)
		}
	}
	return b.String()
}

// TestFilesNameEachOther: every file that another names is embedded, and none lies there
// that nobody names.
func TestFilesNameEachOther(t *testing.T) {
	all := files(t)
	names := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?:src|href)="([^"#]+)"`),
		".js":   regexp.MustCompile(`from "([^"]+)"`),
	}
	named := map[string]bool{"index.html": true}
	for file, text := range all {
		if re := names[path.Ext(file)]; re != nil {
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				named[path.Clean(m[1])] = true
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(all)), slices.Collect(maps.Keys(named)))
}

// TestNothingForeignOrInline: the page works offline, and under a policy that lets nothing
// inline run.
func TestNothingForeignOrInline(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)(https?|wss?)://|["'(]//`)
	inline := regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=|javascript:|<script[^>]*>[^<]|<style`)
	for file, text := range files(t) {
		// The name of SVG's namespace looks like an address; nobody fetches it.
		text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
		require.Empty(t, foreign.FindString(text), file)
		if path.Ext(file) == ".html" {
			require.Empty(t, inline.FindString(text), file)
		}
	}
}

// TestStateHasWhatThePageReads: the scripts call what JSON brings them by its type's name
// (state.now, backend.rate), so that what they read can be held against the Go types, in
// both directions.
func TestStateHasWhatThePageReads(t *testing.T) {
	types := map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "totals": reflect.TypeFor[Totals](), "gateway": reflect.TypeFor[Gateway](), "pool": reflect.TypeFor[Pool](),
		"backend": reflect.TypeFor[Backend](), "route": reflect.TypeFor[Route](), "client": reflect.TypeFor[Client](), "audit": reflect.TypeFor[Audit](),
		"event": reflect.TypeFor[Event](), "choice": reflect.TypeFor[Choice](),
	}
	have := map[string]bool{}
	for name, typ := range types {
		for f := range typ.Fields() {
			have[name+"."+f.Tag.Get("json")] = true
		}
	}
	read := map[string]bool{}
	reads := regexp.MustCompile(`(?:^|[^.\w])((?:` + strings.Join(slices.Collect(maps.Keys(types)), "|") + `)\.\w+)`)
	text := strings.ReplaceAll(scripts(t), "state.totals.", "totals.")
	for _, m := range reads.FindAllStringSubmatch(text, -1) {
		read[m[1]] = true
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(have)), slices.Collect(maps.Keys(read)))
}

// TestScriptsUseTheActionsNames: the names that Go and the scripts share and no type carries.
func TestScriptsUseTheActionsNames(t *testing.T) {
	text := scripts(t)
	for _, name := range []string{ActionKill, ActionStart, ActionSlow, ActionFast, ActionDrain, ActionAdmit, ActionPolicy, ActionRedis, ActionSend} {
		require.Contains(t, text, `"`+name+`"`)
	}
	for _, name := range []string{ArgBackend, ArgPool, ArgPolicy, ArgTo, ArgPath, ArgKey, ArgFrom, ArgCount, ArgRequest} {
		require.Regexp(t, `\b`+name+`(:|,? })`, text, name)
	}
	for _, state := range []string{BackendUp, BackendDown, BackendEjected, BackendDrained} {
		require.Contains(t, files(t)["index.html"], `id="icon-`+state+`"`)
		require.Contains(t, files(t)["style.css"], `[data-state=`+state+`]`)
	}
}
