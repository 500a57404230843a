package client

import "flag"

var delCommand = command{
	name: "del", args: "KEY", least: 1, most: 1, summary: "delete a key",
	about: `Deletes the values that a read at the same consistency finds, or exactly those that
-context has seen. It is no error if there are none.
`,
	flags: func(fs *flag.FlagSet, s *settings) {
		s.writeFlags(fs)
		s.contextFlag(fs)
	},
	run: func(s *session, args []string) error {
		w, err := s.client.Delete(s.ctx, []byte(args[0]), s.writeOptions())
		if err != nil {
			return err
		}
		return s.written(w)
	},
}
