// Command cachesim replays traces against the policies of package cache and prints how much
// of what is possible each of them hits.
//
//	cachesim                                          # made-up traces, all policies
//	cachesim -trace corda.i32.gz -sizes 100,1000,10000 -svg corda.svg
//
// A trace file holds little-endian 32-bit keys, packed by gzip. Made-up ones are zipf, loop,
// scan and shifting.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/cache/sim"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cachesim:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("cachesim", flag.ContinueOnError)
	traces := f.String("trace", "zipf,loop,scan,shifting", "comma-separated: zipf, loop, scan, shifting, or files")
	sizeList := f.String("sizes", "100,250,500,1000,2500,5000", "comma-separated numbers of entries")
	n := f.Int("n", 500_000, "requests of a made-up trace")
	keys := f.Int("keys", 20_000, "keys of a made-up trace")
	seed := f.Uint64("seed", 1, "of made-up traces and of the caches")
	svg := f.String("svg", "", "file for the curves of the last trace")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *n < 0 || *n > 1<<30 || *keys < 1 || *keys > 1<<28 {
		return fmt.Errorf("-n %d or -keys %d is out of range", *n, *keys)
	}
	sizes, err := parseSizes(*sizeList)
	if err != nil {
		return err
	}
	for _, name := range strings.Split(*traces, ",") {
		trace, err := load(name, *n, *keys, *seed)
		if err != nil {
			return err
		}
		curves, err := table(out, name, trace, sizes, *seed)
		if err != nil {
			return err
		}
		if *svg != "" {
			if err := draw(*svg, name, sizes, curves); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseSizes(list string) (sizes []int, err error) {
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-sizes: %q is no number of entries", s)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return sizes, nil
}

func load(name string, n, keys int, seed uint64) ([]uint64, error) {
	switch name {
	case "zipf":
		return sim.Zipf(n, keys, 0.9, seed), nil
	case "loop":
		return sim.Loop(n, max(1, keys/20)), nil
	case "scan":
		return sim.Scan(n, keys, 1000, 0.9, seed), nil
	case "shifting":
		return sim.Shifting(n, keys, n/10, 0.9, seed), nil
	}
	return sim.ReadFile(name)
}

func table(out io.Writer, name string, trace []uint64, sizes []int, seed uint64) ([]sim.Curve, error) {
	fmt.Fprintf(out, "%s, %d requests, hits in percent\n%-10s", name, len(trace), "entries")
	for _, s := range sizes {
		fmt.Fprintf(out, "%9d", s)
	}
	fmt.Fprintln(out)
	var curves []sim.Curve
	row := func(name string, ratio func(size int) (sim.Result, error)) error {
		c := sim.Curve{Name: name}
		fmt.Fprintf(out, "%-10s", name)
		for _, s := range sizes {
			r, err := ratio(s)
			if err != nil {
				return err
			}
			c.Ratios = append(c.Ratios, r.Ratio())
			fmt.Fprintf(out, "%9.2f", 100*r.Ratio())
		}
		fmt.Fprintln(out)
		curves = append(curves, c)
		return nil
	}
	if err := row("Belady", func(s int) (sim.Result, error) { return sim.Belady(s, trace), nil }); err != nil {
		return nil, err
	}
	for p := cache.Adaptive; p < cache.Unbounded; p++ {
		if err := row(p.String(), func(s int) (sim.Result, error) { return sim.Run(p, s, trace, seed) }); err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(out)
	return curves, nil
}

func draw(file, title string, sizes []int, curves []sim.Curve) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(sim.WriteSVG(f, title, sizes, curves), f.Close())
}
