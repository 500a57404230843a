package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// Translation: a route with "rpc" is a resource outside and a procedure inside.
//
//	GET /find/print?limit=3 ─▶ {"method": "Files.Find", "params": {"word": "print", "limit": 3}, "id": …}
//	200 {"total": …}        ◀─ {"result": {"total": …}, "id": …}
//	404 problem+json        ◀─ {"error": {"code": -32001, "message": "no such file"}, "id": …}
//
// Parameters come from the path's segments, the query and a body, each from one of them,
// and have the types that the rules say: what a procedure would not understand does not
// reach it. JSON-RPC 2.0, and 1.0 as net/rpc/jsonrpc has it. A call is a POST: it is made
// again only if it was never sent.

// largestCall bounds a body that becomes a call, and a result.
const largestCall = 1 << 20

// badCall is a request that cannot be made a call.
type badCall struct {
	status int
	detail string
}

func (e *badCall) Error() string { return e.detail }

// calling makes a call of a request before next, the proxy, sends it.
func calling(r *route, next http.Handler) http.Handler {
	if r.RPC == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := r.call(q)
		var bad *badCall
		switch {
		case errors.As(err, &bad):
			refuse(w, bad.status, bad.detail)
		case err != nil:
			proxyError(w, err)
		default:
			callOf(q).body = body
			next.ServeHTTP(w, q)
		}
	})
}

// call is the call that a request stands for.
func (r *route) call(q *http.Request) ([]byte, error) {
	params := map[string]json.RawMessage{}
	put := func(name string, raw json.RawMessage) error {
		if _, twice := params[name]; twice {
			return &badCall{http.StatusBadRequest, fmt.Sprintf("Parameter %q is there twice.", name)}
		}
		params[name] = raw
		return nil
	}
	text := func(name, value string) error {
		raw, ok := typed(r.RPC.Params[name], value)
		if !ok {
			return &badCall{http.StatusBadRequest, fmt.Sprintf("Parameter %q is unknown, or no %s.", name, r.RPC.Params[name])}
		}
		return put(name, raw)
	}
	if rest := strings.TrimPrefix(q.URL.Path, r.Path); strings.HasSuffix(r.Path, "/") && rest != "" {
		segments := strings.Split(rest, "/")
		if len(segments) > len(r.RPC.Segments) {
			return nil, &badCall{http.StatusNotFound, "No route leads there."}
		}
		for i, s := range segments {
			if err := text(r.RPC.Segments[i], s); err != nil {
				return nil, err
			}
		}
	}
	query, err := url.ParseQuery(q.URL.RawQuery)
	if err != nil {
		return nil, &badCall{http.StatusBadRequest, "The query cannot be read."}
	}
	for name, values := range query {
		for _, v := range values {
			if err := text(name, v); err != nil {
				return nil, err
			}
		}
	}
	if err := r.fromBody(q, put); err != nil {
		return nil, err
	}
	id := callOf(q).id
	if r.RPC.Version == "1.0" {
		return json.Marshal(map[string]any{"method": r.RPC.Method, "params": []any{params}, "id": id})
	}
	return json.Marshal(map[string]any{"jsonrpc": "2.0", "method": r.RPC.Method, "params": params, "id": id})
}

// fromBody takes the parameters of a body.
func (r *route) fromBody(q *http.Request, put func(string, json.RawMessage) error) error {
	if q.Body == nil || q.Body == http.NoBody || q.ContentLength == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &badCall{http.StatusUnsupportedMediaType, "A body is application/json here."}
	}
	b, err := io.ReadAll(http.MaxBytesReader(nil, q.Body, largestCall))
	if err != nil {
		return readError(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil || members == nil {
		return &badCall{http.StatusBadRequest, "The body is no JSON object."}
	}
	for name, raw := range members {
		if !is(r.RPC.Params[name], raw) {
			return &badCall{http.StatusBadRequest, fmt.Sprintf("Parameter %q is unknown, or no %s.", name, r.RPC.Params[name])}
		}
		if err := put(name, raw); err != nil {
			return err
		}
	}
	return nil
}

// typed is a text as a JSON value of a type.
func typed(kind, s string) (raw json.RawMessage, ok bool) {
	switch kind {
	case "string":
		raw, err := json.Marshal(s)
		return raw, err == nil
	case "integer":
		n, err := strconv.ParseInt(s, 10, 64)
		return strconv.AppendInt(nil, n, 10), err == nil
	case "number": // as JSON has it: no hexadecimal digits, no infinity
		return json.RawMessage(s), is(kind, json.RawMessage(s))
	case "boolean":
		return json.RawMessage(s), s == "true" || s == "false"
	}
	return nil, false
}

// is says that a JSON value has a type.
func is(kind string, raw json.RawMessage) bool {
	if !json.Valid(raw) {
		return false
	}
	first := bytes.TrimLeft(raw, " \t\r\n")[0]
	number := first == '-' || first >= '0' && first <= '9'
	switch kind {
	case "string":
		return first == '"'
	case "integer":
		_, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
		return err == nil
	case "number":
		return number && len(bytes.TrimSpace(raw)) == len(raw)
	case "boolean":
		return first == 't' || first == 'f'
	case "any":
		return true
	}
	return false
}

// reply is what a procedure has answered. An error is an object in version 2.0, anything
// in 1.0.
type reply struct {
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
	ID     json.RawMessage `json:"id"`
}

var errReply = errors.New("gate: a backend's reply is none")

// answerOf turns a reply into an answer.
func answerOf(c *rules.RPC, id string, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return nil // of a server that did not come to call anything
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, largestCall+1))
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	var r reply
	var same string
	if len(b) > largestCall || json.Unmarshal(b, &r) != nil || json.Unmarshal(r.ID, &same) != nil || same != id {
		return errReply
	}
	status, kind, body := http.StatusOK, "application/json", []byte(r.Result)
	if len(r.Error) > 0 && string(r.Error) != "null" {
		var detail string
		status, detail = failureOf(c, r.Error)
		kind, body = "application/problem+json", problem(status, detail)
	} else if len(r.Result) == 0 {
		return errReply
	}
	res.StatusCode, res.Status = status, strconv.Itoa(status)+" "+http.StatusText(status)
	res.Header.Set("Content-Type", kind)
	replace(res, body)
	return nil
}

// failureOf is the status of an error. Its words are for clients only if the rules know it.
func failureOf(c *rules.RPC, raw json.RawMessage) (status int, detail string) {
	var e struct {
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
	}
	name := ""
	if json.Unmarshal(raw, &name) == nil {
		e.Message = name
	} else if json.Unmarshal(raw, &e) == nil {
		name = e.Code.String()
	}
	if s, known := c.Errors[name]; known {
		return s, e.Message
	}
	if name == "-32602" {
		return http.StatusBadRequest, "These parameters cannot be."
	}
	return http.StatusBadGateway, "What would answer has failed."
}

// replace puts another body into an answer.
func replace(res *http.Response, body []byte) {
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	for _, name := range []string{"Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges", "Trailer"} {
		res.Header.Del(name) // they were about the other
	}
	res.Trailer = nil
}
