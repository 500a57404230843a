package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGuaranteesNameTests: GUARANTEES.md cannot name a test that does not exist.
func TestGuaranteesNameTests(t *testing.T) {
	doc, err := os.ReadFile("GUARANTEES.md")
	require.NoError(t, err)
	var source strings.Builder
	for _, dir := range []string{".", "../../ratelimit"} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			source.Write(b)
			return err
		}))
	}
	names := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(string(doc), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.True(t, strings.Contains(source.String(), "func "+name+"("), "GUARANTEES.md names %s", name)
	}
}
