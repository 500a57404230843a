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

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
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

// Every file that another names is embedded, and no file lies there that none names.
func TestFilesNameEachOther(t *testing.T) {
	all := files(t)
	names := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?:src|href)="([^"#]+)"`),
		".js":   regexp.MustCompile(`from "([^"]+)"`),
		".css":  regexp.MustCompile(`(?:url\(|@import )["']?([^"')]+)`),
	}
	named := map[string]bool{"index.html": true}
	for file, text := range all {
		re := names[path.Ext(file)]
		if re == nil {
			continue
		}
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			require.Contains(t, all, path.Clean(m[1]), "%s names it", file)
			named[path.Clean(m[1])] = true
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(all)), slices.Collect(maps.Keys(named)))
}

// The page works offline, under a policy that lets nothing inline run, and never makes
// markup of what people search for.
func TestNothingForeignOrInline(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)(https?|wss?)://|["'(]//`)
	inline := regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=|javascript:|<script[^>]*>[^<]|<style`)
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(`)
	for file, text := range files(t) {
		// The name of SVG's namespace looks like an address; nobody fetches it.
		text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
		require.Empty(t, foreign.FindString(text), file)
		require.Empty(t, markup.FindString(text), file)
		if path.Ext(file) == ".html" {
			require.Empty(t, inline.FindString(text), file)
		}
	}
}

// The scripts call what JSON brings them by its type's name: status.p50, node.terms. So
// what they read can be held against the Go types.
func TestStateHasWhatThePageReads(t *testing.T) {
	types := map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "status": reflect.TypeFor[router.Status](), "node": reflect.TypeFor[router.NodeStatus](),
		"event": reflect.TypeFor[Event](), "suggestion": reflect.TypeFor[router.Suggestion](), "answer": reflect.TypeFor[router.Response](),
	}
	have := map[string]bool{}
	for name, typ := range types {
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			have[name+"."+tag] = true
		}
	}
	have["answer.error"] = true // in place of a router.Response
	reads := regexp.MustCompile(`(?:^|[^.\w])((?:state|status|node|event|suggestion|answer)\.\w+)`)
	read := map[string]bool{}
	for file, text := range files(t) {
		if path.Ext(file) != ".js" {
			continue
		}
		for _, m := range reads.FindAllStringSubmatch(text, -1) {
			require.True(t, have[m[1]], "%s reads %s", file, m[1])
			read[m[1]] = true
		}
	}
	require.Greater(t, len(read), 40)
}

// The names that Go and the scripts must share and that no type carries.
func TestScriptsUseTheActionsNames(t *testing.T) {
	var scripts strings.Builder
	for file, text := range files(t) {
		if path.Ext(file) == ".js" {
			scripts.WriteString(text)
		}
	}
	for _, name := range []string{ActionKill, ActionStart, ActionRebuild, ActionRollback} {
		require.Contains(t, scripts.String(), `"`+name+`"`)
	}
}
