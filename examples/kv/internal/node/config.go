package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/ashlar-go/ashlar/ring"
)

// ErrConfig is matched by every error about a configuration.
var ErrConfig = errors.New("kv: bad configuration")

// Config is what all nodes of a cluster are told alike, mostly from a file.
type Config struct {
	Cluster    string   `json:"cluster"`    // its name: nodes of another refuse each other
	Secret     string   `json:"secret"`     // authenticates the causal contexts that clients hold; empty: the name, against accidents only
	Partitions int      `json:"partitions"` // of the key space (64); never to be changed
	Replicas   int      `json:"replicas"`   // owners of each partition (3, or as many as there are nodes)
	Nodes      []Member `json:"nodes"`
}

// Member is one node's place in a Config. Addresses are host:port.
type Member struct {
	ID     string `json:"id"`
	Peer   string `json:"peer"`   // where other nodes send their messages
	Gossip string `json:"gossip"` // where the failure detector listens, TCP and UDP
	HTTP   string `json:"http"`
	Redis  string `json:"redis"` // empty: does not speak Redis
	Zone   string `json:"zone"`  // owners of a partition are spread over zones; may be empty
}

// maxNodes bounds a configuration; a mistake should not take a machine's memory.
const maxNodes = 1000

// ReadConfig reads and checks a file.
func ReadConfig(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c, err := ParseConfig(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads and checks a configuration in JSON. A field that it does not know is
// an error: it is a typing mistake.
func ParseConfig(b []byte) (*Config, error) {
	c := &Config{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: something follows the configuration", ErrConfig)
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// Validate checks a configuration and fills in what it leaves out.
func (c *Config) Validate() error {
	if c.Cluster == "" {
		return fmt.Errorf("%w: the cluster needs a name", ErrConfig)
	}
	if len(c.Nodes) == 0 || len(c.Nodes) > maxNodes {
		return fmt.Errorf("%w: %d nodes, of 1 to %d", ErrConfig, len(c.Nodes), maxNodes)
	}
	if c.Partitions == 0 {
		c.Partitions = 64
	}
	if c.Replicas == 0 {
		c.Replicas = min(3, len(c.Nodes))
	}
	if c.Replicas < 1 || c.Replicas > len(c.Nodes) {
		return fmt.Errorf("%w: %d replicas on %d nodes", ErrConfig, c.Replicas, len(c.Nodes))
	}
	if c.Secret == "" {
		c.Secret = "kv " + c.Cluster
	}
	used := map[string]string{}
	for i, m := range c.Nodes {
		if m.ID == "" || len(m.ID) > 128 {
			return fmt.Errorf("%w: node %d needs an id of 1 to 128 bytes", ErrConfig, i)
		}
		for _, name := range []string{"id " + m.ID, m.Peer, m.Gossip, m.HTTP, m.Redis} {
			if by := used[name]; name != "" && by != "" {
				return fmt.Errorf("%w: %s and %s share %s", ErrConfig, by, m.ID, name)
			}
			used[name] = m.ID
		}
		for _, addr := range []string{m.Peer, m.Gossip, m.HTTP} {
			if err := checkAddr(addr); err != nil {
				return fmt.Errorf("%w: node %s: %w", ErrConfig, m.ID, err)
			}
		}
		if m.Redis != "" {
			if err := checkAddr(m.Redis); err != nil {
				return fmt.Errorf("%w: node %s: %w", ErrConfig, m.ID, err)
			}
		}
	}
	if _, err := c.Table(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("address %q needs a port from 1 to 65535", addr)
	}
	return nil
}

// Table is who owns what.
func (c *Config) Table() (*ring.Table, error) {
	nodes := make([]ring.Node, len(c.Nodes))
	for i, m := range c.Nodes {
		nodes[i] = ring.Node{ID: m.ID, Zone: m.Zone}
	}
	return ring.NewTable(ring.TableOptions{Partitions: c.Partitions, Replicas: c.Replicas}, nodes...)
}

// Member finds a node by its name.
func (c *Config) Member(id string) (Member, bool) {
	for _, m := range c.Nodes {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}
