package keajson

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

type tokKind uint8

const (
	tokEOF tokKind = iota
	tokLBrace
	tokRBrace
	tokLBracket
	tokRBracket
	tokColon
	tokComma
	tokString
	tokInteger
	tokReal
	tokTrue
	tokFalse
	tokNull
)

// token is one lexical unit. str is the value of a string without quotes and
// escapes, the text of a number in JSON form, or the literal.
type token struct {
	str  string
	off  uint32
	src  int32
	kind tokKind
}

// open is the bracket of an opening token.
func (k token) open() string {
	if k.kind == tokLBrace {
		return "{"
	}
	return "["
}

// String describes the token for an error message.
func (k token) String() string {
	switch k.kind {
	case tokEOF:
		return "the end of the text"
	case tokString:
		return fmt.Sprintf("the string %q", Clip(k.str))
	case tokLBrace:
		return `"{"`
	case tokRBrace:
		return `"}"`
	case tokLBracket:
		return `"["`
	case tokRBracket:
		return `"]"`
	case tokColon:
		return "a colon"
	case tokComma:
		return "a comma"
	}
	return Clip(k.str)
}

// frame is one open text of the include stack.
type frame struct {
	text string
	src  int32
	pos  int
}

// lexer turns texts into tokens; includes are opened in the middle, wherever a
// token may stand. Comments are gathered for the parser: sameLine are those
// behind the last token on its line, gathered the others.
type lexer struct {
	t        *Tree
	r        *Report
	o        TreeOptions
	stack    []frame
	total    int
	tok      token
	sameLine []string
	gathered []string
}

func (l *lexer) open(name, text string) {
	l.t.sources = append(l.t.sources, &source{name: name, text: text})
	l.stack = append(l.stack, frame{text: text, src: int32(len(l.t.sources) - 1)})
	l.total += len(text)
}

func (l *lexer) errAt(f *frame, pos int, format string, args ...any) bool {
	l.r.errorAt(l.t, f.src, uint32(pos), format, args...)
	return false
}

// next reads one token into l.tok. It reports false after an error.
func (l *lexer) next() bool {
	newline := len(l.t.sources) == 1 && l.stack[0].pos == 0
	for {
		f := &l.stack[len(l.stack)-1]
		s := f.text
		i := f.pos
		for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
			if s[i] == '\n' {
				newline = true
			}
			i++
		}
		f.pos = i
		if i >= len(s) {
			if len(l.stack) > 1 {
				l.stack = l.stack[:len(l.stack)-1]
				continue
			}
			l.tok = token{kind: tokEOF, src: f.src, off: uint32(len(s))}
			return true
		}
		c := s[i]
		switch c {
		case '#':
			l.comment(f, lineEnd(s, i), newline)
			continue
		case '/':
			if i+1 < len(s) && s[i+1] == '/' {
				l.comment(f, lineEnd(s, i), newline)
				continue
			}
			if i+1 < len(s) && s[i+1] == '*' {
				end := strings.Index(s[i+2:], "*/")
				if end < 0 {
					return l.errAt(f, i, "this comment is not closed: expected */")
				}
				l.comment(f, i+2+end+2, newline)
				continue
			}
			return l.errAt(f, i, `unexpected "/": a comment begins with //, /* or #`)
		case '<':
			if strings.HasPrefix(s[i:], "<?") {
				if !l.include(f) {
					return false
				}
				continue
			}
		}
		return l.token(f, c)
	}
}

func lineEnd(s string, i int) int {
	if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s)
}

func (l *lexer) comment(f *frame, end int, newline bool) {
	c := strings.TrimRight(f.text[f.pos:end], " \t\r")
	if newline {
		l.gathered = append(l.gathered, c)
	} else {
		l.sameLine = append(l.sameLine, c)
	}
	f.pos = end
}

// include opens the file of a <?include "FILE"?> directive.
func (l *lexer) include(f *frame) bool {
	s, at := f.text, f.pos
	const form = `expected <?include "FILE"?>`
	inside, _, closed := strings.Cut(s[at+2:min(len(s), at+maxDirective)], "?>")
	if !closed {
		return l.errAt(f, at, "%s", form)
	}
	body, ok := strings.CutPrefix(inside, "include")
	body = strings.TrimSpace(body)
	if !ok || len(body) < 3 || body[0] != '"' || body[len(body)-1] != '"' {
		return l.errAt(f, at, "%s", form)
	}
	name := body[1 : len(body)-1]
	if l.o.Command {
		return l.errAt(f, at, "a control command cannot include a file")
	}
	if len(l.stack) > maxIncludes {
		return l.errAt(f, at, "include files may be nested at most %d deep", maxIncludes)
	}
	if len(l.t.sources) >= maxFiles {
		return l.errAt(f, at, "at most %d files may be included", maxFiles)
	}
	read := l.o.ReadFile
	if read == nil {
		read = ReadFile
	}
	left := int64(MaxText - l.total)
	b, err := read(name, left)
	if err != nil {
		return l.errAt(f, at, "include %q: %v", Clip(name), err)
	}
	if int64(len(b)) > left {
		return l.errAt(f, at, "include %q: a configuration may have at most %d MiB with its include files", Clip(name), MaxText>>20)
	}
	f.pos = at + 2 + len(inside) + 2
	l.open(name, string(b))
	return true
}

// ReadFile reads a regular file of at most limit bytes; one byte more is
// returned where it is longer.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, errText(err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, errText(err)
	} else if st.IsDir() {
		return nil, fmt.Errorf("is a directory")
	} else if n := st.Size(); n > 0 && n <= limit {
		b := make([]byte, 0, n+1)
		return readAll(io.LimitReader(f, limit+1), b)
	}
	return readAll(io.LimitReader(f, limit+1), nil)
}

func readAll(r io.Reader, b []byte) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, errText(err)
		}
	}
}

// errText is the reason alone of a path error: the message names the file.
func errText(err error) error {
	if pe, ok := err.(*os.PathError); ok {
		return pe.Err
	}
	return err
}

func (l *lexer) token(f *frame, c byte) bool {
	i := f.pos
	l.tok = token{src: f.src, off: uint32(i)}
	one := func(k tokKind) bool {
		l.tok.kind = k
		f.pos = i + 1
		return true
	}
	switch c {
	case '{':
		return one(tokLBrace)
	case '}':
		return one(tokRBrace)
	case '[':
		return one(tokLBracket)
	case ']':
		return one(tokRBracket)
	case ':':
		return one(tokColon)
	case ',':
		return one(tokComma)
	case '"':
		return l.str(f)
	case '\'':
		return l.errAt(f, i, "strings stand in double quotes")
	}
	if c == '-' || c == '+' || c == '.' || isDigit(c) {
		return l.number(f)
	}
	if isLetter(c) {
		return l.word(f)
	}
	r, _ := utf8.DecodeRuneInString(f.text[i:])
	if r == utf8.RuneError {
		return l.errAt(f, i, "unexpected byte 0x%02x", c)
	}
	if r == '\ufeff' && i == 0 {
		f.pos = i + len("\ufeff")
		return l.next()
	}
	return l.errAt(f, i, "unexpected %q", r)
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

func (l *lexer) word(f *frame) bool {
	s, i := f.text, f.pos
	j := i
	for j < len(s) && (isLetter(s[j]) || isDigit(s[j]) || s[j] == '-') {
		j++
	}
	w := s[i:j]
	switch w {
	case "true":
		l.tok.kind = tokTrue
	case "false":
		l.tok.kind = tokFalse
	case "null":
		l.tok.kind = tokNull
	default:
		switch lw := strings.ToLower(w); lw {
		case "true", "false", "null":
			return l.errAt(f, i, "%s is written in lower case", lw)
		}
		return l.errAt(f, i, "unexpected word %s: strings and keys stand in double quotes", l.show(f.src, i, w))
	}
	l.tok.str = w
	f.pos = j
	return true
}

// number reads what Kea's lexer reads: also .5 and 5. (OP-008).
func (l *lexer) number(f *frame) bool {
	s, i := f.text, f.pos
	j := i
	if s[j] == '+' {
		return l.errAt(f, i, `a number has no leading "+"`)
	}
	if s[j] == '-' {
		j++
	}
	d0 := j
	for j < len(s) && isDigit(s[j]) {
		j++
	}
	whole := s[d0:j]
	real := false
	frac := ""
	if j < len(s) && s[j] == '.' {
		real = true
		j++
		f0 := j
		for j < len(s) && isDigit(s[j]) {
			j++
		}
		frac = s[f0:j]
	}
	exp := ""
	if len(whole)+len(frac) > 0 && j < len(s) && s[j]|0x20 == 'e' {
		k := j + 1
		if k < len(s) && (s[k] == '+' || s[k] == '-') {
			k++
		}
		e0 := k
		for k < len(s) && isDigit(s[k]) {
			k++
		}
		if k > e0 {
			real = true
			exp = s[j:k]
			j = k
		}
	}
	if len(whole)+len(frac) == 0 || j < len(s) && (isLetter(s[j]) || s[j] == '.') {
		for j < len(s) && (isLetter(s[j]) || isDigit(s[j]) || s[j] == '.' || s[j] == ':' || s[j] == '-') {
			j++
		}
		return l.errAt(f, i, "%s is not a number: strings stand in double quotes", l.show(f.src, i, s[i:j]))
	}
	if j-i > 400 {
		return l.errAt(f, i, "a number may have at most 400 digits")
	}
	text := s[i:j]
	if len(whole) > 1 && whole[0] == '0' {
		l.r.warnAt(l.t, f.src, uint32(i), "leading zeros of %s have no meaning: it is read as a decimal number", l.show(f.src, i, text))
		whole = strings.TrimLeft(whole, "0")
		text = ""
	}
	if whole == "" {
		whole, text = "0", ""
	}
	if real && frac == "" && (text == "" || strings.Contains(text, ".")) {
		frac, text = "0", ""
	}
	if text == "" { // not JSON as it stands
		if s[i] == '-' {
			text = "-"
		}
		text += whole
		if frac != "" {
			text += "." + frac
		}
		text += exp
	}
	l.tok.kind = tokInteger
	if real {
		l.tok.kind = tokReal
	}
	l.tok.str = text
	f.pos = j
	return true
}

// str reads a string. Without escapes its value is a part of the text.
func (l *lexer) str(f *frame) bool {
	s, at := f.text, f.pos
	i := at + 1
	ascii := true
	for i < len(s) {
		c := s[i]
		if c == '"' {
			v := s[at+1 : i]
			if !ascii && !l.utf8(f, at+1, v) {
				return false
			}
			l.tok.kind, l.tok.str = tokString, v
			f.pos = i + 1
			return true
		}
		if c == '\\' || c < 0x20 {
			break
		}
		if c >= utf8.RuneSelf {
			ascii = false
		}
		i++
	}
	buf := append(make([]byte, 0, i-at+32), s[at+1:i]...)
	for i < len(s) {
		c := s[i]
		switch {
		case c == '"':
			if !ascii && !l.utf8(f, at+1, s[at+1:i]) {
				return false
			}
			l.tok.kind, l.tok.str = tokString, string(buf)
			f.pos = i + 1
			return true
		case c == '\n':
			return l.errAt(f, at, `this string is not closed: expected " before the end of the line (a line break is written \n)`)
		case c < 0x20:
			return l.errAt(f, i, `control character 0x%02x in a string: it is written \u%04x`, c, c)
		case c != '\\':
			if c >= utf8.RuneSelf {
				ascii = false
			}
			buf = append(buf, c)
			i++
		default:
			if i+1 >= len(s) {
				i++
				break
			}
			var v byte
			switch e := s[i+1]; e {
			case '"', '\\', '/':
				v = e
			case 'b':
				v = '\b'
			case 'f':
				v = '\f'
			case 'n':
				v = '\n'
			case 'r':
				v = '\r'
			case 't':
				v = '\t'
			case 'u':
				r, n, ok := unicodeEscape(s[i:])
				if !ok {
					return l.errAt(f, i, `bad escape in a string: expected four hexadecimal digits after \u`)
				}
				if r == utf8.RuneError {
					return l.errAt(f, i, `bad escape in a string: half of a surrogate pair`)
				}
				buf = utf8.AppendRune(buf, r)
				i += n
				continue
			default:
				r, _ := utf8.DecodeRuneInString(s[i+1:])
				return l.errAt(f, i, `bad escape \%c in a string: expected one of \" \\ \/ \b \f \n \r \t \u (a backslash itself is written \\)`, r)
			}
			buf = append(buf, v)
			i += 2
		}
	}
	return l.errAt(f, at, `this string is not closed: expected "`)
}

func (l *lexer) utf8(f *frame, at int, v string) bool {
	for i := 0; i < len(v); {
		r, n := utf8.DecodeRuneInString(v[i:])
		if r == utf8.RuneError && n == 1 {
			return l.errAt(f, at+i, "byte 0x%02x in a string is not UTF-8", v[i])
		}
		i += n
	}
	return true
}

// unicodeEscape reads the \uXXXX at the start of s, both of a surrogate pair.
// Half a pair gives utf8.RuneError.
func unicodeEscape(s string) (r rune, n int, ok bool) {
	a, ok := hex4(s)
	if !ok {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(a) {
		return a, 6, true
	}
	if b, ok := hex4(s[6:]); ok {
		if r := utf16.DecodeRune(a, b); r != utf8.RuneError {
			return r, 12, true
		}
	}
	return utf8.RuneError, 6, true
}

func hex4(s string) (r rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range []byte(s[2:6]) {
		d := unhex(c)
		if d < 0 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func unhex(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
