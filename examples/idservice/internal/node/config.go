package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// Config describes a service of several processes. All of them read the same file.
type Config struct {
	Service string   `json:"service"` // its name
	Layout  string   `json:"layout"`  // classic (default), wide, long or js53
	Workers int      `json:"workers"` // worker ids to lease (0: all that the layout has)
	TTL     string   `json:"ttl"`     // of a lease, as a Go duration ("": 10s)
	Nodes   []Member `json:"nodes"`
}

// Member is one process.
type Member struct {
	ID    string `json:"id"`
	HTTP  string `json:"http"`            // host:port
	Redis string `json:"redis,omitempty"` // host:port; empty: does not speak Redis
}

// ErrConfig is matched by errors of a configuration.
var ErrConfig = errors.New("idservice: bad configuration")

// maxConfig bounds the size of a configuration.
const maxConfig = 1 << 20

// ReadConfig reads and checks a file. Its errors match ErrConfig, or are the file's.
func ReadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	c, err := ParseConfig(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig reads and checks JSON. Its errors match ErrConfig.
func ParseConfig(b []byte) (*Config, error) {
	if len(b) > maxConfig {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrConfig, maxConfig)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	c := &Config{}
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the object", ErrConfig)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// check refuses what cannot be, and fills in defaults.
func (c *Config) check() error {
	if c.Service == "" {
		c.Service = "ids"
	}
	if c.Layout == "" {
		c.Layout = "classic"
	}
	l, ok := layouts[c.Layout]
	if !ok {
		return fmt.Errorf("layout %q: classic, wide, long or js53", c.Layout)
	}
	if c.Workers == 0 {
		c.Workers = int(l.MaxNode()) + 1
	}
	if c.Workers < 0 || c.Workers > int(l.MaxNode())+1 {
		return fmt.Errorf("%d workers, the layout has %d", c.Workers, l.MaxNode()+1)
	}
	if _, err := c.ttl(); err != nil {
		return err
	}
	if len(c.Nodes) == 0 {
		return errors.New("no nodes")
	}
	ids, addrs := map[string]bool{}, map[string]bool{}
	for _, m := range c.Nodes {
		if m.ID == "" || len(m.ID) > 64 || ids[m.ID] {
			return fmt.Errorf("node %q: names have 1 to 64 bytes and differ", m.ID)
		}
		ids[m.ID] = true
		if m.HTTP == "" {
			return fmt.Errorf("node %s has no http address", m.ID)
		}
		for _, a := range []string{m.HTTP, m.Redis} {
			if a == "" {
				continue
			}
			if _, _, err := net.SplitHostPort(a); err != nil {
				return fmt.Errorf("node %s: %w", m.ID, err)
			}
			if addrs[a] {
				return fmt.Errorf("node %s: the address %s is used twice", m.ID, a)
			}
			addrs[a] = true
		}
	}
	return nil
}

// Bounds of a lease's life: a renewal takes two fsyncs of the store, three times in it.
const (
	minTTL = 100 * time.Millisecond
	maxTTL = time.Hour
)

func (c *Config) ttl() (time.Duration, error) {
	if c.TTL == "" {
		return 10 * time.Second, nil
	}
	d, err := time.ParseDuration(c.TTL)
	if err != nil {
		return 0, err
	}
	if d < minTTL || d > maxTTL {
		return 0, fmt.Errorf("a ttl of %v is not between %v and %v", d, minTTL, maxTTL)
	}
	return d, nil
}

var layouts = map[string]snowflake.Layout{
	"classic": snowflake.Classic, "wide": snowflake.Wide, "long": snowflake.Long, "js53": snowflake.JS53,
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

// Options are those of one of the nodes, on a store. Its error matches ErrConfig.
func (c *Config) Options(id string, s snowflake.Store) (Options, error) {
	for i, m := range c.Nodes {
		if m.ID != id {
			continue
		}
		ttl, err := c.ttl()
		if err != nil {
			return Options{}, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		return Options{ID: id, Store: s, Layout: layouts[c.Layout], Workers: c.Workers, Prefer: i, TTL: ttl}, nil
	}
	return Options{}, fmt.Errorf("%w: no node %q", ErrConfig, id)
}
