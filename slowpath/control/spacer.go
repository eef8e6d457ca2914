package control

import "encoding/json"

// spaced is JSON that a hook library made with Kea's white space; what is no
// JSON stays as it is.
func spaced(text []byte) []byte {
	if !json.Valid(text) {
		return text
	}
	s := spacer{out: make([]byte, 0, len(text)+len(text)/8)}
	s.Write(text)
	return s.out
}

// spacer is a writer that takes JSON in any pieces and appends it to out with
// Kea's white space instead of its own: "{ ", " }", "[ ", " ]", ", " and ": ".
// Scripts look for "\"result\": 0" in the octets of an answer.
type spacer struct {
	out     []byte
	text    bool // within a string
	escaped bool // behind a backslash in it
}

// Write never fails.
func (s *spacer) Write(p []byte) (int, error) {
	out := s.out
	for _, c := range p {
		switch {
		case s.text:
			out = append(out, c)
			switch {
			case s.escaped:
				s.escaped = false
			case c == '\\':
				s.escaped = true
			case c == '"':
				s.text = false
			}
		case c == '"':
			out = append(out, c)
			s.text = true
		case c == '{' || c == '[' || c == ',' || c == ':':
			out = append(out, c, ' ')
		case c == '}' || c == ']':
			out = append(out, ' ', c)
		case c != '\n' && c != ' ' && c != '\t' && c != '\r':
			out = append(out, c)
		}
	}
	s.out = out
	return len(p), nil
}
