package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// reads of a are answered by a itself and by the first of the others, b.
func TestReadAsksAsManyAsItNeeds(t *testing.T) {
	c := newTrio(t, func(o *Options) { o.Survey = 1 << 40 })
	require.NoError(t, c.put("k", "v").Err)
	d := c.get("k")
	require.NoError(t, d.Err)
	require.Equal(t, "v", string(d.Read.Values[0].Data))
	require.Equal(t, []string{"a→b read", "b→a read reply"}, c.sent)
}

func TestSurveyAsksAll(t *testing.T) {
	c := newTrio(t, func(o *Options) { o.Survey = 1 })
	require.NoError(t, c.get("k").Err)
	require.Equal(t, 1, c.said("a→b read"))
	require.Equal(t, 1, c.said("a→c read"))
}

// TestHedge: an owner that does not answer costs a read Options.Hedge, and the next ones
// nothing, for they ask another first.
func TestHedge(t *testing.T) {
	c := newTrio(t, func(o *Options) { o.Survey, o.Hedge = 1<<40, 20 })
	require.NoError(t, c.put("k", "v").Err)
	c.lost = func(_, to string, m *Message) bool { return to == "b" && m.Kind == Read }
	require.Nil(t, c.get("k"), "b says nothing")
	c.pass(15)
	require.Empty(t, c.done)
	c.pass(10)
	require.Len(t, c.done, 1)
	require.NoError(t, c.done[0].Err)
	require.Equal(t, "v", string(c.done[0].Read.Values[0].Data))
	require.Equal(t, 1, c.said("a→c read"))

	require.NotNil(t, c.get("k"), "c is asked at once")
	require.Zero(t, c.said("a→b read"))
	c.pass(shunned)
	require.Nil(t, c.get("k"), "b gets another chance")
	require.Equal(t, 1, c.said("a→b read"))
}

// TestReadWidens: an owner that cannot answer is replaced without waiting.
func TestReadWidens(t *testing.T) {
	c := newTrio(t, func(o *Options) { o.Survey = 1 << 40 })
	require.NoError(t, c.put("k", "v").Err)
	c.nodes["b"].parts[0].ready = false
	d := c.get("k")
	require.NotNil(t, d)
	require.NoError(t, d.Err)
	require.Equal(t, 1, c.said("a→c read"))

	c.nodes["c"].parts[0].ready = false
	d = c.get("k")
	require.NotNil(t, d, "nobody is left to ask")
	require.Error(t, d.Err)
}

// TestDoubledAnswer: an answer that comes twice does not pass for that to the question
// after it. A read that brings an owner level is told of it by nothing but the owner's own
// word.
func TestDoubledAnswer(t *testing.T) {
	c := newTrio(t, func(o *Options) { o.Survey = 1 << 40 })
	require.NoError(t, c.put("k", "old").Err)
	c.lost = func(_, to string, m *Message) bool { return to == "b" && m.Kind == Merge }
	require.NoError(t, c.put("k", "new").Err)
	var answers []*Message
	c.lost = func(from, to string, m *Message) bool {
		if from == "b" && m.Reply && m.Kind == Read {
			answers = append(answers, m)
		}
		return to == "b" && m.Kind == Merge // the repair does not arrive
	}
	require.Nil(t, c.get("k"))
	require.Len(t, answers, 2, "digest, then object")
	for _, m := range answers {
		c.step("a", Received{"b", m})
	}
	require.Empty(t, c.done, "b is not level")
}
