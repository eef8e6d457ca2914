package control

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestScannerFindsTheEnd(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tc := range []struct{ in, text, err string }{
		{`{}`, `{}`, ""},
		{` {"command":"x"}`, `{"command":"x"}`, ""},
		{"{\"a\":1}\n", `{"a":1}`, ""},
		{`{"a":1}{"b":2}`, `{"a":1}`, ""},
		{`{"a":"}\"]\\"}`, `{"a":"}\"]\\"}`, ""},
		{`{"a":"// # /* no comment"}`, `{"a":"// # /* no comment"}`, ""},
		{"# one\n// two\n/* three **/ {/* four */\"a\": 1 # five\n}", "{ \"a\": 1 \n}", ""},
		{`{"a":1/*x*/2}`, `{"a":1 2}`, ""},
		{`[{"a":[]}]`, `[{"a":[]}]`, ""},
		{`{]`, `{]`, ""}, // not the scanner's matter
		{deep(maxNesting), deep(maxNesting), ""},
		{deep(maxNesting + 1), "", "command is nested deeper than 256 levels"},
		{strings.Repeat("[", 1<<20), "", "command is nested deeper than 256 levels"},
		{`"x"`, "", `invalid first character "`},
		{`}`, "", "invalid first character }"},
		{"\x00\x01", "", "invalid first character 0x00"},
		{"\xff{}", "", "invalid first character 0xff"},
		{"GET / HTTP/1.1\r\n", "", "invalid first character G"},
		{`/x`, "", "invalid characters /x"},
		{`{/"`, "", `invalid characters /"`},
		{``, "", "incomplete"},
		{`   `, "", "incomplete"},
		{`{"a":"`, "", "incomplete"},
		{`{"a":1`, "", "incomplete"},
		{`{} # x`, `{}`, ""},
		{`{/* } `, "", "incomplete"},
		{`{"a":"` + strings.Repeat("x", 2000) + `"}`, "", "command is too large"},
		{`#` + strings.Repeat("x", 2000), "", "command is too large"},
		{strings.Repeat(" ", 2000), "", "command is too large"},
	} {
		for _, step := range []int{1, 2, 3, 7, 1 << 30} {
			limit := 1000
			if strings.HasPrefix(tc.in, "[[") {
				limit = 1 << 30
			}
			s := scanner{maxBytes: limit}
			var err error
			done := false
			for in := []byte(tc.in); len(in) > 0 && !done && err == nil; {
				n := min(step, len(in))
				chunk := bytes.Clone(in[:n])
				done, err = s.feed(chunk)
				clear(chunk) // it must not be kept
				in = in[n:]
			}
			got, gotErr := string(s.text), ""
			switch {
			case err != nil:
				gotErr = err.Error()
			case !done:
				got, gotErr = "", "incomplete"
			}
			if got != tc.text || gotErr != tc.err {
				t.Errorf("%.60q by %d: %q, %s; want %q, %s", tc.in, step, got, gotErr, tc.text, tc.err)
			}
		}
	}
}

func TestScannerDoesNothingAfterTheEnd(t *testing.T) {
	s := scanner{}
	if done, err := s.feed([]byte(`{}`)); !done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := s.feed([]byte(`}}}}`)); !done || err != nil || string(s.text) != `{}` {
		t.Error(done, err, s.text)
	}
	s = scanner{}
	s.feed([]byte(`x`))
	if done, err := s.feed([]byte(`{}`)); done || err == nil || s.text != nil {
		t.Error("went on after an error")
	}
}

// However the stream is cut, the result is the same; and a valid JSON object is
// found whole, whatever follows it.
func FuzzScanner(f *testing.F) {
	for _, s := range []string{
		`{"command":"config-get","service":["dhcp4"]}`, "// x\n{\"a\":/*y*/[1,\"}\"]}\n", `{"a":"\\\""}`, "#", "/**", "[[[]]]", "{\"\\", "\x00",
	} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		whole := scanner{maxBytes: 1 << 16}
		done, err := whole.feed(in)
		parts := scanner{maxBytes: 1 << 16}
		pdone, perr := false, error(nil)
		step := int(cut)%16 + 1
		for i := 0; i < len(in) && !pdone && perr == nil; i += step {
			pdone, perr = parts.feed(in[i:min(i+step, len(in))])
		}
		if done != pdone || (err == nil) != (perr == nil) || done && !bytes.Equal(whole.text, parts.text) {
			t.Fatalf("%q by %d: %v %v %q, whole: %v %v %q", in, step, pdone, perr, parts.text, done, err, whole.text)
		}
		if done {
			ParseRequest(whole.text)
		}
		text := bytes.TrimLeft(in, " \t\r\n")
		if len(text) == 0 || text[0] != '{' && text[0] != '[' || bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) > maxNesting || len(in) > 1<<16 {
			return
		}
		if dec := json.NewDecoder(bytes.NewReader(text)); true {
			var v json.RawMessage
			if dec.Decode(&v) == nil && (!done || !bytes.Equal(v, whole.text)) {
				t.Fatalf("%q: %q, want %q", in, whole.text, v)
			}
		}
	})
}

func TestParseRequest(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{"command":"a-b"}`, `a-b  []`},
		{`{"command":"a","arguments":{"x":[1]},"service":["dhcp4","d2"],"remote-address":"1.2.3.4"}`, `a {"x":[1]} [dhcp4 d2]`},
		{`{"command":"a","arguments":null}`, `a  []`},
		{`{"command":"a","arguments":5}`, `a 5 []`},
		{`{"command":"a","service":"dhcp4"}`, `a  [] service value must be a list`},
		{`{"command":"a","service":[1]}`, `a  [] service name must be a string`},
		{`{}`, `invalid command: does not contain mandatory 'command'`},
		{`[]`, `invalid command: expected toplevel entry to be a map, got list instead`},
		{`[{"command":"a"}]`, `invalid command: expected toplevel entry to be a map, got list instead`},
		{`{"Command":"a"}`, `invalid command: does not contain mandatory 'command'`},
		{`{"command":5}`, `invalid command: expected 'command' to be a string, got integer instead`},
		{`{"command":{}}`, `invalid command: expected 'command' to be a string, got map instead`},
		{`{"command":null}`, `invalid command: expected 'command' to be a string, got null instead`},
		{`{"command":"a","z":1,"argument":{}}`, `invalid command: unsupported parameter 'argument'`},
		{`{"command":"a" "b"}`, `parse command: invalid character '"' after object key:value pair`},
		{`{]`, `parse command: invalid character ']' looking for beginning of object key string`},
	} {
		r, err := ParseRequest([]byte(tc.in))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = strings.TrimSpace(r.Command + " " + string(r.Arguments) + " " + "[" + strings.Join(r.Service, " ") + "] " + r.badService)
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.in, got, tc.want)
		}
	}
}

func TestResponseJSON(t *testing.T) {
	for _, tc := range []struct {
		r    Response
		want string
	}{
		{Response{}, `{"result":0}`},
		{Response{Result: 1, Text: "a < b & c"}, `{"result":1,"text":"a < b & c"}`},
		{Response{Arguments: []string{}}, `{"result":0,"arguments":[]}`},
		{Response{Text: "x", Arguments: json.RawMessage(`{"k":"<>"}`)}, `{"result":0,"text":"x","arguments":{"k":"<>"}}`},
	} {
		got, err := encode(tc.r)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s, %v, want %s", got, err, tc.want)
		}
	}
}

func TestRedact(t *testing.T) {
	got := Redact(json.RawMessage(`{"Dhcp4":{"lease-database":{"password":"p","name":"n"},"l":[{"shared-secret":{"a":1},"password-file":"f"}],"n":12345678901234567890}}`))
	want := `{"Dhcp4":{"l":[{"password-file":"f","shared-secret":"*****"}],"lease-database":{"name":"n","password":"*****"},"n":12345678901234567890}}`
	if string(got) != want {
		t.Errorf("%s", got)
	}
	if Redact(nil) != nil || string(Redact(json.RawMessage(`{"password":"x`))) != "null" {
		t.Error("no JSON")
	}
}
