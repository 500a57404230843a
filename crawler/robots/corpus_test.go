package robots

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// corpus is the content of all files in $ASHLAR_DATA/robots/*.tar.gz: what sites really
// serve, HTML and worse included.
func corpus(t testing.TB) [][]byte {
	t.Helper()
	dir := os.Getenv("ASHLAR_DATA")
	if dir == "" {
		t.Skip("ASHLAR_DATA names no folder with robots/*.tar.gz in it: real files are not tried")
	}
	archives, err := filepath.Glob(filepath.Join(dir, "robots", "*.tar.gz"))
	require.NoError(t, err)
	if len(archives) == 0 {
		t.Skipf("no robots/*.tar.gz in %s: real files are not tried", dir)
	}
	var out [][]byte
	for _, name := range archives {
		f, err := os.Open(name)
		require.NoError(t, err)
		defer f.Close()
		z, err := gzip.NewReader(f)
		require.NoError(t, err)
		for tr := tar.NewReader(z); ; {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if h.Typeflag == tar.TypeReg {
				b, err := io.ReadAll(tr)
				require.NoError(t, err)
				out = append(out, b)
			}
		}
	}
	return out
}

// pathsOf makes paths that a file's own rules decide about.
func pathsOf(f *File) []string {
	out := []string{"/", "/index.html", "/search?q=a&b=c", "/a/b/c/d.php?x=%20", "/%7Euser/ü"}
	for _, g := range f.groups {
		for _, r := range g.rules {
			p := strings.TrimSuffix(r.Pattern, "$")
			out = append(out, p, strings.ReplaceAll(p, "*", "x/y")+"tail", strings.ToLower(p))
		}
	}
	if len(out) > 150 {
		out = out[:150]
	}
	return out
}

// TestCorpus reads every real file in both modes, holds decisions against the definition,
// and prints how long files take.
func TestCorpus(t *testing.T) {
	files := corpus(t)
	decisions := 0
	for _, m := range []Mode{RFC9309, Google} {
		var took []time.Duration
		for i, body := range files {
			var f *File
			var rules *Rules
			best := time.Hour
			for range 3 { // other programs take their time as well
				start := time.Now()
				f = Parse(body, Options{Mode: m})
				rules = f.Agent("examplebot")
				best = min(best, time.Since(start))
			}
			took = append(took, best)

			if raceEnabled || testing.Short() || i%8 != 0 { // the definition is slow
				continue
			}
			paths := pathsOf(f)
			for _, agent := range []string{"examplebot", "googlebot"} {
				if agent != "examplebot" {
					rules = f.Agent(agent)
				}
				for _, p := range paths[:min(len(paths), 40)] {
					decisions++
					if rules.Allowed(p) != allowedByDefinition(f, agent, p) {
						t.Fatalf("%s %s %q: Allowed says %v in\n%s", m, agent, p, rules.Allowed(p), body)
					}
				}
			}
		}
		slices.Sort(took)
		t.Logf("%s: %d files, parse and compile: p50 %v, p99 %v, longest %v", m, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
	}
	t.Logf("%d decisions equal to the definition's", decisions)
}
