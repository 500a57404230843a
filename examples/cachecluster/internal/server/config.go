package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// Config is a cluster: all its nodes know the same one.
type Config struct {
	Cluster string     `json:"cluster"`           // its name; nodes of another one are refused
	Timeout int        `json:"timeout,omitempty"` // milliseconds of silence after which a leader counts as gone (1,000)
	Shards  [][]Member `json:"shards"`            // the nodes of each; the first leads when there is no past
}

// Member is one node of a cluster.
type Member struct {
	ID   string `json:"id"`
	Addr string `json:"addr"`           // host:port of clients and of the other nodes
	HTTP string `json:"http,omitempty"` // host:port of the dashboard
}

// ReadConfig reads a configuration from a file.
func ReadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, 1<<20))
	d.DisallowUnknownFields()
	var c Config
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// Check tells what is wrong with a configuration.
func (c *Config) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	if c.Cluster == "" || len(c.Cluster) > 64 {
		return bad("the cluster needs a name of at most 64 bytes")
	}
	if c.Timeout != 0 && (c.Timeout < 50 || c.Timeout > 3_600_000) {
		return bad("a timeout of %d ms is not from 50 to 3,600,000", c.Timeout)
	}
	if len(c.Shards) == 0 || len(c.Shards) > 1000 {
		return bad("%d shards are not from 1 to 1,000", len(c.Shards))
	}
	seen := map[string]bool{}
	for s, nodes := range c.Shards {
		if len(nodes) == 0 || len(nodes) > 16 {
			return bad("shard %d has %d nodes, not 1 to 16", s, len(nodes))
		}
		for _, m := range nodes {
			host, port, err := net.SplitHostPort(m.Addr)
			if err != nil {
				return bad("node %q: %v", m.ID, err)
			}
			if p, err := strconv.Atoi(port); err != nil || p < 1 || p > 65535 || host == "" {
				return bad("node %q has the address %q", m.ID, m.Addr)
			}
			if m.ID == "" || len(m.ID) > 64 || seen[m.ID] || seen[m.Addr] {
				return bad("node %q at %q has no name, or name or address are there twice", m.ID, m.Addr)
			}
			seen[m.ID], seen[m.Addr] = true, true
		}
	}
	return nil
}

// Member is the node of a name and its shard.
func (c *Config) Member(id string) (m Member, shard int, ok bool) {
	for s, nodes := range c.Shards {
		for _, m := range nodes {
			if m.ID == id {
				return m, s, true
			}
		}
	}
	return Member{}, -1, false
}

// Members are all nodes.
func (c *Config) Members() (all []Member) {
	for _, nodes := range c.Shards {
		all = append(all, nodes...)
	}
	return all
}

func (c *Config) timeout() time.Duration {
	if c.Timeout == 0 {
		return time.Second
	}
	return time.Duration(c.Timeout) * time.Millisecond
}
