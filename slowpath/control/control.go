// Package control is the control channel: Kea's JSON commands over unix sockets
// and HTTP (CC-001 to CC-013), and a client for them.
//
// A Registry knows the commands and runs them. Channels are the listening
// sockets; they find out where a request ends, give it to the Registry and write
// the answer. What the commands do is other packages' matter.
//
// Whoever can connect is assumed to be allowed to ask but not to be friendly:
// requests are limited in size, nesting and time, connections in number, and
// everything refused is counted in Stats. One that has not sent a complete
// request yet makes way for a new one when there are too many, so that idle
// connections cannot keep an operator out.
//
// Every exported method may be called from any goroutine.
package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Results of a command (CC-008).
const (
	ResultSuccess     = 0
	ResultError       = 1
	ResultUnsupported = 2
	ResultEmpty       = 3 // success, but nothing was found
	ResultConflict    = 4
	ResultFatal       = 5 // error, and state may have been changed partly
)

// Response is the answer to a command (CC-007). Arguments is anything
// encoding/json can write, nil for none.
type Response struct {
	Result    int
	Text      string
	Arguments any
}

// Errorf is a Response with ResultError.
func Errorf(format string, a ...any) Response {
	return Response{Result: ResultError, Text: fmt.Sprintf(format, a...)}
}

// MarshalJSON writes {"result":…,"text":…,"arguments":…} without what is empty.
func (r Response) MarshalJSON() ([]byte, error) { return r.encode() }

// encode is MarshalJSON for callers that do not want encoding/json to go through
// a long answer a second time.
func (r Response) encode() ([]byte, error) {
	if raw, ok := r.Arguments.(json.RawMessage); ok && len(raw) == 0 {
		r.Arguments = nil
	}
	out := fmt.Appendf(nil, `{"result":%d`, r.Result)
	if r.Text != "" {
		text, err := encode(r.Text)
		if err != nil {
			return nil, err
		}
		out = append(append(out, `,"text":`...), text...)
	}
	if r.Arguments != nil {
		args, err := encode(r.Arguments)
		if err != nil {
			return nil, err
		}
		out = append(append(out, `,"arguments":`...), args...)
	}
	return append(out, '}'), nil
}

// appendOrFail appends what the channels send: the answer, or that it cannot be
// written, octet by octet as Kea writes it.
func (r Response) appendOrFail(b []byte) []byte {
	s := spacer{out: b}
	if err := r.space(&s); err != nil {
		s = spacer{out: b}
		// A plain text always encodes.
		_ = Errorf("internal server error: answer cannot be written as JSON: %v", err).space(&s)
	}
	return s.out
}

// space writes the answer in the order of Kea's map: arguments, result, text.
func (r Response) space(s *spacer) error {
	if raw, ok := r.Arguments.(json.RawMessage); ok && len(raw) == 0 {
		r.Arguments = nil
	}
	s.Write([]byte{'{'})
	if r.Arguments != nil {
		s.Write([]byte(`"arguments":`))
		if err := encodeTo(s, r.Arguments); err != nil {
			return err
		}
		s.Write([]byte{','})
	}
	s.Write(strconv.AppendInt([]byte(`"result":`), int64(r.Result), 10))
	if r.Text != "" {
		s.Write([]byte(`,"text":`))
		if err := encodeTo(s, r.Text); err != nil {
			return err
		}
	}
	s.Write([]byte{'}'})
	return nil
}

// encode is json.Marshal without the escapes for HTML, which Kea does not write.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := encodeTo(&b, v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodeTo writes v and perhaps a line feed.
func encodeTo(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Request is a command as received.
type Request struct {
	Command string
	// Arguments is the JSON of "arguments", nil if absent.
	Arguments json.RawMessage
	// Service is "service": which daemons it is for, nil if absent.
	Service []string
	// badService is what is wrong with "service"; only HTTP minds it (CC-006).
	badService string
}

// requestKeys are all that a request may have (CC-006).
var requestKeys = []string{"command", "arguments", "service", "remote-address"}

// ParseRequest reads one complete JSON document without comments, as a scanner
// returns it. Texts of errors are Kea's where Kea has one.
func ParseRequest(text []byte) (Request, error) {
	var r Request
	trimmed := bytes.TrimSpace(text)
	var m map[string]json.RawMessage
	if err := json.Unmarshal(trimmed, &m); err != nil || m == nil {
		if err == nil || !isSyntax(err) {
			return r, fmt.Errorf("invalid command: expected toplevel entry to be a map, got %s instead", typeName(trimmed))
		}
		return r, fmt.Errorf("parse command: %w", err)
	}
	if _, ok := m["command"]; !ok {
		return r, errors.New("invalid command: does not contain mandatory 'command'")
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !slices.Contains(requestKeys, k) {
			return r, fmt.Errorf("invalid command: unsupported parameter '%s'", clip(k, 100))
		}
	}
	if typeName(m["command"]) != "string" {
		return r, fmt.Errorf("invalid command: expected 'command' to be a string, got %s instead", typeName(m["command"]))
	}
	if err := json.Unmarshal(m["command"], &r.Command); err != nil {
		return r, fmt.Errorf("invalid command: %w", err)
	}
	if v, ok := m["arguments"]; ok && string(v) != "null" {
		r.Arguments = v
	}
	if v, ok := m["service"]; ok {
		r.Service, r.badService = parseService(v)
	}
	return r, nil
}

func isSyntax(err error) bool {
	var s *json.SyntaxError
	return errors.As(err, &s)
}

func parseService(v json.RawMessage) ([]string, string) {
	var items []json.RawMessage
	if typeName(v) != "list" || json.Unmarshal(v, &items) != nil {
		return nil, "service value must be a list"
	}
	names := []string{}
	for _, item := range items {
		var s string
		if typeName(item) != "string" || json.Unmarshal(item, &s) != nil {
			return nil, "service name must be a string"
		}
		names = append(names, s)
	}
	return names, ""
}

// typeName is Kea's word for the type of a JSON value.
func typeName(v []byte) string {
	if len(v) == 0 {
		return "null"
	}
	switch v[0] {
	case '{':
		return "map"
	case '[':
		return "list"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	if bytes.ContainsAny(v, ".eE") {
		return "real"
	}
	return "integer"
}

// clip keeps a client's text short where it is repeated in an answer.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
