package client

import (
	"flag"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

var getCommand = command{
	name: "get", args: "KEY", least: 1, most: 1, summary: "read a value",
	about: `Writes the value to standard output, byte for byte. Where writes that did not know of
each other left several, it is the newest by the clocks of the nodes; all of them, with
numbers, and the context that a put needs to replace them go to standard error.
-json writes them all to standard output.
`,
	flags: func(fs *flag.FlagSet, s *settings) { s.readFlags(fs) },
	run: func(s *session, args []string) error {
		key := []byte(args[0])
		r, err := s.client.Get(s.ctx, key, s.readOptions())
		if err != nil {
			return err
		}
		if s.asJSON {
			if err := s.json(keyJSON(key, r, toWire(r.Values))); err != nil {
				return err
			}
		}
		best, ok := r.Newest()
		if !ok {
			return fmt.Errorf("%s: %w", strconv.Quote(args[0]), errNotFound)
		}
		if s.asJSON {
			return nil
		}
		if len(r.Values) > 1 {
			s.siblings(args[0], r)
		}
		if story.IsTerminal(s.out) && (len(best.Data) == 0 || best.Data[len(best.Data)-1] != '\n') {
			best.Data = append(best.Data, '\n')
		}
		_, err = s.out.Write(best.Data)
		return err
	},
}

// found is a key in the JSON of get and scan.
type found struct {
	Key      string  `json:"key"`                // as text; bytes that are none are replaced
	KeyBytes []byte  `json:"keyBytes,omitempty"` // the key, if it is no text
	Context  string  `json:"context"`
	Siblings []value `json:"siblings,omitempty"`
	Answers  int     `json:"answers,omitempty"`
	Epoch    uint64  `json:"epoch,omitempty"`
}

func keyJSON(key []byte, r *api.Read, vs []value) found {
	f := found{Key: string(key), Context: token(r.Context), Siblings: vs, Answers: r.Answers, Epoch: r.Epoch}
	if !utf8.Valid(key) {
		f.KeyBytes = key
	}
	return f
}

// shown is how much of a sibling is worth a line on a terminal.
const shown = 1 << 10

func (s *session) siblings(key string, r *api.Read) {
	fmt.Fprintf(s.errs, "%d values, written without knowledge of each other:\n", len(r.Values))
	for i, v := range r.Values {
		text, more := v.Data, ""
		if len(text) > shown {
			text, more = text[:shown], "… (-json has it all)"
		}
		fmt.Fprintf(s.errs, "%3d  %s  %d bytes  %q%s\n", i+1, v.Written.UTC().Format(time.RFC3339Nano), len(v.Data), text, more)
	}
	fmt.Fprintf(s.errs, "to replace them: kv put -context %s %s VALUE\n", token(r.Context), strconv.Quote(key))
}
