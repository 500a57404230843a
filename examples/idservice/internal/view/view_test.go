package view

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// fake has a node that serves and one that never answers.
type fake struct{ asked []string }

func (f *fake) Look(ctx context.Context, id string) (node.Status, bool) {
	if id == "mute" {
		<-ctx.Done()
		return node.Status{}, false
	}
	now := time.Now()
	return node.Status{
		ID: id, State: node.Serving, Worker: 3, Issued: 10, Rate: 5, Lost: 1, P50: 1, P99: 2, P999: 3, Most: 4,
		Now: now.Add(-time.Minute), Last: 1, LastTime: now.Add(-time.Second), MarkedTo: now.Add(time.Second),
	}, true
}

func (f *fake) Act(action, id string, by time.Duration) error {
	f.asked = append(f.asked, fmt.Sprint(action, " ", id, " ", by))
	if action == page.ActionKill {
		return errors.New("no")
	}
	return nil
}

func TestView(t *testing.T) {
	f := &fake{}
	v := New(Options{Name: "ids", Members: []node.Member{{ID: "a", HTTP: "h"}, {ID: "mute"}}, Service: f, Acts: true})
	for i := range dash.MaxEvents + 5 {
		v.AddNode(node.Event{Node: "a", Kind: "k", Text: fmt.Sprint(i)})
	}
	v.Prove("none in %d", 5)
	s := v.State().(page.State)
	require.Len(t, s.Events, dash.MaxEvents)
	require.Equal(t, "5", s.Events[0].Text)
	require.Equal(t, page.Totals{Issued: 10, Rate: 5, Serving: 1, Lost: 1, Proof: "none in 5"}, s.Totals)
	a, mute := s.Nodes[0], s.Nodes[1]
	require.Equal(t, "h", a.HTTP)
	require.Equal(t, []float64{1, 2, 4}, []float64{a.P50, a.P99, a.Most})
	require.InDelta(t, -60_000, a.ClockAt, 900)
	require.InDelta(t, -1000, a.LastAt, 900)
	require.InDelta(t, 1000, a.MarkAt, 900)
	require.True(t, a.HasLast && a.HasMark)
	require.Equal(t, page.NodeDown, mute.State)
	require.Equal(t, int64(-1), mute.Worker)

	act := func(name, id, by string) error {
		return v.Act(t.Context(), name, dash.Args{page.ArgNode: id, page.ArgBy: by})
	}
	require.ErrorIs(t, act("dance", "a", ""), dash.ErrUnknownAction)
	require.ErrorContains(t, act(page.ActionFreeze, "b", ""), `no node "b"`)
	require.ErrorContains(t, act(page.ActionStep, "a", "much"), "duration")
	require.ErrorContains(t, act(page.ActionStep, "a", "48h"), "more than a day")
	require.ErrorContains(t, act(page.ActionStep, "a", "-9223372036854775808ns"), "more than a day")
	require.ErrorContains(t, act(page.ActionKill, "a", ""), "no")
	require.NoError(t, act(page.ActionStep, "a", "-2s"))
	require.Equal(t, []string{"kill a 0s", "step a -2s"}, f.asked)
	s = v.State().(page.State)
	require.Equal(t, "its clock is set by -2s", s.Events[len(s.Events)-1].Text)
}
