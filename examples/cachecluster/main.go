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
	"fmt"
	"io"
	"os"

	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return program.Program{
		Name: "cachecluster", Usage: usage,
		Story: func(args []string) error { return story(args, stdout, stderr) },
		Serve: func(args []string) error { return serve(args, stderr) },
	}.Run(args, stdout, stderr)
}

func usage(w io.Writer) {
	fmt.Fprint(w, `usage: cachecluster [-check] [-files N]        six nodes in this process and their story
       cachecluster serve -addr HOST:PORT        one node by itself
       cachecluster serve -config FILE -id NAME  one node of a cluster
cachecluster help serve tells more.
`)
}
