package dashtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// Remote is a dashboard at an address, host:port, that is looked at and whose buttons are
// pressed as its page would. S is the state that the page draws.
type Remote[S any] struct {
	T    testing.TB
	Addr string
}

// State is what the page would draw now.
func (r Remote[S]) State() (s S) {
	r.T.Helper()
	res, err := http.Get("http://" + r.Addr + "/state")
	if err != nil {
		r.T.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		r.T.Fatal(err)
	}
	return s
}

// Press demands that an action is answered with a status, and that a refusal says why.
func (r Remote[S]) Press(status int, action string, args dash.Args) {
	r.T.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		r.T.Fatal(err)
	}
	res, err := http.Post("http://"+r.Addr+"/action/"+action, "application/json", bytes.NewReader(body))
	if err != nil {
		r.T.Fatal(err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err != nil {
		r.T.Fatal(err)
	}
	if res.StatusCode != status || status != http.StatusNoContent && len(said) == 0 {
		r.T.Fatalf("%s %v: status %d, not %d: %q", action, args, res.StatusCode, status, said)
	}
}

// Does demands that an action is done.
func (r Remote[S]) Does(action string, args dash.Args) {
	r.T.Helper()
	r.Press(http.StatusNoContent, action, args)
}
