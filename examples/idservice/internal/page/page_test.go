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

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
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

// The page works offline and under a policy that lets nothing inline run.
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

// The scripts call what JSON brings them by its type's name: state.now, node.rate. So what
// they read can be held against the Go types, in both directions.
func TestScriptsReadWhatThereIs(t *testing.T) {
	types := map[string]reflect.Type{
		"state": reflect.TypeFor[State](), "totals": reflect.TypeFor[Totals](), "node": reflect.TypeFor[Node](),
		"event": reflect.TypeFor[Event](), "decoded": reflect.TypeFor[api.Decoded](), "way": reflect.TypeFor[api.Text](),
	}
	have := map[string]bool{}
	for name, typ := range types {
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			have[name+"."+tag] = true
		}
	}
	delete(have, "decoded.id") // it is among the encodings
	read := map[string]bool{}
	reads := regexp.MustCompile(`(?:^|\.\.\.|[^.\w])((?:state|totals|node|event|decoded|way)\.\w+)`)
	for file, text := range files(t) {
		if path.Ext(file) == ".js" {
			for _, m := range reads.FindAllStringSubmatch(text, -1) {
				read[m[1]] = true
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(have)), slices.Collect(maps.Keys(read)))
}

// The names that Go and the page must share and that no type carries.
func TestPageUsesTheActionsNames(t *testing.T) {
	all := files(t)
	var scripts strings.Builder
	for file, text := range all {
		if path.Ext(file) == ".js" {
			scripts.WriteString(text)
		}
	}
	for _, name := range []string{ActionKill, ActionStart, ActionFreeze, ActionThaw, ActionStep, ActionRight, NodeFrozen, NodeDown} {
		require.Contains(t, scripts.String(), `"`+name+`"`)
	}
	for _, state := range []string{NodeServing, NodeLate, NodeLeasing, NodeFrozen, NodeDown} {
		require.Contains(t, all["index.html"], `id="icon-`+state+`"`)
		require.Contains(t, all["style.css"], `[data-state=`+state+`]`)
	}
}
