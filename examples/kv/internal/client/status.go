package client

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
)

var statusCommand = command{
	name: "status", args: "", least: 0, most: 0, summary: "show the state of each node",
	about: `Asks each node of -addr for its state. -json writes one object, by address. The exit code
is 4 if one does not answer.
`,
	flags: func(*flag.FlagSet, *settings) {},
	run: func(s *session, _ []string) error {
		code := exitOK
		answers := map[string]any{}
		for i, n := range s.client.nodes {
			raw, err := s.client.StatusOf(s.ctx, i)
			if err != nil {
				code = exitFailed
				answers[n.addr] = map[string]string{"error": err.Error()}
				if !s.asJSON {
					fmt.Fprintf(s.out, "%s: %v\n", n.addr, err)
				}
				continue
			}
			answers[n.addr] = raw
			if !s.asJSON {
				var text bytes.Buffer
				json.Indent(&text, raw, "", "  ") // it has been parsed already
				fmt.Fprintf(s.out, "%s: %s\n", n.addr, text.String())
			}
		}
		if s.asJSON {
			if err := s.json(answers); err != nil {
				return err
			}
		}
		if code != exitOK {
			return told(code)
		}
		return nil
	},
}
