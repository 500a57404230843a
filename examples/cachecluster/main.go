// Command cachecluster is a cache cluster that every Redis client can talk to, made of
// ashlar's package cache and of its own keyspace, slots, replication and failover.
//
//	go run ./examples/cachecluster               six nodes and a story, then a dashboard
//	go run ./examples/cachecluster -check        the story alone; the last line counts what it proved
//	cachecluster serve -addr 127.0.0.1:6379      one node by itself
//	cachecluster serve -config FILE -id NAME     one node of a cluster of several processes
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
	fmt.Fprintf(stderr, "cachecluster: unknown command %q; see cachecluster help\n", name)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, `usage: cachecluster [-check] [-files N]        six nodes in this process and their story
       cachecluster serve -addr HOST:PORT        one node by itself
       cachecluster serve -config FILE -id NAME  one node of a cluster
cachecluster help serve tells more.
`)
}

// errUsage is matched by what the caller of the program did wrong.
var errUsage = errors.New("usage")

// report turns an error into an exit code.
func report(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "cachecluster:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "cachecluster:", err)
	return exitFailed
}
