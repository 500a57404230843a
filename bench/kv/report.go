package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one run in the table.
type row struct {
	size  int
	keys  string
	loop  string  // load, closed, open
	conns int     // at work
	rate  float64 // of an open loop, requests a second
	*result
}

var heads = []string{"value", "keys", "loop", "conns", "ops/s", "p50", "p99", "p99.9", "max", "errors", "notes"}

// table writes rows for people. An open loop's ops/s is what it was asked for if the store
// kept up.
func table(w io.Writer, rows []row) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, strings.Join(heads, "\t")+"\t")
	for _, r := range rows {
		fmt.Fprintln(tw, strings.Join([]string{
			bytesOf(r.size), r.keys, r.loop, fmt.Sprint(r.conns), fmt.Sprintf("%.0f", r.perSecond()),
			micros(r.latency.quantile(0.5)), micros(r.latency.quantile(0.99)), micros(r.latency.quantile(0.999)),
			micros(r.latency.max), fmt.Sprint(r.failed), r.remarks(),
		}, "\t")+"\t")
	}
	tw.Flush()
}

// remarks are the notes, the most frequent first, and how late an open loop sent.
func (r *row) remarks() string {
	var out []string
	if r.late.n > 0 {
		out = append(out, fmt.Sprintf("sent %s late (p99)", micros(r.late.quantile(0.99))))
	}
	for _, k := range slices.SortedFunc(maps.Keys(r.notes), func(a, b string) int {
		return int(r.notes[b]-r.notes[a])*2 + strings.Compare(a, b)
	}) {
		out = append(out, fmt.Sprintf("%s %d", k, r.notes[k]))
	}
	return strings.Join(out, ", ")
}

// raw writes rows as Go's benchmarks do, for benchstat.
func raw(w io.Writer, rows []row) {
	for _, r := range rows {
		load := fmt.Sprintf("conns=%d", r.conns)
		if r.loop == "open" {
			load = fmt.Sprintf("rate=%.0f", r.rate)
		}
		fmt.Fprintf(w, "BenchmarkKV/value=%d/keys=%s/loop=%s/%s\t%d\t%d ns/op\t%.1f ops/s\t%d p50-ns\t%d p99-ns\t%d p99.9-ns\t%d max-ns\t%d errors\n",
			r.size, r.keys, r.loop, load, r.latency.n, r.latency.mean(), r.perSecond(),
			r.latency.quantile(0.5), r.latency.quantile(0.99), r.latency.quantile(0.999), r.latency.max, r.failed)
	}
}

// machine says where and on what the figures came about.
func machine(ctx context.Context) string {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/ashlar-go/ashlar/bench/kv\n", runtime.GOOS, runtime.GOARCH)
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		fmt.Fprintf(&b, "cpu: %s\n", model)
	}
	fmt.Fprintf(&b, "cores: %d\n", runtime.NumCPU())
	if mem := field("/proc/meminfo", "MemTotal"); mem != "" {
		fmt.Fprintf(&b, "memory: %s\n", mem)
	}
	fmt.Fprintf(&b, "go: %s\ncommit: %s\ndate: %s\n", runtime.Version(), commit(ctx), time.Now().UTC().Format(time.RFC3339))
	return b.String()
}

// field is the value of the first "name: value" line of a file; "" if there is none.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// commit is the one that is checked out, and whether the tree differs from it.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12", "--match=").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

func bytesOf(n int) string {
	if n >= 1000 && n%1000 == 0 {
		return fmt.Sprintf("%d KB", n/1000)
	}
	return fmt.Sprintf("%d B", n)
}

// micros writes a latency with three digits.
func micros(d time.Duration) string {
	switch us := float64(d) / 1e3; {
	case us < 999.5:
		return fmt.Sprintf("%.3gµs", us)
	case us < 999.5e3:
		return fmt.Sprintf("%.3gms", us/1e3)
	default:
		return fmt.Sprintf("%.3gs", us/1e6)
	}
}
