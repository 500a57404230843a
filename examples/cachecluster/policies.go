package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/cache/sim"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/page"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/server"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// The trace of the story: popular keys, with scans in between that never come back.
const (
	traceKeys  = 10_000
	traceLen   = 60_000
	traceRoom  = 1_000 // keys that fit
	traceValue = 100   // bytes
)

// policies replays one trace under every policy, as an application does that asks the cache
// first and stores what it did not find.
func (t *teller) policies(ctx context.Context) error {
	t.Chapter("Which policy? One trace of %d requests, room for %d of %d keys", traceLen, traceRoom, traceKeys)
	trace := sim.Scan(traceLen, traceKeys, 2000, 0.9, 1)
	best := sim.Belady(traceRoom, trace).Ratio()
	bars := []page.Bar{{Name: "optimum", Ratio: best, Best: true}}
	t.Say("%-18s %5.1f %%   (Belady: it knows the future)", "optimum", 100*best)
	ratio := map[keyspace.Policy]float64{}
	for _, p := range []keyspace.Policy{keyspace.AllKeysAdaptive, keyspace.AllKeysS3FIFO, keyspace.AllKeysSIEVE, keyspace.AllKeysLFU, keyspace.AllKeysLRU, keyspace.AllKeysRandom, keyspace.NoEviction} {
		r, err := replay(ctx, p, trace)
		if err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
		ratio[p] = r.ratio
		bars = append(bars, page.Bar{Name: p.String(), Ratio: r.ratio})
		t.view.Load().Bars(bars)
		t.Say("%-18s %5.1f %%   %d evicted, %d writes refused", p, 100*r.ratio, r.evicted, r.refused)
		t.Check(r.used <= r.bound+traceValue+300 && (r.refused > 0) == (p == keyspace.NoEviction),
			"%v stays within its bound of memory", p)
	}
	top := keyspace.AllKeysLRU
	for p, r := range ratio {
		if r > ratio[top] {
			top = p
		}
	}
	lru := ratio[keyspace.AllKeysLRU]
	t.Check(ratio[top] < best && lru > ratio[keyspace.AllKeysRandom] && ratio[keyspace.AllKeysRandom] > ratio[keyspace.NoEviction],
		"allkeys-lru beats chance; the best for this trace is %v, %.1f points above it, of the %.1f that are possible", top, 100*(ratio[top]-lru), 100*(best-lru))
	return nil
}

// outcome is what a replay counted.
type outcome struct {
	ratio            float64
	evicted, refused int64
	used, bound      int64
}

// replay asks a node by itself for all keys of a trace, some at a time.
func replay(ctx context.Context, p keyspace.Policy, trace []uint64) (o outcome, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return o, err
	}
	n, err := server.Open(server.Options{Listener: l, Seed: 1})
	if err != nil {
		l.Close()
		return o, err
	}
	defer n.Kill()
	c, err := resp.Dial(ctx, n.Addr())
	if err != nil {
		return o, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	key := func(k uint64) string { return fmt.Sprintf("key:%08d", k) }
	value := strings.Repeat("v", traceValue)
	if _, err := c.Do("SET", key(0), value); err != nil {
		return o, err
	}
	one, err := c.Do("MEMORY", "USAGE", key(0))
	if err != nil {
		return o, err
	}
	o.bound = one.Int * traceRoom
	for _, args := range [][]string{{"FLUSHALL"}, {"CONFIG", "SET", "maxmemory", strconv.FormatInt(o.bound, 10), "maxmemory-policy", p.String()}, {"CONFIG", "RESETSTAT"}} {
		if _, err := c.Do(args...); err != nil {
			return o, err
		}
	}
	hits := 0
	const batch = 32
	for at := 0; at < len(trace); at += batch {
		part := trace[at:min(at+batch, len(trace))]
		for _, k := range part {
			c.Send("GET", key(k))
		}
		if err := c.Flush(); err != nil {
			return o, err
		}
		var missed []uint64
		for _, k := range part {
			r, err := c.Receive()
			if err != nil {
				return o, err
			}
			if r.Null {
				missed = append(missed, k)
			} else {
				hits++
			}
		}
		for _, k := range missed {
			c.Send("SET", key(k), value)
		}
		if err := c.Flush(); err != nil {
			return o, err
		}
		for range missed {
			if _, err := c.Receive(); err != nil {
				if !strings.HasPrefix(err.Error(), "OOM") {
					return o, err
				}
				o.refused++
			}
		}
	}
	s := n.Look()
	o.ratio, o.evicted, o.used = float64(hits)/float64(len(trace)), s.Evicted, s.Used
	return o, nil
}
