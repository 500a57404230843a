package snowflaketest_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/snowflake"
	"github.com/ashlar-go/ashlar/snowflake/snowflaketest"
)

func TestMemStore(t *testing.T) {
	snowflaketest.Store(t, &snowflake.MemStore{}, "")
}

func TestDirStore(t *testing.T) {
	s, err := snowflake.NewDirStore(filepath.Join(t.TempDir(), "a", "b"))
	require.NoError(t, err)
	snowflaketest.Store(t, s, "")
	snowflaketest.Store(t, s, "tests/")
}
