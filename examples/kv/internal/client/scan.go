package client

import (
	"bufio"
	"flag"
	"fmt"
	"strconv"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

var scanCommand = command{
	name: "scan", args: "[PREFIX]", least: 0, most: 1, summary: "list keys",
	about: `Lists the keys that begin with PREFIX, or all, in order, one on each line; what does not
print is quoted as in Go. -values adds a tab and the newest value. -json writes an object
for each key, with all its values if -values is given too.
`,
	flags: func(fs *flag.FlagSet, s *settings) {
		s.readFlags(fs)
		fs.BoolVar(&s.values, "values", false, "values too")
		fs.Func("limit", "`number` of keys at most (default all)", func(v string) error { return count(&s.limit, v) })
	},
	run: func(s *session, args []string) error {
		var prefix []byte
		if len(args) == 1 {
			prefix = []byte(args[0])
		}
		w := bufio.NewWriter(s.out)
		s.out = w
		// Values may be of any size; a page of few keys keeps it within memory.
		o := api.ScanOptions{ReadOptions: s.readOptions(), KeysOnly: !s.values, Limit: api.MaxPage}
		if s.values {
			o.Limit = 50
		}
		for left := s.limit; ; {
			if s.limit > 0 {
				o.Limit = min(o.Limit, left)
			}
			p, err := s.client.Scan(s.ctx, prefix, o)
			if err != nil {
				w.Flush()
				return err
			}
			for _, e := range p.Entries {
				if err := s.entry(&e); err != nil {
					return err
				}
			}
			if err := w.Flush(); err != nil {
				return err
			}
			left -= len(p.Entries)
			if o.After = p.Next; o.After == nil || s.limit > 0 && left <= 0 {
				return nil
			}
		}
	},
}

func (s *session) entry(e *api.Entry) error {
	if s.asJSON {
		return s.json(keyJSON(e.Key, &e.Read, toWire(e.Values)))
	}
	line := quoted(e.Key)
	if v, ok := e.Newest(); ok {
		line += "\t" + quoted(v.Data)
	}
	_, err := fmt.Fprintln(s.out, line)
	return err
}

// quoted is b as it is if it prints and is not empty, or as a Go string.
func quoted(b []byte) string {
	q := strconv.Quote(string(b))
	if len(b) > 0 && q[1:len(q)-1] == string(b) {
		return string(b)
	}
	return q
}
