package gate

import (
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// shape changes the members of an answer that is a JSON object; any other stays as it is.
// What clients are not to see must not slip through for being too long: then there is no
// answer.
func shape(s *rules.Shape, res *http.Response) error {
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); s == nil || err != nil || kind != "application/json" {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, largestCall+1))
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if len(b) == 0 { // to HEAD: how long it would be is not known
		replace(res, nil)
		res.ContentLength = -1
		res.Header.Del("Content-Length")
		return nil
	}
	var all map[string]json.RawMessage
	if len(b) > largestCall || res.Header.Get("Content-Encoding") != "" || !json.Valid(b) {
		return errReply
	}
	if json.Unmarshal(b, &all) != nil || all == nil { // a list or a number
		replace(res, b)
		return nil
	}
	for name := range all {
		if len(s.Only) > 0 && !slices.Contains(s.Only, name) || slices.Contains(s.Without, name) {
			delete(all, name)
		}
	}
	renamed := map[string]json.RawMessage{}
	for name, to := range s.Rename {
		if value, ok := all[name]; ok {
			renamed[to] = value
			delete(all, name)
		}
	}
	maps.Copy(all, renamed) // a new name wins over an old one
	if b, err = json.Marshal(all); err != nil {
		return err
	}
	replace(res, b)
	return nil
}
