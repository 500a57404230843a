// Command autocomplete suggests what people are about to type, made of ashlar's packages:
// trie finds completions, ring places ranges of terms on nodes, cache keeps answers for hot
// prefixes, ratelimit holds floods back, lsm keeps the log of searches and everybody's
// history.
//
//	go run ./examples/autocomplete               three nodes, a router, and a story; then a page to type into
//	go run ./examples/autocomplete -check        the story alone; the last line counts what it proved
//	autocomplete serve -config FILE -id NAME     the router, or one node, as a process of its own
//
// What it promises, and which test holds it to that, is in GUARANTEES.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch {
	case name == "serve":
		return report(serve(args[1:], stderr), stderr)
	case name == "help" && len(args) > 1 && args[1] == "serve":
		return report(serve([]string{"-help"}, stderr), stderr)
	case name == "help":
		usage(stdout)
		return 0
	case name == "" || name[0] == '-':
		return report(story(args, stdout, stderr), stderr)
	}
	fmt.Fprintf(stderr, "autocomplete: unknown command %q; see autocomplete help\n", name)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: autocomplete [-check] [-terms FILE]       three nodes in this process and their story")
	fmt.Fprintln(w, "       autocomplete serve -config FILE -id NAME  the router, or one node, until it is told to stop")
	fmt.Fprintln(w, "autocomplete help serve tells more.")
}

// errUsage is matched by what the caller of the program did wrong.
var errUsage = errors.New("usage")

// report turns an error into an exit code.
func report(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "autocomplete:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "autocomplete:", err)
	return exitFailed
}
