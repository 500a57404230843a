// Command idservice makes ids that nobody else makes: several nodes lease worker ids from a
// small store, and serve ids over HTTP and the Redis protocol. It is made of ashlar's
// package snowflake.
//
//	go run ./examples/idservice               four nodes and a story, then a dashboard
//	go run ./examples/idservice -check        the story alone; the last line counts what it proved
//	idservice serve -config FILE -id NAME     one node of several processes
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
		Name: "idservice", Usage: usage,
		Story: func(args []string) error { return story(args, stdout, stderr) },
		Serve: func(args []string) error { return serve(args, stderr) },
	}.Run(args, stdout, stderr)
}

func usage(w io.Writer) {
	fmt.Fprint(w, `usage: idservice [-check] [-ids N]                        four nodes in this process and their story
       idservice serve -config FILE -id NAME [-dir DIR]   one node of a service

A configuration: {"workers": 16, "ttl": "10s", "nodes": [
  {"id": "n1", "http": "127.0.0.1:8301", "redis": "127.0.0.1:7301"}, {"id": "n2", "http": "127.0.0.1:8302"}]}

Then, of any node:
  curl http://HOST:PORT/id                 an id
  curl http://HOST:PORT/id?n=1000          a thousand
  curl http://HOST:PORT/decode/ID          what is in one
  redis-cli -p PORT INCR orders            an id, as a counter
`)
}
