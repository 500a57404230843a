package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// nodeConfig and clusterConfig are the file that kv serve reads.
type nodeConfig struct {
	ID     string `json:"id"`
	Peer   string `json:"peer"`
	Gossip string `json:"gossip"`
	HTTP   string `json:"http"`
	Redis  string `json:"redis"`
}

type clusterConfig struct {
	Cluster    string       `json:"cluster"`
	Partitions int          `json:"partitions"`
	Replicas   int          `json:"replicas"`
	Nodes      []nodeConfig `json:"nodes"`
}

// process is one node at work.
type process struct {
	id   string
	cmd  *exec.Cmd
	log  string        // file
	done chan struct{} // closed when it has ended
}

// cluster is a set of nodes on this machine, each a process with a folder of its own.
type cluster struct {
	addrs     []string // for HTTP
	debug     string   // where the first node shows its profiles; empty: nowhere
	processes []*process
}

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	pollEvery    = 50 * time.Millisecond
)

// build compiles a program.
func build(ctx context.Context, pkg, to string) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", to, pkg).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// freePorts finds n that nobody uses. All are held until the last is found, so that they
// differ.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}

// startCluster runs n nodes with their data under dir, and waits until all are ready.
func startCluster(ctx context.Context, binary, dir string, n int, profiled bool) (c *cluster, err error) {
	ports, err := freePorts(4*n + 1)
	if err != nil {
		return nil, err
	}
	conf := clusterConfig{Cluster: "bench", Partitions: 64, Replicas: min(3, n)}
	c = &cluster{}
	if profiled {
		c.debug = ports[4*n]
	}
	for i := range n {
		p := ports[4*i:]
		conf.Nodes = append(conf.Nodes, nodeConfig{ID: fmt.Sprintf("n%d", i+1), Peer: p[0], Gossip: p[1], HTTP: p[2], Redis: p[3]})
		c.addrs = append(c.addrs, p[2])
	}
	text, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "cluster.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
			c = nil
		}
	}()
	for i, nc := range conf.Nodes {
		var more []string
		if i == 0 && profiled {
			more = []string{"-debug", c.debug}
		}
		p, err := startProcess(binary, file, nc.ID, dir, more...)
		if err != nil {
			return c, err
		}
		c.processes = append(c.processes, p)
	}
	return c, c.ready(ctx)
}

func startProcess(binary, config, id, dir string, more ...string) (*process, error) {
	p := &process{id: id, log: filepath.Join(dir, id+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(binary, append([]string{"serve", "-config", config, "-id", id, "-dir", filepath.Join(dir, id)}, more...)...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ready waits until every node says so and takes a write that all owners must have.
func (c *cluster) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for i, p := range c.processes {
		for {
			why := isReady(c.addrs[i])
			if why == nil {
				break
			}
			select {
			case <-p.done:
				return fmt.Errorf("%s ended; it said:\n%s", p.id, p.tail())
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready: %w; it said:\n%s", p.id, why, p.tail())
			case <-time.After(pollEvery):
			}
		}
	}
	return nil
}

// isReady asks for /status, in which "ready", if it is there, must be true, and then tries.
func isReady(addr string) error {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + addr + "/status")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	status := struct{ Ready *bool }{}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	if status.Ready != nil && !*status.Ready {
		return errors.New("it says so")
	}
	c := newConn(addr, 2*time.Second)
	defer c.close()
	for k := range 16 { // in several partitions
		code, _, err := c.do("PUT", fmt.Sprintf("/kv/bench/ready/%d?consistency=all", k), []byte("ready"))
		if err != nil || code != http.StatusNoContent {
			return fmt.Errorf("write to all: %d %w", code, err)
		}
	}
	return nil
}

// tail is the end of what a process has written.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(b), []byte("\n"))
	return string(bytes.Join(lines[max(len(lines)-20, 0):], []byte("\n")))
}

// dead names the nodes that have ended by themselves; a run with one is not worth its
// figures.
func (c *cluster) dead() error {
	var ids []string
	for _, p := range c.processes {
		select {
		case <-p.done:
			ids = append(ids, p.id+": "+p.tail())
		default:
		}
	}
	if ids == nil {
		return nil
	}
	return fmt.Errorf("ended during the run: %s", strings.Join(ids, "; "))
}

// stop asks all processes to end, and ends those that do not.
func (c *cluster) stop() error {
	for _, p := range c.processes {
		if p.cmd.Process.Signal(os.Interrupt) != nil {
			p.cmd.Process.Kill() // Windows has no such signal; or it has ended
		}
	}
	var errs []error
	timeout := time.After(stopTimeout)
	for _, p := range c.processes {
		select {
		case <-p.done:
		case <-timeout:
			p.cmd.Process.Kill()
			<-p.done
			errs = append(errs, fmt.Errorf("%s did not stop within %v", p.id, stopTimeout))
		}
	}
	return errors.Join(errs...)
}
