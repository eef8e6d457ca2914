package hostname

import "fmt"

// Sanitizer replaces what a name may not have: hostname-char-set and
// hostname-char-replacement (DN-009). It is immutable.
//
// The set is a POSIX extended regular expression of octets, of which the leftmost
// longest match is replaced, as in Kea. It is compiled to a deterministic automaton,
// so that cleaning a name allocates nothing and takes no longer than the square of
// its length, whatever the expression.
type Sanitizer struct {
	charSet, replacement string
	// bad are the octets to replace where the expression is one bracket
	// expression, which is all that nearly anybody uses; else there is an
	// automaton.
	bad  [256]bool
	auto *automaton
	// literal are the pieces of the replacement between copies of what was found.
	literal []string
}

// Limits of an expression: its length is Kea's, the others keep what it compiles to
// small.
const (
	maxCharSet       = 4096
	maxExprNodes     = 20000
	maxAutomatStates = 1000
	maxAutomatSteps  = 4 << 20
)

// NewSanitizer compiles an expression and the text that takes the place of what it
// finds: $& there stands for what was found, $$ for a dollar.
func NewSanitizer(charSet, replacement string) (*Sanitizer, error) {
	if len(charSet) > maxCharSet || len(replacement) > maxCharSet {
		return nil, fmt.Errorf("expression and replacement have at most %d bytes", maxCharSet)
	}
	s := &Sanitizer{charSet: charSet, replacement: replacement}
	var err error
	if s.literal, err = replacementPieces(replacement); err != nil {
		return nil, err
	}
	p := &exprParser{in: charSet}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	if n := &p.nodes[root]; n.op == exprSet && len(s.literal) == 1 {
		s.bad = n.set
		s.bad[0] = true
		return s, nil
	}
	s.auto, err = newAutomaton(p.nodes, root)
	return s, err
}

// replacementPieces cuts a replacement at each $&.
func replacementPieces(r string) ([]string, error) {
	out, cur := []string{}, ""
	for i := 0; i < len(r); i++ {
		if r[i] != '$' || i+1 == len(r) {
			cur += r[i : i+1]
			continue
		}
		switch c := r[i+1]; {
		case c == '$':
			cur += "$"
			i++
		case c == '&':
			out, cur = append(out, cur), ""
			i++
		case c == '`' || c == '\'' || c >= '0' && c <= '9':
			return nil, fmt.Errorf("the replacement $%c is not supported: only $& (what was found) and $$ are", c)
		default:
			cur += "$"
		}
	}
	return append(out, cur), nil
}

// Equal says whether both do the same; either may be nil.
func (s *Sanitizer) Equal(o *Sanitizer) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.charSet == o.charSet && s.replacement == o.replacement
}

// Append appends name to dst with what it may not have replaced. No memory is
// allocated beyond what dst has no room for; dst and name may begin at the same
// octet only if the replacement is not longer than what it replaces.
func (s *Sanitizer) Append(dst, name []byte) []byte {
	if s.auto == nil {
		for _, c := range name {
			if s.bad[c] {
				dst = append(dst, s.literal[0]...)
			} else {
				dst = append(dst, c)
			}
		}
		return dst
	}
	// As std::regex_replace: matches from left to right, an empty one between
	// octets too, but behind another empty one only one that is not.
	copied := 0
	for at, wasEmpty := 0, false; ; {
		from, to, ok := s.auto.find(name, at, wasEmpty)
		if !ok {
			break
		}
		dst = appendText(dst, name[copied:from])
		for i, l := range s.literal {
			if i > 0 {
				dst = appendText(dst, name[from:to])
			}
			dst = append(dst, l...)
		}
		copied, at, wasEmpty = to, to, from == to
	}
	return appendText(dst, name[copied:])
}

// appendText leaves NULs out.
func appendText(dst, b []byte) []byte {
	for _, c := range b {
		if c != 0 {
			dst = append(dst, c)
		}
	}
	return dst
}
