package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/client"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/local"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/server"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	tale "github.com/ashlar-go/ashlar/examples/internal/story"
)

// teller knows what the cluster should hold.
type teller struct {
	*tale.Story
	o       storyFlags
	cluster *local.Cluster
	view    atomic.Pointer[view.View]
	site    *dash.Site
	want    map[string]string
	keys    []string
}

// writers is how many clients are at work at the same time.
const writers = 8

// await waits with the story's patience; what did not come is a failed check.
func (t *teller) await(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := tale.Await(ctx, ok); err != nil {
		t.Check(false, "%s: %v", what, err)
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (t *teller) begin(ctx context.Context) error {
	t.Chapter("Six nodes: three shards, a primary and a replica each")
	begun := time.Now()
	if err := t.await(ctx, "the cluster is ready", t.cluster.Ready); err != nil {
		return err
	}
	t.Say("n1, n2 and n3 lead, n4, n5 and n6 follow them; dashboard on http://%s/", t.site.Addr)
	c := client.New(t.cluster.Addrs()...)
	defer c.Close()
	r, err := c.At(ctx, t.cluster.Addrs()[0], "CLUSTER", "INFO")
	t.Check(err == nil && strings.Contains(string(r.Bytes), "cluster_state:ok\r\ncluster_slots_assigned:16384"),
		"after %v a majority answers every primary, and all 16,384 slots are served", since(begun))
	return nil
}

// each lets some clients work through n tasks.
func (t *teller) each(ctx context.Context, n int, task func(c *client.Client, i int) error) error {
	var next atomic.Int64
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			c := client.New(t.cluster.Addrs()...)
			defer c.Close()
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				errs[w] = task(c, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, context.Cause(ctx))...)
}

func (t *teller) load(ctx context.Context) error {
	t.Chapter("Load files of %s", t.o.data)
	if err := t.readFiles(); err != nil {
		return err
	}
	begun, bytes := time.Now(), 0
	for _, v := range t.want {
		bytes += len(v)
	}
	err := t.each(ctx, len(t.keys), func(c *client.Client, i int) error {
		_, err := c.Do(ctx, "SET", t.keys[i], t.want[t.keys[i]])
		return err
	})
	took := time.Since(begun)
	if !t.CheckErr(err, "%d files, %s, are stored in %v: %.0f a second", len(t.keys), sizeOf(bytes), round(took), float64(len(t.keys))/took.Seconds()) {
		return err
	}
	var parts []string
	for s := range t.cluster.Config.Shards {
		if n := t.cluster.Leader(s); n != nil {
			parts = append(parts, fmt.Sprintf("%d keys on %s", n.Look().Keys, n.ID()))
		}
	}
	t.Say("%s", strings.Join(parts, ", "))
	return t.replicated(ctx)
}

// replicated waits until every primary's replica has all that was written.
func (t *teller) replicated(ctx context.Context) error {
	c := client.New(t.cluster.Addrs()...)
	defer c.Close()
	for s := range t.cluster.Config.Shards {
		err := t.await(ctx, fmt.Sprintf("shard %d is replicated", s+1), func() bool {
			n := t.cluster.Leader(s)
			if n == nil {
				return false
			}
			r, err := c.At(ctx, n.Addr(), "WAIT", "1", "1000")
			return err == nil && r.Int == 1
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readFiles reads some files, the same ones each time.
func (t *teller) readFiles() error {
	const largest = 64 << 10
	errEnough := errors.New("enough")
	err := filepath.WalkDir(t.o.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() > largest {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(t.o.data, path)
		if err != nil {
			return err
		}
		t.want[filepath.ToSlash(rel)] = string(b)
		if len(t.want) == t.o.files {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(t.want) == 0 {
		return fmt.Errorf("no files in %s", t.o.data)
	}
	for k := range t.want {
		t.keys = append(t.keys, k)
	}
	sort.Strings(t.keys)
	return nil
}

// verify reads all files back.
func (t *teller) verify(ctx context.Context, format string, args ...any) error {
	var wrong atomic.Int64
	err := t.each(ctx, len(t.keys), func(c *client.Client, i int) error {
		r, err := c.Do(ctx, "GET", t.keys[i])
		if err == nil && string(r.Bytes) != t.want[t.keys[i]] {
			wrong.Add(1)
		}
		return err
	})
	if err == nil && wrong.Load() > 0 {
		err = fmt.Errorf("%d files are not what was stored", wrong.Load())
	}
	t.CheckErr(err, format, args...)
	return err
}

// kill kills a primary while clients write.
func (t *teller) kill(ctx context.Context) error {
	t.Chapter("Kill n2, which leads the second shard, while clients write")
	var written, slowest atomic.Int64
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- t.each(ctx, 1<<30, func(c *client.Client, i int) error {
			select {
			case <-stop:
				return errStop
			default:
			}
			begun := time.Now()
			_, err := c.Do(ctx, "SET", fmt.Sprintf("counter:%d", i%5000), fmt.Sprint(i))
			took := int64(time.Since(begun))
			for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
			}
			written.Add(1)
			return err
		})
	}()
	err := t.await(ctx, "writes are under way", func() bool { return written.Load() > 2000 })
	begun := time.Now()
	err = errors.Join(err, t.cluster.Kill("n2"))
	if err == nil {
		err = t.await(ctx, "the second shard has a primary again", func() bool { return t.cluster.Leader(1) != nil })
	}
	took := since(begun)
	before := written.Load()
	if err == nil {
		err = t.await(ctx, "writes go on", func() bool { return written.Load() > before+2000 })
	}
	close(stop)
	werr := <-done
	if err != nil {
		return err
	}
	for _, e := range unwrap(werr) {
		if e != nil && !errors.Is(e, errStop) {
			err = e
		}
	}
	n := t.cluster.Leader(1)
	t.Check(n != nil && n.ID() == "n5", "n5 leads the second shard %v after the kill, by the votes of n1 and n3 (they hear nothing for %d ms first)", took, timeout)
	t.CheckErr(err, "%d writes went on meanwhile; the slowest took %v, none failed", written.Load(), round(time.Duration(slowest.Load())))
	return t.verify(ctx, "all %d files that were replicated before are there", len(t.keys))
}

var errStop = errors.New("stop")

func unwrap(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// comeBack starts the killed node again.
func (t *teller) comeBack(ctx context.Context) error {
	t.Chapter("n2 returns")
	begun := time.Now()
	if err := t.cluster.Start("n2"); err != nil {
		return err
	}
	if err := t.await(ctx, "all are in step", t.cluster.Ready); err != nil {
		return err
	}
	s := t.cluster.Node("n2").Look()
	t.Check(s.State == server.StateReplica && s.Primary == "n5", "n2 follows n5, which has the votes, after %v; it has %d keys again", since(begun), s.Keys)
	// It is killed before it has been in step for long, and n5 goes on alone.
	return t.replicated(ctx)
}

// moveSlots moves slots under load.
func (t *teller) moveSlots(ctx context.Context) error {
	const slots, counters = 150, 1000
	t.Chapter("Move %d slots from the first shard to the third while clients count", slots)
	before := t.cluster.Leader(2).Look().Slots
	counts := make([]atomic.Int64, counters)
	stop := make(chan struct{})
	done := make(chan error, 1)
	var redirected atomic.Int64
	go func() {
		done <- t.each(ctx, 1<<30, func(c *client.Client, i int) error {
			select {
			case <-stop:
				return errStop
			default:
			}
			before := c.Asked + c.Moved
			_, err := c.Do(ctx, "INCR", fmt.Sprintf("hits:%d", i%counters))
			counts[i%counters].Add(1)
			redirected.Add(int64(c.Asked + c.Moved - before))
			return err
		})
	}()
	begun := time.Now()
	keys, err := t.move(ctx, 0, 2, slots)
	took := since(begun)
	close(stop)
	for _, e := range unwrap(<-done) {
		if e != nil && !errors.Is(e, errStop) {
			err = errors.Join(err, e)
		}
	}
	if !t.CheckErr(err, "%d slots with %d keys moved in %v; clients were redirected %d times", slots, keys, took, redirected.Load()) {
		return err
	}
	var wrong, total atomic.Int64
	err = t.each(ctx, counters, func(c *client.Client, i int) error {
		r, err := c.Do(ctx, "GET", fmt.Sprintf("hits:%d", i))
		if want := counts[i].Load(); err == nil && want > 0 && string(r.Bytes) != fmt.Sprint(want) {
			wrong.Add(1)
		}
		total.Add(counts[i].Load())
		return err
	})
	t.Check(err == nil && wrong.Load() == 0, "not one of %d increments was lost or made twice", total.Load())
	t.Check(t.cluster.Leader(2).Look().Slots == before+slots, "the third shard owns %d slots", before+slots)
	return t.verify(ctx, "all files are still there")
}

// restart closes all nodes and starts them from their snapshots.
func (t *teller) restart(ctx context.Context) error {
	t.Chapter("Close all nodes, and start them from their snapshots")
	begun := time.Now()
	if err := t.cluster.Close(); err != nil {
		return err
	}
	var err error
	for _, id := range t.cluster.IDs() {
		err = errors.Join(err, t.cluster.Start(id))
	}
	if err != nil {
		return err
	}
	if err := t.await(ctx, "the cluster is ready", t.cluster.Ready); err != nil {
		return err
	}
	return t.verify(ctx, "all files are there after %v", since(begun))
}

// stroll lets a few clients read and write until the story is over for good.
func (t *teller) stroll(ctx context.Context) {
	c := client.New(t.cluster.Addrs()...)
	defer c.Close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A node that somebody killed is no news here.
		c.Do(ctx, "GET", t.keys[i*7%len(t.keys)])
		c.Do(ctx, "INCR", fmt.Sprintf("hits:%d", i%1000))
	}
}

func since(t time.Time) time.Duration { return round(time.Since(t)) }

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// sizeOf is a number of bytes for people.
func sizeOf(n int) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
