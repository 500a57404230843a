// Package dashtest checks a dashboard's page: its files by themselves, its scripts against
// the Go types of the state that they draw, and the whole of it in a real browser. Only
// tests import it.
//
//	func TestFiles(t *testing.T) { dashtest.CheckFiles(t, FS()) }
//
//	r := dashtest.Play(t, dashtest.Site{Page: FS(), State: f.state, Action: f.act, Dark: true})
//	r.Require(t, 80)                       // no error, no field that is not there, no faint text
//	require.Equal(t, want, r.Checks)       // what testdata/probe.js looked at
package dashtest

import (
	"io/fs"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// beside is where dash serves what all pages share.
const beside = "dash/"

// Files are a page's files by name, and those that dash serves beside every page.
func Files(t testing.TB, page fs.FS) map[string]string {
	t.Helper()
	out := map[string]string{}
	for below, files := range map[string]fs.FS{"": page, beside: dash.Shared()} {
		err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(files, name)
			out[below+name] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Scripts are all that run in a page, and all that could, of what dash serves beside it.
func Scripts(t testing.TB, page fs.FS) string {
	t.Helper()
	all := Files(t, page)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if path.Ext(name) == ".js" {
			b.WriteString(all[name])
		}
	}
	return b.String()
}

var (
	names = map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?:src|href)="([^"#]+)"`),
		".js":   regexp.MustCompile(`from "([^"]+)"`),
		".css":  regexp.MustCompile(`(?:url\(|@import )["']?([^"')]+)`),
	}
	foreign = regexp.MustCompile(`(?i)(https?|wss?)://|["'(]//`)
	inline  = regexp.MustCompile(`(?i)<[^>]*\s(on[a-z]+|style)\s*=|javascript:|<script[^>]*>[^<]|<style`)
	markup  = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(`)
)

// CheckFiles demands that every file that another names is there and none of the page's own
// that nobody names, that the page works offline and under a policy that lets nothing inline run, and
// that its scripts never make markup of what they show.
func CheckFiles(t testing.TB, page fs.FS) {
	t.Helper()
	all := Files(t, page)
	named := map[string]bool{"index.html": true}
	for file, text := range all {
		if re := names[path.Ext(file)]; re != nil {
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				name := path.Join(path.Dir(file), m[1])
				named[name] = true
				if _, ok := all[name]; !ok {
					t.Errorf("%s names %s, which is not there", file, m[1])
				}
			}
		}
		// The name of SVG's namespace looks like an address; nobody fetches it.
		text = strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, "")
		refuse := []*regexp.Regexp{foreign, markup}
		if path.Ext(file) == ".html" {
			refuse = append(refuse, inline)
		}
		for _, re := range refuse {
			if found := re.FindString(text); found != "" {
				t.Errorf("%s has %q", file, found)
			}
		}
	}
	for file := range all {
		if !named[file] && !strings.HasPrefix(file, beside) {
			t.Errorf("nobody names %s", file)
		}
	}
}

// Fields compares what scripts read with what there is. By convention they call what JSON
// brings them by its type's name: state.now, node.keys. have are the types' fields by their
// JSON names, read are those that the scripts name; both sorted.
func Fields(scripts string, types map[string]reflect.Type) (have, read []string) {
	for name, typ := range types {
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			have = append(have, name+"."+tag)
		}
	}
	re := regexp.MustCompile(`(?:^|\.\.\.|[^.\w])((?:` + strings.Join(slices.Collect(maps.Keys(types)), "|") + `)\.\w+)`)
	for _, m := range re.FindAllStringSubmatch(scripts, -1) {
		read = append(read, m[1])
	}
	slices.Sort(have)
	slices.Sort(read)
	return have, slices.Compact(read)
}
