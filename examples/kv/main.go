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
	"fmt"
	"io"
	"os"

	"github.com/ashlar-go/ashlar/examples/internal/program"
	"github.com/ashlar-go/ashlar/examples/kv/internal/client"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	if len(args) > 0 && client.Knows(args[0]) || len(args) > 1 && args[0] == "help" && args[1] != "serve" {
		return client.Main(args, stdin, stdout, stderr, env)
	}
	return program.Program{
		Name: "kv", Usage: usage,
		Story: func(args []string) error { return story(args, stdout, stderr) },
		Serve: func(args []string) error { return serve(args, stderr) },
	}.Run(args, stdout, stderr)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: kv [-check]             five nodes in this process and their story")
	fmt.Fprintln(w, "       kv COMMAND [flags] …    one of:")
	fmt.Fprintf(w, "  %-20s %s\n", "serve", "run one node of a cluster")
	client.Help(w)
	fmt.Fprintln(w, "kv help COMMAND tells more.")
}
