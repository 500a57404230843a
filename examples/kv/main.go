// Command kv is a replicated key-value store in the manner of Amazon's Dynamo, made of
// ashlar's packages: ring places keys, lsm stores them, vclock tells versions apart,
// merkle finds what replicas differ in, and memberlist tells who is alive.
//
//	go run ./examples/kv               five nodes and a story, then a dashboard
//	go run ./examples/kv -check        the story alone; the last line counts what it proved
//	kv serve -config FILE -id NAME     one node of several processes
//	kv put KEY VALUE                   … get, del, scan, load, status: a client
//
// What it promises, and which test holds it to that, is in GUARANTEES.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/ashlar-go/ashlar/examples/kv/internal/client"
)

// Exit codes besides those of the client's commands.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch {
	case name == "serve":
		return report(serve(args[1:], stderr), stderr)
	case client.Knows(name), name == "help" && len(args) > 1 && args[1] != "serve":
		return client.Main(args, stdin, stdout, stderr, env)
	case name == "help" && len(args) > 1:
		return report(serve([]string{"-help"}, stderr), stderr)
	case name == "help":
		usage(stdout)
		return 0
	case name == "" || name[0] == '-':
		return report(story(args, stdout, stderr), stderr)
	}
	fmt.Fprintf(stderr, "kv: unknown command %q; see kv help\n", name)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: kv [-check]             five nodes in this process and their story")
	fmt.Fprintln(w, "       kv COMMAND [flags] …    one of:")
	fmt.Fprintf(w, "  %-20s %s\n", "serve", "run one node of a cluster")
	client.Help(w)
	fmt.Fprintln(w, "kv help COMMAND tells more.")
}

// errUsage is matched by what the caller of the program did wrong.
var errUsage = errors.New("usage")

// report turns an error into an exit code.
func report(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "kv:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "kv:", err)
	return exitFailed
}
