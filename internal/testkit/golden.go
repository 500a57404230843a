package testkit

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateFlag = flag.Bool("update", false, "write golden files instead of comparing with them")

// Golden compares got with the text in the file at path, which is relative to the test's
// package, and fails the test at the first line that differs. With -update it writes the
// file instead; read the difference before you commit it.
func Golden(t testing.TB, path, got string) {
	t.Helper()
	golden(t, path, got, *updateFlag)
}

func golden(t testing.TB, path, got string, update bool) {
	t.Helper()
	if update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (-update writes it)", err)
	}
	// A checkout on Windows may have changed the line ends.
	if d := diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); d != "" {
		t.Fatalf("%s: %s\n(-update accepts it)", path, d)
	}
}

// diff describes the first line in which two texts differ; "" if they are equal.
func diff(want, got string) string {
	if want == got {
		return ""
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	line := func(l []string) string {
		if i < len(l) {
			return fmt.Sprintf("%q", l[i])
		}
		return "end of text"
	}
	return fmt.Sprintf("line %d\n want %s\n  got %s", i+1, line(w), line(g))
}
