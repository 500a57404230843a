package core

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func (c *trio) holds(id, key string) bool {
	_, ok := c.nodes[id].o.Store.(listed).mapStore[string(objectKey(0, []byte(key)))]
	return ok
}

// TestBusyPartitionIsNotListed: while writes go on, trees differ by what is on its way, and
// no comparison scans a partition for that.
func TestBusyPartitionIsNotListed(t *testing.T) {
	c := newTrio(t, nil)
	late := map[string]bool{} // the last write has not come to c yet
	c.lost = func(_, to string, m *Message) bool { return to == "c" && m.Kind == Merge && late[string(m.Key)] }
	for i := range 400 {
		key := fmt.Sprint("k", i)
		late[key] = true
		require.NoError(t, c.put(key, "v").Err)
		c.pass(10)
		late[key] = false
		n := c.nodes["a"]
		_, enc, err := n.stored(n.parts[0], []byte(key))
		require.NoError(t, err)
		c.step("c", Received{"a", &Message{
			Kind: Merge, Epoch: n.epoch, Tenure: n.tenure, ToTenure: c.nodes["c"].tenure, Stamp: uint64(c.now.Mono), Echo: uint64(c.now.Mono), Key: []byte(key), Object: enc,
		}})
		require.True(t, c.holds("c", key))
	}
	require.Positive(t, c.nodes["a"].stats.Comparisons)
	require.LessOrEqual(t, c.lists["a"]+c.lists["b"]+c.lists["c"], 2, "one comparison in %d may meet two writes in one leaf", c.nodes["a"].stats.Comparisons)
}

// TestLostWriteIsFoundUnderLoad: a difference that stays is found though writes go on.
func TestLostWriteIsFoundUnderLoad(t *testing.T) {
	c := newTrio(t, func(o *Options) { o.Survey = 1 << 40 })
	c.lost = func(_, to string, m *Message) bool { return to == "c" && m.Kind == Merge && string(m.Key) == "lost" }
	require.NoError(t, c.put("lost", "v").Err)
	c.lost = nil
	require.False(t, c.holds("c", "lost"))
	for i := range 1000 {
		require.NoError(t, c.put(fmt.Sprint("k", i%7), "v").Err)
		c.pass(5)
		if c.holds("c", "lost") {
			return
		}
	}
	t.Fatal("c never got it")
}
