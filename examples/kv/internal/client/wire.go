package client

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
)

// value, entry and page are the JSON of package httpapi; it has the words.
type value struct {
	Value   []byte     `json:"value"`
	Written time.Time  `json:"written"`
	Expires *time.Time `json:"expires,omitempty"`
}

type entry struct {
	Key      string  `json:"key"` // percent-encoded
	Context  string  `json:"context,omitempty"`
	Siblings []value `json:"siblings,omitempty"`
}

type page struct {
	Entries []entry `json:"entries"`
	Next    string  `json:"next,omitempty"`
}

func fromWire(vs []value) []api.Value {
	var out []api.Value
	for _, v := range vs {
		x := api.Value{Data: v.Value, Written: v.Written}
		if v.Expires != nil {
			x.Expires = *v.Expires
		}
		out = append(out, x)
	}
	return out
}

func toWire(vs []api.Value) []value {
	var out []value
	for _, v := range vs {
		x := value{Value: v.Data, Written: v.Written.UTC()}
		if !v.Expires.IsZero() {
			at := v.Expires.UTC()
			x.Expires = &at
		}
		out = append(out, x)
	}
	return out
}

// decodeRead reads the answer to a Get. Every server answers 404; only a node says in the
// header which partition table it looked at.
func decodeRead(resp *http.Response) (*api.Read, error) {
	d := decoder{h: resp.Header}
	out := &api.Read{Context: d.context(), Answers: d.count(httpapi.HeaderAnswers), Epoch: d.epoch()}
	if d.err != nil {
		return nil, d.err
	}
	switch resp.StatusCode {
	case http.StatusNotFound:
		return out, nil
	case http.StatusOK:
		v := api.Value{Written: d.time(httpapi.HeaderWritten), Expires: d.time(httpapi.HeaderExpires)}
		var err error
		if v.Data, err = body(resp); err != nil {
			return nil, err
		}
		out.Values = []api.Value{v}
	case http.StatusMultipleChoices:
		var s entry
		d.err = json.NewDecoder(resp.Body).Decode(&s)
		if out.Values = fromWire(s.Siblings); d.err == nil && len(out.Values) < 2 {
			d.err = fmt.Errorf("%w: siblings without siblings", errAnswer)
		}
	default:
		d.err = fmt.Errorf("%w: %s", errAnswer, resp.Status)
	}
	if d.err != nil {
		return nil, d.err
	}
	return out, nil
}

// body reads a value whole.
func body(resp *http.Response) ([]byte, error) {
	if n := resp.ContentLength; n >= 0 && n <= api.MaxValue {
		b := make([]byte, n)
		_, err := io.ReadFull(resp.Body, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, api.MaxValue+1))
	if err == nil && len(b) > api.MaxValue {
		err = fmt.Errorf("%w: a value over %d bytes", errAnswer, api.MaxValue)
	}
	return b, err
}

func decodeWritten(resp *http.Response) (*api.Written, error) {
	if resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("%w: %s", errAnswer, resp.Status)
	}
	d := decoder{h: resp.Header}
	out := &api.Written{
		Context: d.context(), Primaries: d.count(httpapi.HeaderPrimaries),
		Fallbacks: d.count(httpapi.HeaderFallbacks), Epoch: d.epoch(),
	}
	if d.err != nil {
		return nil, d.err
	}
	return out, nil
}

func decodePage(resp *http.Response) (*api.Page, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s", errAnswer, resp.Status)
	}
	var p page
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		return nil, err
	}
	out := &api.Page{}
	for _, e := range p.Entries {
		key, err := url.PathUnescape(e.Key)
		if err != nil {
			return nil, fmt.Errorf("%w: key: %w", errAnswer, err)
		}
		ctx, err := base64.RawURLEncoding.DecodeString(e.Context)
		if err != nil {
			return nil, fmt.Errorf("%w: context: %w", errAnswer, err)
		}
		out.Entries = append(out.Entries, api.Entry{Key: []byte(key), Read: api.Read{Values: fromWire(e.Siblings), Context: ctx}})
	}
	if p.Next != "" {
		next, err := base64.RawURLEncoding.DecodeString(p.Next)
		if err != nil {
			return nil, fmt.Errorf("%w: next: %w", errAnswer, err)
		}
		out.Next = next
	}
	return out, nil
}

func decodeStatus(resp *http.Response) (json.RawMessage, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %s", errAnswer, resp.Status)
	}
	var raw json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return bytes.TrimSpace(raw), nil
}

// decoder reads headers and keeps the first error.
type decoder struct {
	h   http.Header
	err error
}

func (d *decoder) bad(name string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s: %q", errAnswer, name, d.h.Get(name))
	}
}

func (d *decoder) context() []byte {
	if d.h.Get(httpapi.HeaderContext) == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(d.h.Get(httpapi.HeaderContext))
	if err != nil {
		d.bad(httpapi.HeaderContext)
	}
	return b
}

func (d *decoder) count(name string) int {
	n, err := strconv.ParseUint(d.h.Get(name), 10, 16)
	if err != nil {
		d.bad(name)
	}
	return int(n)
}

func (d *decoder) epoch() uint64 {
	n, err := strconv.ParseUint(d.h.Get(httpapi.HeaderEpoch), 10, 64)
	if err != nil {
		d.bad(httpapi.HeaderEpoch)
	}
	return n
}

func (d *decoder) time(name string) time.Time {
	s := d.h.Get(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		d.bad(name)
	}
	return t
}
