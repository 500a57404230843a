package client

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// Exit codes of Main.
const (
	exitOK       = 0
	exitNotFound = 1 // get: the key has no value
	exitUsage    = 2 // the command line, or an input that cannot be read
	exitRefused  = 3 // the store refused: bad request, condition, too many siblings
	exitFailed   = 4 // unavailable, outcome unknown, interrupted
)

// command is one of the words that follow "kv".
type command struct {
	name    string
	args    string // as help shows them
	least   int    // arguments
	most    int
	summary string // one line
	about   string // what help says below the usage; ends with a newline
	flags   func(*flag.FlagSet, *settings)
	run     func(*session, []string) error
}

// all is a function because a variable could not refer to help, which lists it.
func all() []command {
	return []command{putCommand, getCommand, delCommand, scanCommand, loadCommand, statusCommand}
}

// session is one run of a command.
type session struct {
	settings
	ctx    context.Context // ends at Ctrl-C
	client *Client
	in     io.Reader
	out    io.Writer
	errs   io.Writer
}

var (
	errNotFound = errors.New("not found")
	errUsage    = errors.New("usage")
	errInput    = errors.New("input")
)

// told is the exit code of a command that has said by itself what went wrong.
type told int

func (t told) Error() string { return fmt.Sprintf("exit code %d", int(t)) }

// Knows says whether Main runs a command of this name.
func Knows(name string) bool {
	return slices.ContainsFunc(all(), func(c command) bool { return c.name == name })
}

// Help writes a line for each command, for a program that has more of them.
func Help(w io.Writer) {
	for _, c := range all() {
		fmt.Fprintf(w, "  %-20s %s\n", c.name+" "+c.args, c.summary)
	}
}

// Main runs a command, args[0], as the kv program does, and returns its exit code: 0 done,
// 1 not found, 2 usage, 3 refused by the store, 4 unavailable or unknown. Ctrl-C ends it.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first Ctrl-C asks, the second one is the system's own.
	context.AfterFunc(ctx, stop)
	return run(ctx, args, stdin, stdout, stderr, env)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	name, rest := "", []string{}
	if len(args) > 0 {
		name, rest = args[0], args[1:]
	}
	switch name {
	case "help", "-h", "-help", "--help":
		if len(rest) == 0 {
			fmt.Fprintln(stdout, "usage: kv COMMAND [flags] [arguments]")
			Help(stdout)
			fmt.Fprintln(stdout, "kv help COMMAND tells more.")
			return exitOK
		}
		name, rest = rest[0], []string{"-help"}
	}
	i := slices.IndexFunc(all(), func(c command) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(stderr, "kv: unknown command %q; see kv help\n", name)
		return exitUsage
	}
	cmd := all()[i]
	s := &session{ctx: ctx, in: stdin, out: stdout, errs: stderr}
	err := s.start(&cmd, rest, env)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "kv %s: %s; see kv help %s\n", name, strings.TrimPrefix(err.Error(), errUsage.Error()+": "), name)
	case !isTold(err):
		fmt.Fprintf(stderr, "kv %s: %s\n", name, strings.TrimPrefix(err.Error(), "kv: "))
	}
	return exitCode(err)
}

// start parses, connects and runs.
func (s *session) start(cmd *command, args []string, env func(string) string) error {
	fs := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	s.common(fs, env)
	cmd.flags(fs, &s.settings)
	args, err := parse(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		s.help(cmd, fs)
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case len(args) < cmd.least:
		return fmt.Errorf("%w: too few arguments, want %s", errUsage, cmd.args)
	case len(args) > cmd.most:
		return fmt.Errorf("%w: too many arguments, want %s", errUsage, cmd.args)
	}
	if s.client, err = New(Options{Addrs: strings.Split(s.addr, ","), Timeout: s.timeout}); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer s.client.Close()
	return cmd.run(s, args)
}

func (s *session) help(cmd *command, fs *flag.FlagSet) {
	fmt.Fprintf(s.out, "usage: kv %s\n\n%s\nFlags:\n", strings.TrimSpace(cmd.name+" [flags] "+cmd.args), cmd.about)
	fs.SetOutput(s.out)
	fs.PrintDefaults()
	fs.SetOutput(io.Discard)
	fmt.Fprint(s.out, "\nExit codes: 0 done, 1 not found, 2 usage, 3 refused by the store, 4 unavailable or unknown.\n")
}

func isTold(err error) bool {
	_, ok := errors.AsType[told](err)
	return ok
}

// exitCode judges an error.
func exitCode(err error) int {
	if t, ok := errors.AsType[told](err); ok {
		return int(t)
	}
	is := func(targets ...error) bool {
		return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
	}
	switch {
	case err == nil, is(flag.ErrHelp):
		return exitOK
	case refused(err):
		return exitRefused
	case is(errUsage, errInput):
		return exitUsage
	case is(errNotFound):
		return exitNotFound
	case is(errSkipped):
		return exitOK
	}
	return exitFailed
}

// json writes one line of JSON.
func (s *session) json(v any) error { return json.NewEncoder(s.out).Encode(v) }

// written tells of a Put or Delete under -json.
func (s *session) written(w *api.Written) error {
	if !s.asJSON {
		return nil
	}
	return s.json(struct {
		Context   string `json:"context"`
		Primaries int    `json:"primaries"`
		Fallbacks int    `json:"fallbacks"`
		Epoch     uint64 `json:"epoch"`
	}{token(w.Context), w.Primaries, w.Fallbacks, w.Epoch})
}
