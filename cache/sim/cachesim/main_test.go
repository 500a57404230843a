package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.svg")
	var out bytes.Buffer
	require.NoError(t, run([]string{"-n", "5000", "-keys", "500", "-sizes", "100,10", "-svg", file}, &out))
	require.Equal(t, 4, strings.Count(out.String(), "Belady"))
	require.Contains(t, out.String(), "Adaptive")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
	require.Equal(t, 9, strings.Count(string(b), "<polyline"))
}

func TestRunRefusesNonsense(t *testing.T) {
	for _, args := range [][]string{
		{"-sizes", "0"},
		{"-sizes", "a"},
		{"-n", "-1"},
		{"-keys", "0"},
		{"-trace", "nowhere.gz"},
		{"-nonsense"},
	} {
		require.Error(t, run(args, io.Discard), "%v", args)
	}
}
