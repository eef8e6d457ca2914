package control

import (
	"errors"
	"fmt"
)

// maxNesting is how deep a request may be nested; Kea's configurations need
// about a tenth.
const maxNesting = 256

// Errors of the scanner that are counted by themselves.
var (
	errTooLarge = errors.New("command is too large")
	errTooDeep  = fmt.Errorf("command is nested deeper than %d levels", maxNesting)
)

// scanner finds the end of a JSON object or list in a stream and collects its
// text without comments (#, //, /* */). Clients neither close their side nor
// send a newline after a command, so the end of the value is all there is
// (CC-006). It does not check the JSON beyond that.
type scanner struct {
	// maxBytes limits the input, comments included.
	maxBytes int

	text  []byte
	read  int
	depth int
	state scanState
	err   error
}

type scanState uint8

const (
	scanPlain scanState = iota // outside strings and comments
	scanString
	scanEscape // after a backslash in a string
	scanSlash  // after the first slash of a comment
	scanLine   // comment to the end of the line
	scanBlock  // comment to */
	scanStar   // after a star in such a comment
	scanDone
)

// feed takes the next bytes of the stream and reports whether the value is
// complete; what follows it in p is ignored. After an error or the end it does
// nothing more. p is not kept.
func (s *scanner) feed(p []byte) (done bool, err error) {
	if s.err != nil || s.state == scanDone {
		return s.state == scanDone, s.err
	}
	from := 0 // start of what still has to be copied
	flush := func(to int) {
		if s.depth > 0 || s.state == scanDone {
			s.text = append(s.text, p[from:to]...)
		}
	}
	fail := func(err error) (bool, error) {
		s.err = err
		s.text = nil
		return false, err
	}
	if s.state == scanSlash || s.state == scanLine || s.state == scanBlock || s.state == scanStar {
		from = len(p)
	}
	for i, c := range p {
		if s.read++; s.maxBytes > 0 && s.read > s.maxBytes {
			return fail(errTooLarge)
		}
		switch s.state {
		case scanPlain:
			switch c {
			case '"':
				if s.depth == 0 {
					return fail(errFirst(c))
				}
				s.state = scanString
			case '{', '[':
				if s.depth == 0 {
					from = i
				}
				if s.depth++; s.depth > maxNesting {
					return fail(errTooDeep)
				}
			case '}', ']':
				if s.depth == 0 {
					return fail(errFirst(c))
				}
				if s.depth--; s.depth == 0 {
					s.state = scanDone
					flush(i + 1)
					return true, nil
				}
			case '#':
				flush(i)
				s.state, from = scanLine, len(p)
			case '/':
				flush(i)
				s.state, from = scanSlash, len(p)
			case ' ', '\t', '\r', '\n':
			default:
				if s.depth == 0 {
					return fail(errFirst(c))
				}
			}
		case scanString:
			switch c {
			case '"':
				s.state = scanPlain
			case '\\':
				s.state = scanEscape
			}
		case scanEscape:
			s.state = scanString
		case scanSlash:
			switch c {
			case '/':
				s.state = scanLine
			case '*':
				s.state = scanBlock
			default:
				return fail(fmt.Errorf("invalid characters /%s", printable(c)))
			}
		case scanLine:
			if c == '\n' {
				s.state, from = scanPlain, i
			}
		case scanBlock:
			if c == '*' {
				s.state = scanStar
			}
		case scanStar:
			switch c {
			case '/':
				// A comment between two tokens parts them.
				if s.depth > 0 {
					s.text = append(s.text, ' ')
				}
				s.state, from = scanPlain, i+1
			case '*':
			default:
				s.state = scanBlock
			}
		}
	}
	if from < len(p) {
		flush(len(p))
	}
	return false, nil
}

func errFirst(c byte) error { return fmt.Errorf("invalid first character %s", printable(c)) }

func printable(c byte) string {
	if c >= ' ' && c < 0x7f {
		return string(rune(c))
	}
	return fmt.Sprintf("0x%02x", c)
}
