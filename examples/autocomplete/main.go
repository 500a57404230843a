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
	"fmt"
	"io"
	"os"

	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return program.Program{
		Name: "autocomplete", Usage: usage,
		Story: func(args []string) error { return story(args, stdout, stderr) },
		Serve: func(args []string) error { return serve(args, stderr) },
	}.Run(args, stdout, stderr)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: autocomplete [-check] [-terms FILE]       three nodes in this process and their story")
	fmt.Fprintln(w, "       autocomplete serve -config FILE -id NAME  the router, or one node, until it is told to stop")
	fmt.Fprintln(w, "autocomplete help serve tells more.")
}
