package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a testing.TB that only takes notes.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, _ ...any) { r.said = append(r.said, format) }

func TestNamedTests(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "DOC.md")
	write := func(text string) {
		if err := os.WriteFile(doc, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("held by `TestNamedTests`")
	r := &recorder{TB: t}
	NamedTests(r, doc, ".")
	if len(r.said) > 0 {
		t.Fatal(r.said)
	}
	write("held by `TestNamedTests` and `Test" + strings.Repeat("Nowhere", 2) + "`")
	NamedTests(r, doc, ".")
	if len(r.said) != 1 {
		t.Fatalf("a test that is not there was taken for one: %q", r.said)
	}
}
