// Command cachecluster measures a node of examples/cachecluster beside redis-server, with
// redis-benchmark, in rounds that take turns:
//
//	go build -o /tmp/cachecluster ./examples/cachecluster && go run ./bench/cachecluster -binary /tmp/cachecluster
//
// Both servers run all the time, each as a process of its own without a snapshot or a log on
// disk; the load generator asks one of them at a time. It prints every figure and then, for
// each command, the medians and their ratio.
package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

type options struct {
	binary   string
	rounds   int
	requests int
	clients  int
	tests    string
	portable bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the built examples/cachecluster")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each server is measured")
	flag.IntVar(&o.requests, "n", 30_000, "requests without pipelining; with it eight times as many")
	flag.IntVar(&o.clients, "c", 50, "connections")
	flag.StringVar(&o.tests, "t", "set,get,incr,lpush,hset,zadd", "tests of redis-benchmark")
	flag.BoolVar(&o.portable, "portable", false, "measure the goroutines for each connection instead of the loop")
	flag.Parse()
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cachecluster:", err)
		os.Exit(1)
	}
}

// rival is a server under measurement.
type rival struct {
	name string
	port string
	cmd  *exec.Cmd
}

func run(o options, w io.Writer) (err error) {
	bench, err := exec.LookPath("redis-benchmark")
	if err != nil {
		return errors.New("redis-benchmark is not installed (Debian: redis-tools)")
	}
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is not installed (Debian: redis-server)")
	}
	if o.binary == "" {
		return errors.New("-binary names the built examples/cachecluster")
	}
	var ports [2]string
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return err
		}
	}
	ours := []string{"serve", "-addr", "127.0.0.1:" + ports[1], "-log", "error"}
	if o.portable {
		ours = append(ours, "-portable")
	}
	rivals := []*rival{
		{"redis", ports[0], exec.Command(redis, "--port", ports[0], "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", os.TempDir())},
		{"ours", ports[1], exec.Command(o.binary, ours...)},
	}
	for _, r := range rivals {
		if err := r.cmd.Start(); err != nil {
			return err
		}
		defer func() {
			r.cmd.Process.Kill()
			r.cmd.Wait()
		}()
		if err := await(r.port); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	version, err := exec.Command(redis, "--version").Output()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "# %s, %s/%s, %d processors, %d connections, portable %v\n# %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.clients, o.portable, version)
	for _, depth := range []int{1, 16} {
		if err := measure(o, w, bench, rivals, depth); err != nil {
			return err
		}
	}
	return nil
}

// measure prints the figures of one depth of pipelining.
func measure(o options, w io.Writer, bench string, rivals []*rival, depth int) error {
	requests := o.requests
	if depth > 1 {
		requests *= 8
	}
	rates := map[string]map[string][]float64{} // by test and rival
	var order []string
	for round := range o.rounds {
		for i := range rivals {
			r := rivals[(i+round)%len(rivals)]
			out, err := exec.Command(bench, "-p", r.port, "-n", strconv.Itoa(requests), "-c", strconv.Itoa(o.clients),
				"-P", strconv.Itoa(depth), "-r", "100000", "-t", o.tests, "--csv").Output()
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
			if err != nil {
				return err
			}
			for _, row := range rows[1:] {
				rate, err := strconv.ParseFloat(row[1], 64)
				if err != nil {
					return err
				}
				if rates[row[0]] == nil {
					rates[row[0]] = map[string][]float64{}
					order = append(order, row[0])
				}
				rates[row[0]][r.name] = append(rates[row[0]][r.name], rate)
				fmt.Fprintf(w, "P%-3d round %d  %-6s %-10s %9.0f/s  p99 %s ms\n", depth, round+1, r.name, row[0], rate, row[6])
			}
		}
	}
	fmt.Fprintf(w, "\n%-4s %-10s %12s %12s %8s\n", "", "", "redis-server", "ours", "ratio")
	for _, test := range order {
		a, b := median(rates[test]["redis"]), median(rates[test]["ours"])
		fmt.Fprintf(w, "P%-3d %-10s %10.0f/s %10.0f/s %8.2f\n", depth, test, a, b, b/a)
	}
	fmt.Fprintln(w)
	return nil
}

func median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// await waits until a server answers.
func await(port string) error {
	var err error
	for range 500 {
		var c net.Conn
		if c, err = net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err = io.WriteString(c, "PING\r\n"); err != nil {
				return err
			}
			b := make([]byte, 7)
			if _, err = io.ReadFull(c, b); err == nil && !strings.HasPrefix(string(b), "+PONG") {
				err = fmt.Errorf("it answers %q", b)
			}
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
