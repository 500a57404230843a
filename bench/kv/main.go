// Command kv measures the store of examples/kv: three nodes as processes on this machine,
// the way that operators run them, under load over HTTP keep-alive.
//
//	go run ./bench/kv -quick              a look, in a minute or two
//	go run ./bench/kv                     the figures in bench/results/kv.txt
//
// For values of 100 B and of 10 KB, keys drawn by a Zipf law (0.99) and alike, and four
// reads to a write, it runs a closed loop of 1, 2, 4 … 64 connections, whose best
// throughput is the peak, and then an open loop: requests arrive as a Poisson process at
// 70 % of the peak, and a latency counts from when its request was due. The first tells
// how much the store can do, only the second how long users wait.
//
// Generator and nodes share the machine, so the peak is that of both together.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// plan is what to run.
type plan struct {
	pkg      string // of the program that serves
	dir      string // for data; "": the system's folder for such
	nodes    int
	keys     int
	sizes    []int
	conns    []int         // of the closed loops
	step     time.Duration // one closed loop
	duration time.Duration // one open loop
	load     float64       // share of the peak that the open loop asks for
	users    int           // of the open loop: requests under way at most
	seed     uint64
	profiles string // folder for CPU profiles of the open loops; "": none
}

func defaultPlan() plan {
	return plan{
		pkg: "github.com/ashlar-go/ashlar/examples/kv", nodes: 3, keys: 100_000, sizes: []int{100, 10_000},
		conns: []int{1, 2, 4, 8, 16, 32, 64}, step: 5 * time.Second, duration: 20 * time.Second, load: 0.7, users: 256, seed: 1,
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := defaultPlan()
	fs := flag.NewFlagSet("bench/kv", flag.ContinueOnError)
	fs.SetOutput(stderr)
	quick := fs.Bool("quick", false, "runs of 2 s over 10,000 keys; writes no file unless -out is given")
	out := fs.String("out", "", "`file` for the raw lines (default bench/results/kv.txt)")
	fs.DurationVar(&p.duration, "duration", p.duration, "`time` of an open loop; a closed one takes a quarter")
	fs.IntVar(&p.keys, "keys", p.keys, "`number` of keys")
	fs.StringVar(&p.dir, "dir", "", "`folder` on the disk to measure (default the system's for temporary files)")
	fs.StringVar(&p.profiles, "profile", "", "`folder` for CPU profiles of a node in each open loop")
	fs.Uint64Var(&p.seed, "seed", p.seed, "of keys, values and arrivals")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case fs.NArg() > 0 || p.duration <= 0 || p.keys < 1:
		fmt.Fprintln(stderr, "bench/kv: no arguments, -duration and -keys over 0; see -help")
		return 2
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	p.step = p.duration / 4
	if *quick {
		if !given["duration"] {
			p.duration = 2 * time.Second
		}
		p.step = p.duration
		if !given["keys"] {
			p.keys = 10_000
		}
	} else if *out == "" {
		*out = filepath.Join("bench", "results", "kv.txt")
	}
	if err := p.report(ctx, *out, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "bench/kv: %v\n", err)
		return 1
	}
	return 0
}

// report runs the plan and writes what came of it. The file is opened first: a bad path
// should not cost twenty minutes.
func (p *plan) report(ctx context.Context, out string, stdout, stderr io.Writer) error {
	var file *os.File
	if out != "" {
		var err error
		if file, err = os.CreateTemp(filepath.Dir(out), ".kv-*.txt"); err != nil {
			return err
		}
		defer os.Remove(file.Name())
		defer file.Close()
	}
	head := machine(ctx)
	fmt.Fprint(stdout, head)
	rows, err := p.run(ctx, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout)
	table(stdout, rows)
	if file == nil {
		return nil
	}
	fmt.Fprint(file, head)
	fmt.Fprintf(file, "nodes: %d\nkeys: %d\n\n", p.nodes, p.keys)
	raw(file, rows)
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), out)
}

// run does all of the plan, and says on log how far it is.
func (p *plan) run(ctx context.Context, log io.Writer) ([]row, error) {
	dir, err := os.MkdirTemp(p.dir, "bench-kv-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// One thread waits for arrivals in the kernel, which must not cost the others theirs.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 1))
	binary := filepath.Join(dir, "kv.exe")
	if err := build(ctx, p.pkg, binary); err != nil {
		return nil, err
	}
	var rows []row
	for _, size := range p.sizes {
		// New nodes for each size: the first one's compactions are not the second one's.
		more, err := p.measure(ctx, binary, filepath.Join(dir, fmt.Sprint(size)), size, log)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// measure runs all of one size on a cluster of its own.
func (p *plan) measure(ctx context.Context, binary, dir string, size int, log io.Writer) (rows []row, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := startCluster(ctx, binary, dir, p.nodes, p.profiles != "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	note := func(r row) error {
		fmt.Fprintf(log, "%s %s %s, %d connections: %.0f ops/s, p99 %s, %d errors %s\n",
			bytesOf(r.size), r.keys, r.loop, r.conns, r.perSecond(), micros(r.latency.quantile(0.99)), r.failed, r.remarks())
		rows = append(rows, r)
		return errors.Join(ctx.Err(), c.dead())
	}
	values := newValues(rand.New(rand.NewPCG(p.seed, uint64(size))), size)
	all := p.fill(ctx, c.addrs, size, values)
	if err := note(all); err != nil {
		return nil, err
	}
	if all.failed > 0 {
		return nil, fmt.Errorf("%d of %d first writes failed: %s", all.failed, p.keys, all.remarks())
	}
	for _, dist := range []struct {
		name string
		s    float64
	}{{"zipf", 0.99}, {"uniform", 0}} {
		w := &workload{name: dist.name, size: size, keys: newChooser(p.keys, dist.s), reads: 0.8, values: values}
		peak := 0.0
		for _, n := range p.conns {
			users := newUsers(w, c.addrs, n, p.seed+uint64(n))
			r := row{size, w.name, "closed", n, 0, closedLoop(ctx, users, p.step)}
			closeUsers(users)
			if err := note(r); err != nil {
				return nil, err
			}
			peak = max(peak, r.perSecond())
		}
		rate := max(p.load*peak, 1)
		users := newUsers(w, c.addrs, p.users, p.seed)
		each(users, func(w worker, r *result) { r.one(w, time.Now()) }) // they connect before it counts
		a := newArrivals(rand.New(rand.NewPCG(p.seed, 1)), rate)
		profiled := func() error { return nil }
		if p.profiles != "" {
			profiled = c.profile(p.profiles, fmt.Sprintf("%d-%s", size, w.name), p.duration)
		}
		r := row{size, w.name, "open", p.users, rate, openLoop(ctx, users, a, p.duration, precisely())}
		closeUsers(users)
		if err := profiled(); err != nil {
			return nil, err
		}
		if err := note(r); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// fill writes every key once.
func (p *plan) fill(ctx context.Context, addrs []string, size int, values []byte) row {
	const conns = 32
	w := &workload{name: "each", size: size, keys: newChooser(p.keys, 0), values: values}
	var next atomic.Int64
	users := newUsers(w, addrs, conns, p.seed)
	start := time.Now()
	total := each(users, func(u worker, r *result) {
		for k := int(next.Add(1)) - 1; k < p.keys && ctx.Err() == nil; k = int(next.Add(1)) - 1 {
			r.one(&filler{u.(*user), k}, time.Now())
		}
	})
	total.took = time.Since(start)
	closeUsers(users)
	return row{size, w.name, "load", conns, 0, total}
}
