package client

import (
	"encoding/base64"
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// defaultAddr is asked when neither -addr nor $KV_ADDR says otherwise.
const defaultAddr = "127.0.0.1:8001"

// settings are what the flags of a command say.
type settings struct {
	addr    string
	timeout time.Duration
	asJSON  bool

	level    api.Level
	read     int // -r
	write    int // -w
	ttl      time.Duration
	mode     api.ContextMode
	context  []byte
	ifAbsent bool
	sloppy   bool

	values   bool // scan
	limit    int
	parallel int // load
}

func (s *settings) readOptions() api.ReadOptions { return api.ReadOptions{Level: s.level, R: s.read} }

func (s *settings) writeOptions() api.WriteOptions {
	o := api.WriteOptions{Level: s.level, W: s.write, TTL: s.ttl, Mode: s.mode, Context: s.context, Sloppy: s.sloppy}
	if s.ifAbsent {
		o.If = api.IfAbsent
	}
	return o
}

// parse lets flags and arguments come in any order; after "--" all are arguments.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		left := fs.Args()
		if used := len(args) - len(left); len(left) == 0 || used > 0 && args[used-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// common are the flags of every command.
func (s *settings) common(fs *flag.FlagSet, env func(string) string) {
	addr := env("KV_ADDR")
	if addr == "" {
		addr = defaultAddr
	}
	fs.StringVar(&s.addr, "addr", addr, "`host:port` of a node, or of several with commas between; $KV_ADDR sets the default")
	fs.Func("timeout", "`time` that one call may take (default 10s)", func(v string) (err error) {
		s.timeout, err = duration(v)
		return err
	})
	fs.BoolVar(&s.asJSON, "json", false, "answer in JSON, values in base64")
}

func (s *settings) levelFlag(fs *flag.FlagSet) {
	fs.Func("consistency", "`level`: one, quorum or all owners take part (default quorum)", func(v string) (err error) {
		s.level, err = api.ParseLevel(v)
		return err
	})
}

func (s *settings) readFlags(fs *flag.FlagSet) {
	s.levelFlag(fs)
	fs.Func("r", "`number` of owners that must answer (default by -consistency)", func(v string) error { return count(&s.read, v) })
}

// writeFlags are those of every write.
func (s *settings) writeFlags(fs *flag.FlagSet) {
	s.levelFlag(fs)
	fs.Func("w", "`number` of owners that must have it on disk (default by -consistency)", func(v string) error { return count(&s.write, v) })
	fs.BoolVar(&s.sloppy, "sloppy", false, "let other nodes stand in for owners that are down")
}

// valueFlags are those of writes with a value.
func (s *settings) valueFlags(fs *flag.FlagSet) {
	fs.Func("ttl", "`time` to live, as 90s or 24h, or in seconds (default for ever)", func(v string) (err error) {
		s.ttl, err = duration(v)
		return err
	})
	fs.BoolVar(&s.ifAbsent, "if-absent", false, "write only where the key has no value")
}

func (s *settings) contextFlag(fs *flag.FlagSet) {
	fs.Func("context", "`context` of an earlier get, whose values this write replaces; none replaces nothing (default: what a read finds)", func(v string) (err error) {
		if v == "none" {
			s.mode = api.Blind
			return nil
		}
		s.mode = api.Given
		if s.context, err = base64.RawURLEncoding.DecodeString(v); err != nil || v == "" {
			return fmt.Errorf("want what get printed, or none")
		}
		return nil
	})
}

func token(context []byte) string { return base64.RawURLEncoding.EncodeToString(context) }

func count(to *int, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return fmt.Errorf("want a number from 1 up")
	}
	*to = n
	return nil
}

// duration reads a time as Go writes it, or seconds.
func duration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		d, err = time.ParseDuration(v + "s")
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("want a time such as 90s, over 0")
	}
	return d, nil
}
