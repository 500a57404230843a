package snowflake

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// stuck is a store that stops answering, and heeds no context, until it is freed.
type stuck struct {
	Store
	free chan struct{} // nil: it answers
}

func (s *stuck) Get(ctx context.Context, key string) ([]byte, int64, error) {
	s.wait()
	return s.Store.Get(context.WithoutCancel(ctx), key)
}

func (s *stuck) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	s.wait()
	return s.Store.CompareAndSet(context.WithoutCancel(ctx), key, rev, value)
}

func (s *stuck) wait() {
	if s.free != nil {
		<-s.free
	}
}

// TestStoreThatHangs: a store that never answers ends ids when the mark is reached, and not
// later; it does not hold up a call, Close or Acquire; and another holder's ids are above,
// also when the hanging writes come true in the end.
func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := &MemStore{}
		net := &stuck{Store: mem}
		o := LeaseOptions{Nodes: 1, TTL: 2 * time.Second, Timeout: 500 * time.Millisecond}
		first, err := acquireSoon(t, net, o)
		require.NoError(t, err)
		g1, err := New(Options{Layout: inBubble(Classic), Lease: first})
		require.NoError(t, err)
		last := next(t, g1)
		synctest.Wait()
		marked := g1.Stats().MarkedTo
		net.free = make(chan struct{})
		_, err = acquireSoon(t, net, LeaseOptions{Nodes: 2, Prefer: 1, Timeout: 300 * time.Millisecond})
		require.ErrorIs(t, err, ErrStalled)
		require.ErrorIs(t, err, ErrNoNode)
		for {
			before := time.Now()
			id, err := g1.Next()
			require.LessOrEqual(t, time.Since(before), time.Second, "a call waits for MarkEvery at most")
			if err != nil {
				require.ErrorIs(t, err, ErrMark)
				break
			}
			require.True(t, g1.o.Layout.Time(id).Before(marked), "an id that was not announced")
			last = id
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		_, err = g1.Next()
		require.ErrorIs(t, err, ErrStalled)

		second, err := Acquire(t.Context(), mem, o)
		require.NoError(t, err)
		g2, err := New(Options{Layout: inBubble(Classic), Lease: second})
		require.NoError(t, err)
		require.Greater(t, next(t, g2), last)
		before := time.Now()
		require.ErrorIs(t, g1.Close(), ErrStalled)
		require.LessOrEqual(t, time.Since(before), 2*releaseTimeout)
		close(net.free) // all that hung happens now
		synctest.Wait()
		for range 100 {
			next(t, g2)
			time.Sleep(10 * time.Millisecond)
		}
		require.NoError(t, g2.Close())
	})
}

// TestHangingWriteComesTrue: a mark that was given up, and is written after all, is no other
// holder's.
func TestHangingWriteComesTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &stuck{Store: &MemStore{}}
		l, err := acquireSoon(t, net, LeaseOptions{Nodes: 1, Timeout: time.Second})
		require.NoError(t, err)
		net.free = make(chan struct{})
		require.ErrorIs(t, l.Store(t.Context(), time.Now()), ErrStalled)
		close(net.free)
		synctest.Wait()
		require.NoError(t, l.Store(t.Context(), time.Now().Add(time.Second)))
		require.NoError(t, l.Release(t.Context()))
	})
}

// hanging is a mark that heeds no context.
type hanging struct {
	memMark
	load, store chan struct{}
}

func (m *hanging) Load(ctx context.Context) (time.Time, error) {
	if m.load != nil {
		<-m.load
	}
	return m.memMark.Load(ctx)
}

func (m *hanging) Store(ctx context.Context, t time.Time) error {
	if m.store != nil {
		<-m.store
	}
	return m.memMark.Store(ctx, t)
}

// TestMarkThatHangs holds up neither New nor Close for ever.
func TestMarkThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &hanging{load: make(chan struct{}), store: make(chan struct{})}
		before := time.Now()
		_, err := New(Options{Layout: inBubble(Classic), Mark: m})
		require.ErrorIs(t, err, ErrMark)
		require.ErrorIs(t, err, ErrStalled)
		require.LessOrEqual(t, time.Since(before), defaultMaxBack)
		close(m.load)
		g, err := New(Options{Layout: inBubble(Classic), Mark: m})
		require.NoError(t, err)
		_, err = g.Next()
		require.ErrorIs(t, err, ErrMark)
		before = time.Now()
		require.ErrorIs(t, g.Close(), ErrStalled)
		require.Equal(t, 2*releaseTimeout, time.Since(before))
		_, err = g.Next()
		require.ErrorIs(t, err, ErrClosed)
		close(m.store)
	})
}
