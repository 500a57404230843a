package client

import (
	"flag"
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

var putCommand = command{
	name: "put", args: "KEY [VALUE|-]", least: 1, most: 2, summary: "write a value",
	about: `Writes VALUE, or standard input if there is none or it is "-", and replaces the values
that a read at the same consistency finds. To replace exactly what was read before,
siblings above all, give -context what get printed. A key or value that begins with "-"
goes after "--".
`,
	flags: func(fs *flag.FlagSet, s *settings) {
		s.writeFlags(fs)
		s.valueFlags(fs)
		s.contextFlag(fs)
	},
	run: func(s *session, args []string) error {
		var value []byte
		if len(args) == 2 && args[1] != "-" {
			value = []byte(args[1])
		} else {
			var err error
			if value, err = readValue(s.in); err != nil {
				return err
			}
		}
		w, err := s.client.Put(s.ctx, []byte(args[0]), value, s.writeOptions())
		if err != nil {
			return err
		}
		return s.written(w)
	},
}

// readValue reads r to its end, but no more than a value may have.
func readValue(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, api.MaxValue+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errInput, err)
	case len(b) > api.MaxValue:
		return nil, api.ErrValueTooLarge
	}
	return b, nil
}
