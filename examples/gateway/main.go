// Command gateway is an API gateway made of ashlar's packages: ratelimit says how much, ring
// says where, cache keeps what all may have, and httputil.ReverseProxy carries it there. It routes by host, path and
// header, knows its clients by key, token and address, turns requests into calls of procedures, spreads load in eight ways over backends
// whose health it watches, retries within a budget, and changes its rules while it runs.
//
//	go run ./examples/gateway              two gateways, six backends, a story, then a dashboard
//	go run ./examples/gateway -check       the story alone; the last line counts what it proved
//	gateway serve -config FILE             a gateway before backends of your own
//	gateway check FILE                     says whether a file of rules is well-formed
//	gateway key                            makes a key, and what of it goes into the rules
//
// What it promises, and which test holds it to that, is in GUARANTEES.md.
package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	return program.Program{
		Name: "gateway", Usage: usage,
		Story: func(args []string) error { return story(args, stdout, stderr) },
		Serve: func(args []string) error { return serve(args, stdout, stderr) },
		More: map[string]func([]string) error{
			"check": func(args []string) error { return check(args, stdout) },
			"key":   func(args []string) error { return key(args, stdout) },
		},
	}.Run(args, stdout, stderr)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: gateway [-check]             two gateways in this process and their story")
	fmt.Fprintln(w, "       gateway serve -config FILE   a gateway; gateway help serve tells more")
	fmt.Fprintln(w, "       gateway check FILE           is this a file of rules?")
	fmt.Fprintln(w, "       gateway key                  a new key, and its digest for the rules")
}

// check reads a file of rules.
func check(args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("%w: gateway check FILE", program.ErrUsage)
	}
	r, _, err := rules.Read(args[0])
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d routes, %d pools, %d tiers, %d keys\n", args[0], len(r.Routes), len(r.Pools), len(r.Tiers), len(r.Keys))
	return nil
}

// key makes a secret of 128 bits. Only its digest is kept anywhere.
func key(args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: gateway key", program.ErrUsage)
	}
	secret := rand.Text()
	sum := sha256.Sum256([]byte(secret))
	fmt.Fprintf(stdout, "key:    %s   (for the client, as X-API-Key; it is shown only now)\nsha256: %s   (for the rules)\n", secret, hex.EncodeToString(sum[:]))
	return nil
}
