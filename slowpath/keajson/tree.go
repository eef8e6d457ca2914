package keajson

import (
	"fmt"
	"sort"
	"strconv"
	"unicode/utf8"
)

// Kind is the JSON type of a Node. Integers and reals differ, as in Kea
// (OP-008): 1e3 is a real.
type Kind uint8

const (
	Null Kind = iota
	Bool
	Integer
	Real
	String
	List
	Map
)

// String names the kind as error messages do.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Integer:
		return "an integer"
	case Real:
		return "a number"
	case String:
		return "a string"
	case List:
		return "a list"
	case Map:
		return "a map"
	}
	return "nothing"
}

// Node is one value of a Tree. It belongs to its Tree and is not changed after
// parsing; any goroutine may read it.
type Node struct {
	// Key is the name of a member of a map, else "".
	Key string
	// Str is the value of a String, and the text of an Integer, Real or Bool
	// in JSON form ("0.5" where ".5" was written).
	Str string
	// Kids are the elements of a List or the members of a Map, in order.
	Kids []Node

	off    uint32 // of the value's first byte
	keyOff uint32
	src    int32 // index in Tree.sources
	keySrc int32
	note   int32 // index in Tree.notes, 0 none
	Kind   Kind
}

// Get returns the member of that name, nil if n is no map or has none.
func (n *Node) Get(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	for i := range n.Kids {
		if n.Kids[i].Key == key {
			return &n.Kids[i]
		}
	}
	return nil
}

// notes are the comments around one value. Each text is without its marks'
// surrounding white space but with the marks: "// text", "# text", "/* text */".
type notes struct {
	before []string // on lines of their own (or before it on its line)
	after  []string // behind it on its line
	inside []string // before the closing bracket, behind the last kid
}

// source is one text: the file itself or an included one.
type source struct {
	name  string
	text  string
	lines []uint32 // offset of each line's first byte, filled at the first position asked for
}

// Tree is a parsed text: its values with positions and comments. Texts of
// include files are part of it in the place of their directive.
type Tree struct {
	Root    *Node
	sources []*source
	notes   []notes // [0] is unused
	tail    []string
}

// Position returns where the value of n begins.
func (t *Tree) Position(n *Node) Position { return t.position(n.src, n.off) }

// KeyPosition returns where the key of n begins; for an element of a list that
// is the value itself.
func (t *Tree) KeyPosition(n *Node) Position { return t.position(n.keySrc, n.keyOff) }

// Before reports whether n begins before o in the text.
func (n *Node) Before(o *Node) bool {
	return n.src < o.src || n.src == o.src && n.off < o.off
}

// Files names the texts the tree was made of: the first is the file itself.
func (t *Tree) Files() []string {
	var out []string
	for _, s := range t.sources {
		out = append(out, s.name)
	}
	return out
}

func (t *Tree) position(src int32, off uint32) Position {
	s := t.sources[src]
	if s.lines == nil {
		s.lines = append(s.lines, 0)
		for i := 0; i < len(s.text); i++ {
			if s.text[i] == '\n' {
				s.lines = append(s.lines, uint32(i+1))
			}
		}
	}
	line := sort.Search(len(s.lines), func(i int) bool { return s.lines[i] > off })
	return Position{File: s.name, Line: line, Col: int(off-s.lines[line-1]) + 1}
}

// TreeOptions say how a text is read. The zero value is for files.
type TreeOptions struct {
	// Command reads the text of a control command: no includes, and the last
	// of several members with one key wins, as in Kea (OP-004, OP-006).
	Command bool
	// MaxErrors bounds the report, 0 means 100.
	MaxErrors int
	// ReadFile reads an included file; nil reads from the file system, relative
	// to the working directory (OP-004), at most limit bytes.
	ReadFile func(name string, limit int64) ([]byte, error)
}

const (
	MaxText      = 256 << 20 // bytes of all texts together
	maxDepth     = 100       // nesting of lists and maps
	maxIncludes  = 10        // nesting of include files (OP-004)
	maxFiles     = 10000     // include directives in all
	smallMap     = 16        // members searched one by one for duplicates
	maxDirective = 4096      // bytes of an include directive
)

// ParseTree is Parse with a report of its own. The error is *Errors. Warnings (surplus
// commas, leading zeros) are FILE:LINE:COL: text.
func ParseTree(name string, text []byte, o TreeOptions) (t *Tree, warnings []string, err error) {
	r := NewReport(o.MaxErrors)
	t = Parse(name, string(text), o, r)
	if err := r.err(); err != nil {
		return nil, r.Warnings(), err
	}
	return t, r.Warnings(), nil
}

// parser builds the nodes. Kids are gathered on a stack and copied to their
// parent in one piece, so that a large file costs few allocations.
type parser struct {
	lexer
	stack []Node
	depth int
}

// Parse reads text; name stands in positions. It returns nil where the text could
// not be read to its end; then r holds why. Faults after which it could be read on
// (a duplicate key) are in r, too, with a tree.
func Parse(name, text string, o TreeOptions, r *Report) *Tree {
	t := &Tree{notes: make([]notes, 1)}
	p := &parser{lexer: lexer{t: t, r: r, o: o}}
	p.open(name, text)
	if len(text) > MaxText {
		r.errorAt(t, 0, 0, "a configuration may have at most %d MiB", MaxText>>20)
		return nil
	}
	if !p.next() {
		return nil
	}
	root := make([]Node, 1)
	if !p.value(&root[0]) {
		return nil
	}
	if p.tok.kind != tokEOF {
		p.fail("expected the end of the text after the top-level value, not %s", p.describe(p.tok))
		return nil
	}
	t.tail = p.take()
	t.Root = &root[0]
	return t
}

// value parses the value at the current token into n and goes on to the token
// behind it. It reports false after a syntax error.
func (p *parser) value(n *Node) bool {
	k := p.tok
	n.src, n.off = k.src, k.off
	if n.Key == "" {
		n.keySrc, n.keyOff = k.src, k.off
	}
	p.noteBefore(n)
	switch k.kind {
	case tokString:
		n.Kind, n.Str = String, k.str
	case tokInteger:
		n.Kind, n.Str = Integer, k.str
	case tokReal:
		n.Kind, n.Str = Real, k.str
	case tokTrue, tokFalse:
		n.Kind, n.Str = Bool, k.str
	case tokNull:
		n.Kind, n.Str = Null, "null"
	case tokLBrace, tokLBracket:
		return p.collection(n)
	default:
		p.fail("expected a value, not %s", p.describe(k))
		return false
	}
	if !p.next() {
		return false
	}
	p.noteAfter(n)
	return true
}

// collection parses a list or map, the current token being its opening bracket.
func (p *parser) collection(n *Node) bool {
	n.Kind = List
	closing, what := tokRBracket, "]"
	isMap := p.tok.kind == tokLBrace
	if isMap {
		n.Kind = Map
		closing, what = tokRBrace, "}"
	}
	if p.depth++; p.depth > maxDepth {
		p.fail("lists and maps may be nested at most %d deep", maxDepth)
		return false
	}
	opened := p.tok
	if !p.next() {
		return false
	}
	base := len(p.stack)
	var seen map[string]int
	for p.tok.kind != closing {
		if p.tok.kind == tokEOF {
			p.fail("expected %q for the %q of %s, but the text ends", what, opened.open(), p.t.position(opened.src, opened.off))
			return false
		}
		var kid Node
		if isMap {
			if p.tok.kind != tokString {
				p.fail("expected a key in double quotes or %q, not %s", what, p.describe(p.tok))
				return false
			}
			kid.Key, kid.keySrc, kid.keyOff = p.tok.str, p.tok.src, p.tok.off
			if !p.next() {
				return false
			}
			if p.tok.kind != tokColon {
				p.fail("expected a colon after the key %s, not %s", p.show(kid.keySrc, int(kid.keyOff), strconv.Quote(Clip(kid.Key))), p.describe(p.tok))
				return false
			}
			if !p.next() {
				return false
			}
		}
		if !p.value(&kid) {
			return false
		}
		if isMap {
			seen = p.member(base, &kid, seen)
		} else {
			p.stack = append(p.stack, kid)
		}
		switch p.tok.kind {
		case tokComma:
			comma := p.tok
			if !p.next() {
				return false
			}
			p.noteAfter(&p.stack[len(p.stack)-1])
			if p.tok.kind == closing {
				p.r.warnAt(p.t, comma.src, comma.off, "surplus comma before %q", what)
			}
		case closing:
		default:
			p.fail("expected a comma or %q, not %s", what, p.describe(p.tok))
			return false
		}
	}
	if in := p.take(); len(in) > 0 {
		p.note(n).inside = in
	}
	n.Kids = append([]Node(nil), p.stack[base:]...)
	clear(p.stack[base:])
	p.stack = p.stack[:base]
	p.depth--
	if !p.next() {
		return false
	}
	p.noteAfter(n)
	return true
}

// member adds kid to the map whose members begin at base of the stack.
func (p *parser) member(base int, kid *Node, seen map[string]int) map[string]int {
	at := -1
	if seen != nil {
		if i, ok := seen[kid.Key]; ok {
			at = i
		}
	} else {
		for i := base; i < len(p.stack); i++ {
			if p.stack[i].Key == kid.Key {
				at = i
				break
			}
		}
	}
	if at >= 0 {
		if p.o.Command {
			p.stack[at] = *kid
			return seen
		}
		first := &p.stack[at]
		p.r.errorAt(p.t, kid.keySrc, kid.keyOff, "duplicate key %s, first given at %s", p.show(kid.keySrc, int(kid.keyOff), strconv.Quote(Clip(kid.Key))), p.t.position(first.keySrc, first.keyOff))
		return seen
	}
	p.stack = append(p.stack, *kid)
	switch n := len(p.stack) - base; {
	case seen != nil:
		seen[kid.Key] = len(p.stack) - 1
	case n > smallMap:
		seen = make(map[string]int, 4*smallMap)
		for i := base; i < len(p.stack); i++ {
			seen[p.stack[i].Key] = i
		}
	}
	return seen
}

func (p *parser) note(n *Node) *notes {
	if n.note == 0 {
		p.t.notes = append(p.t.notes, notes{})
		n.note = int32(len(p.t.notes) - 1)
	}
	return &p.t.notes[n.note]
}

// noteBefore gives n the comments gathered so far.
func (p *parser) noteBefore(n *Node) {
	if c := p.take(); len(c) > 0 {
		x := p.note(n)
		x.before = append(x.before, c...)
	}
}

// noteAfter gives n the comments that stand behind it on its line.
func (p *parser) noteAfter(n *Node) {
	if len(p.sameLine) > 0 {
		x := p.note(n)
		x.after = append(x.after, p.sameLine...)
		p.sameLine = nil
	}
}

// take returns the comments gathered since the last call.
func (p *parser) take() []string {
	if len(p.sameLine)+len(p.gathered) == 0 {
		return nil
	}
	c := append(p.sameLine, p.gathered...)
	p.sameLine, p.gathered = nil, nil
	return c
}

// describe is the token for a message.
func (p *parser) describe(k token) string {
	switch k.kind {
	case tokString, tokInteger, tokReal:
		if p.besideSecret(k.src, int(k.off)) {
			return "a value " + notShown
		}
	}
	return k.String()
}

// Clip shortens what a message quotes.
func Clip(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

func (p *parser) fail(format string, args ...any) {
	p.r.errorAt(p.t, p.tok.src, p.tok.off, "%s", fmt.Sprintf(format, args...))
}

// inString is the offset in its source of the i-th octet of string n.
func (t *Tree) inString(n *Node, i int) uint32 {
	s := t.sources[n.src].text
	p := int(n.off) + 1
	for ; i > 0 && p < len(s) && s[p] != '"'; i-- {
		if s[p] != '\\' || p+1 >= len(s) {
			p++
			continue
		}
		if s[p+1] != 'u' || p+6 > len(s) {
			p += 2
			continue
		}
		var r rune
		for _, c := range s[p+2 : p+6] {
			r = r<<4 | rune(max(unhex(byte(c)), 0))
		}
		p += 6
		i -= max(utf8.RuneLen(r), 1) - 1
	}
	return uint32(min(p, len(s)))
}
