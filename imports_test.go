package ashlar_test

import (
	"bufio"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ashlar-go/ashlar"

// TestImportClosure holds what every package reaches, by itself or through others,
// against .ci/imports.txt. An arrow between packages or a dependency that is not
// drawn there fails the build, so that `go get` of one package stays small.
//
// A line of the list reads "package: allowed allowed …"; a package is named from the
// module's root, a dependency by the start of its import path. What stands for a
// folder ("examples/kv") stands for all below it; the longest name wins.
func TestImportClosure(t *testing.T) {
	allowed := readAllowed(t, ".ci/imports.txt")
	for pkg, imports := range listImports(t) {
		list, name := allowedFor(allowed, pkg)
		if name == "" {
			t.Errorf("%s: no line in .ci/imports.txt", pkg)
			continue
		}
		for _, imp := range imports {
			if !slices.ContainsFunc(list, func(a string) bool { return imp == a || strings.HasPrefix(imp, a+"/") }) {
				t.Errorf("%s reaches %s, which %q in .ci/imports.txt does not allow", pkg, imp, name)
			}
		}
	}
}

// TestTestLibrariesStayInTests keeps assertion and property libraries out of what users compile.
func TestTestLibrariesStayInTests(t *testing.T) {
	for pkg, imports := range listImports(t) {
		for _, imp := range imports {
			if strings.HasPrefix(imp, "github.com/stretchr/testify") || strings.HasPrefix(imp, "pgregory.net/rapid") {
				t.Errorf("%s: non-test code reaches %s", pkg, imp)
			}
		}
	}
}

// readAllowed parses the list.
func readAllowed(t *testing.T, file string) map[string][]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string][]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		name, deps, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		for dep := range strings.FieldsSeq(deps) {
			out[name] = append(out[name], dep)
		}
		if out[name] == nil {
			out[name] = []string{}
		}
	}
	return out
}

// allowedFor returns the list that applies to pkg and its name: that of the nearest folder.
func allowedFor(allowed map[string][]string, pkg string) ([]string, string) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if list, ok := allowed[p]; ok {
			return list, p
		}
	}
	return nil, ""
}

// listImports maps every package below the root to all that it reaches outside the
// standard library, itself and its own folder left out; ours are named from the root.
func listImports(t *testing.T) map[string][]string {
	t.Helper()
	args := []string{"list", "-f", `{{.ImportPath}}:{{join .Deps " "}}`}
	out, err := exec.Command("go", append(args, "./...")...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	res := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		name, deps, _ := strings.Cut(strings.TrimSpace(line), ":")
		name = strings.TrimPrefix(strings.TrimPrefix(name, module), "/")
		if name == "" {
			continue
		}
		top, _, _ := strings.Cut(name, "/")
		res[name] = []string{}
		for dep := range strings.FieldsSeq(deps) {
			if !strings.Contains(strings.SplitN(dep, "/", 2)[0], ".") || strings.HasPrefix(dep, "vendor/") {
				continue
			}
			dep = strings.TrimPrefix(dep, module+"/")
			if dep == top || (strings.HasPrefix(dep, top+"/") && top != "examples") || strings.HasPrefix(dep, name+"/") {
				continue
			}
			res[name] = append(res[name], dep)
		}
	}
	return res
}
