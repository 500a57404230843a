// Package program is what the programs of all systems have in common: how they take
// commands and flags, end by a signal, and exit.
//
//	p := program.Program{Name: "kv", Usage: usage, Story: …, Serve: …}
//	os.Exit(p.Run(os.Args[1:], os.Stdout, os.Stderr))
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes.
const (
	ExitFailed = 1
	ExitUsage  = 2
)

// ErrUsage is matched by what the caller of a program did wrong.
var ErrUsage = errors.New("usage")

// Program is what can be run. A command's args are those behind its name.
type Program struct {
	Name  string
	Usage func(io.Writer)                      // what help says; required
	Story func(args []string) error            // without a command: args are flags; required
	Serve func(args []string) error            // the command serve, one node of several processes; required
	More  map[string]func(args []string) error // other commands, by name; nil: none
}

// Run runs what args say and returns the exit code. Errors are told on stderr.
func (p Program) Run(args []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	more, known := p.More[name]
	var err error
	switch {
	case name == "" || name[0] == '-':
		err = p.Story(args)
	case name == "serve":
		err = p.Serve(args[1:])
	case name == "help" && len(args) > 1 && args[1] == "serve":
		err = p.Serve([]string{"-help"})
	case name == "help":
		p.Usage(stdout)
	case known:
		err = more(args[1:])
	default:
		fmt.Fprintf(stderr, "%s: unknown command %q; see %[1]s help\n", p.Name, name)
		return ExitUsage
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
	if errors.Is(err, ErrUsage) {
		return ExitUsage
	}
	return ExitFailed
}

// Flags are those of a command, whose name is as one types it: "kv serve".
func Flags(name string, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs
}

// Parse parses flags. An error that it returns is flag.ErrHelp or matches ErrUsage.
func Parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return fmt.Errorf("%w: see %s", ErrUsage, help(fs))
}

// ParseAll is Parse for a command that takes flags and nothing else.
func ParseAll(fs *flag.FlagSet, args []string) error {
	if err := Parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q; see %s", ErrUsage, fs.Arg(0), help(fs))
	}
	return nil
}

// help is what tells more about a command.
func help(fs *flag.FlagSet) string {
	name, command, _ := strings.Cut(fs.Name(), " ")
	return strings.TrimSpace(name + " help " + command)
}

// UntilSignal returns a context that ends with Ctrl-C or SIGTERM; the second of them ends
// the process at once. The caller calls stop in the end.
func UntilSignal() (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// Folder makes a temporary folder of a dir that is empty, for remove to remove. One that the
// caller of the program has named is left alone.
func Folder(dir *string, pattern string) (remove func(), err error) {
	if *dir != "" {
		return func() {}, nil
	}
	*dir, err = os.MkdirTemp("", pattern)
	temporary := *dir
	return func() { os.RemoveAll(temporary) }, err
}
