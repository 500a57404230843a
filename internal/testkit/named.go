package testkit

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`)

// NamedTests fails the test if a document names none, or one that no test file below the
// folders has. A promise that names its test is worth no more than the test.
func NamedTests(t testing.TB, doc string, dirs ...string) {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			source.Write(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	names := testName.FindAllString(string(text), -1)
	if len(names) == 0 {
		t.Fatalf("%s names no test", doc)
	}
	for _, name := range names {
		if !strings.Contains(source.String(), "func "+name+"(") {
			t.Errorf("%s names %s, which is not there", doc, name)
		}
	}
}
