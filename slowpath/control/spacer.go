package control

// spacer is a writer that takes JSON without white space, in any pieces, and
// appends it to out with Kea's: "{ ", " }", "[ ", " ]", ", " and ": ". Scripts
// look for "\"result\": 0" in the octets of an answer. Line feeds between values,
// which encoding/json adds, are left out.
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
		case c != '\n':
			out = append(out, c)
		}
	}
	s.out = out
	return len(p), nil
}
