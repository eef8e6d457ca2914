package keajson

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// AppendJSON appends n as compact JSON: strict, without comments.
func (n *Node) AppendJSON(b []byte) []byte {
	switch n.Kind {
	case String:
		return AppendString(b, n.Str)
	case List:
		b = append(b, '[')
		for i := range n.Kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = n.Kids[i].AppendJSON(b)
		}
		return append(b, ']')
	case Map:
		b = append(b, '{')
		for i := range n.Kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, n.Kids[i].Key)
			b = append(b, ':')
			b = n.Kids[i].AppendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, n.Str...)
}

// AppendString appends s as a JSON string.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// Format writes the tree back: one member or element a line, comments where
// they stood, include files in the place of their directive. A short list or
// map without comments stays on one line. The text parses to an equal tree.
func (t *Tree) Format() []byte {
	var b bytes.Buffer
	t.WriteTo(&b) // a bytes.Buffer does not fail
	return b.Bytes()
}

// WriteTo writes what Format returns.
func (t *Tree) WriteTo(w io.Writer) (int64, error) {
	f := formatter{t: t}
	if n := t.Root.note; n != 0 {
		f.lines(t.notes[n].before, 0)
	}
	f.value(t.Root, 0)
	f.after(t.Root)
	f.b = append(f.b, '\n')
	f.lines(t.tail, 0)
	n, err := w.Write(f.b)
	return int64(n), err
}

const lineWidth = 80

type formatter struct {
	t *Tree
	b []byte
}

func (f *formatter) indent(depth int) {
	for range depth {
		f.b = append(f.b, "  "...)
	}
}

func (f *formatter) lines(c []string, depth int) {
	for _, s := range c {
		f.indent(depth)
		f.b = append(f.b, s...)
		f.b = append(f.b, '\n')
	}
}

// after writes the comments behind n. Only the last one on a line may run to
// its end, so line comments become block comments where more follow.
func (f *formatter) after(n *Node) {
	if n.note == 0 {
		return
	}
	c := f.t.notes[n.note].after
	for i, s := range c {
		f.b = append(f.b, ' ')
		if i < len(c)-1 && !strings.HasPrefix(s, "/*") {
			s = "/* " + strings.ReplaceAll(strings.TrimLeft(s, "/# "), "*/", "* /") + " */"
		}
		f.b = append(f.b, s...)
	}
}

func (f *formatter) value(n *Node, depth int) {
	if n.Kind != List && n.Kind != Map || len(n.Kids) == 0 && f.inside(n) == nil {
		f.b = n.AppendJSON(f.b)
		return
	}
	if from := len(f.b); f.plain(n, 1) {
		f.b = f.oneLine(n)
		if utf8.RuneCount(f.b[from:])+2*depth < lineWidth {
			return
		}
		f.b = f.b[:from]
	}
	open, closing := byte('['), byte(']')
	if n.Kind == Map {
		open, closing = '{', '}'
	}
	f.b = append(f.b, open, '\n')
	for i := range n.Kids {
		k := &n.Kids[i]
		if k.note != 0 {
			f.lines(f.t.notes[k.note].before, depth+1)
		}
		f.indent(depth + 1)
		if n.Kind == Map {
			f.b = AppendString(f.b, k.Key)
			f.b = append(f.b, ": "...)
		}
		f.value(k, depth+1)
		if i < len(n.Kids)-1 {
			f.b = append(f.b, ',')
		}
		f.after(k)
		f.b = append(f.b, '\n')
	}
	f.lines(f.inside(n), depth+1)
	f.indent(depth)
	f.b = append(f.b, closing)
}

func (f *formatter) inside(n *Node) []string {
	if n.note == 0 {
		return nil
	}
	return f.t.notes[n.note].inside
}

// plain says whether n may stand on one line: few kids, no comments, nested at
// most depth deep.
func (f *formatter) plain(n *Node, depth int) bool {
	if f.inside(n) != nil || len(n.Kids) > 20 || len(n.Kids) > 0 && depth < 0 {
		return false
	}
	for i := range n.Kids {
		if n.Kids[i].note != 0 || !f.plain(&n.Kids[i], depth-1) {
			return false
		}
	}
	return true
}

func (f *formatter) oneLine(n *Node) []byte {
	switch n.Kind {
	case List, Map:
	default:
		return n.AppendJSON(f.b)
	}
	open, closing := byte('['), byte(']')
	if n.Kind == Map {
		open, closing = '{', '}'
	}
	f.b = append(f.b, open)
	for i := range n.Kids {
		if i > 0 {
			f.b = append(f.b, ',')
		}
		f.b = append(f.b, ' ')
		if n.Kind == Map {
			f.b = AppendString(f.b, n.Kids[i].Key)
			f.b = append(f.b, ": "...)
		}
		f.b = f.oneLine(&n.Kids[i])
	}
	if len(n.Kids) > 0 {
		f.b = append(f.b, ' ')
	}
	return append(f.b, closing)
}
