package class

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// twin is a random expression that knows its value: a naive evaluator over
// strings, as Kea's stack machine is one, written without looking at the
// compiler. It is printed with the brackets that precedence needs, and some.
type twin struct {
	prec  int // of the operator: 0 sor … 4 not, 5 ==, 6 +, 7 operand
	print func(w *twinWriter)
	bool  func() bool
	str   func() string
}

const (
	precSOr = iota
	precOr
	precSAnd
	precAnd
	precNot
	precEqual
	precPlus
	precOperand
)

// twinFailure is what an evaluation that fails panics with.
type twinFailure struct{}

type twinWriter struct {
	bytes.Buffer
	r *rand.Rand
}

// word writes words with blanks between, where they may be.
func (w *twinWriter) word(s string) {
	if w.Len() > 0 && w.r.IntN(2) == 0 {
		w.WriteString([]string{" ", "  ", "\t", "\n"}[w.r.IntN(4)])
	} else if last := w.Bytes(); len(last) > 0 && (isDigit(last[len(last)-1]) || isLetter(last[len(last)-1])) && (isDigit(s[0]) || isLetter(s[0])) {
		w.WriteByte(' ')
	}
	w.WriteString(s)
}

// sub writes an operand of an operator, in brackets if it binds weaker.
func (w *twinWriter) sub(t *twin, prec int) {
	if t.prec < prec || w.r.IntN(6) == 0 {
		w.word("(")
		t.print(w)
		w.word(")")
		return
	}
	t.print(w)
}

type twinMaker struct {
	r *rand.Rand
	q *fake
	n numbers
}

func (m *twinMaker) call(name string, str func() string, args ...any) *twin {
	return &twin{prec: precOperand, str: str, print: func(w *twinWriter) {
		w.word(name)
		w.word("(")
		for i, a := range args {
			if i > 0 {
				w.word(",")
			}
			if t, ok := a.(*twin); ok {
				w.sub(t, 0)
			} else {
				w.word(fmt.Sprint(a))
			}
		}
		w.word(")")
	}}
}

func (m *twinMaker) operand(text, value string) *twin {
	return &twin{prec: precOperand, print: func(w *twinWriter) { w.word(text) }, str: func() string { return value }}
}

func (m *twinMaker) logic(prec int, word string, f func(a, b func() bool) bool, a, b *twin) *twin {
	return &twin{prec: prec, bool: func() bool { return f(a.bool, b.bool) }, print: func(w *twinWriter) {
		w.sub(a, prec)   // left-associative: the same operator needs none on the left
		w.word(word)     //
		w.sub(b, prec+1) // and does on the right
	}}
}

func (m *twinMaker) boolean(depth int) *twin {
	r := m.r
	if depth > 0 {
		switch r.IntN(8) {
		case 0:
			return m.logic(precAnd, "and", func(a, b func() bool) bool { return a() && b() }, m.boolean(depth-1), m.boolean(depth-1))
		case 1:
			return m.logic(precOr, "or", func(a, b func() bool) bool { return a() || b() }, m.boolean(depth-1), m.boolean(depth-1))
		case 2:
			return m.logic(precSAnd, "sand", func(a, b func() bool) bool { x, y := a(), b(); return x && y }, m.boolean(depth-1), m.boolean(depth-1))
		case 3:
			return m.logic(precSOr, "sor", func(a, b func() bool) bool { x, y := a(), b(); return x || y }, m.boolean(depth-1), m.boolean(depth-1))
		case 4:
			a := m.boolean(depth - 1)
			return &twin{prec: precNot, bool: func() bool { return !a.bool() }, print: func(w *twinWriter) {
				w.word("not")
				w.sub(a, precNot)
			}}
		}
	}
	switch r.IntN(5) {
	case 0:
		code := m.code()
		_, in := m.q.options[code]
		return &twin{prec: precOperand, bool: func() bool { return in }, print: func(w *twinWriter) {
			w.word(fmt.Sprintf("option[%d].exists", code))
		}}
	case 1:
		name := string(rune('a' + r.IntN(6)))
		in := m.q.classes[m.n.index(name)]
		return &twin{prec: precOperand, bool: func() bool { return in }, print: func(w *twinWriter) {
			w.word("member('" + name + "')")
		}}
	}
	a, b := m.str(depth-1), m.str(depth-1)
	return &twin{prec: precEqual, bool: func() bool { x, y := a.str(), b.str(); return x == y }, print: func(w *twinWriter) {
		w.sub(a, precPlus)
		w.word("==")
		w.sub(b, precPlus)
	}}
}

func (m *twinMaker) code() uint16 { return uint16(60 + m.r.IntN(6)) }

// bytes are few, so that things are equal now and then.
func (m *twinMaker) bytes(n int) string {
	b := make([]byte, m.r.IntN(n+1))
	for i := range b {
		b[i] = "aB.:"[m.r.IntN(4)]
	}
	return string(b)
}

func (m *twinMaker) str(depth int) *twin {
	r := m.r
	if depth <= 0 {
		switch r.IntN(6) {
		case 0:
			b := m.bytes(3)
			if b == "" {
				b = "a"
			}
			return m.operand("0x"+hex.EncodeToString([]byte(b)), b)
		case 1:
			i := uint32(r.IntN(3))
			return m.operand(strconv.Itoa(int(i)), string([]byte{0, 0, 0, byte(i)}))
		case 2, 3:
			c := m.code()
			return m.operand(fmt.Sprintf("option[%d].hex", c), string(m.q.options[c]))
		}
		s := m.bytes(4)
		return m.operand("'"+s+"'", s)
	}
	a := m.str(depth - 1)
	switch r.IntN(12) {
	case 0, 1:
		b := m.str(depth - 1)
		return &twin{prec: precPlus, str: func() string { x := a.str(); return x + b.str() }, print: func(w *twinWriter) {
			w.sub(a, precPlus)
			w.word("+")
			w.sub(b, precOperand)
		}}
	case 2:
		b := m.str(depth - 1)
		return m.call("concat", func() string { x := a.str(); return x + b.str() }, a, b)
	case 3:
		start, n := r.IntN(13)-6, r.IntN(13)-6
		var last any = n
		if n == 6 {
			last = "all"
		}
		return m.call("substring", func() string { return twinSubstring(a.str(), start, n, n == 6) }, a, start, last)
	case 4:
		b, n := m.str(0), r.IntN(5)-1
		return m.call("split", func() string { x, y := a.str(), b.str(); return twinSplit(x, y, n) }, a, b, n)
	case 5:
		return m.call("lcase", func() string { return strings.ToLower(a.str()) }, a)
	case 6:
		return m.call("ucase", func() string { return strings.ToUpper(a.str()) }, a)
	case 7:
		b := m.str(0)
		return m.call("hexstring", func() string {
			x, sep := a.str(), b.str()
			var l []string
			for i := range len(x) {
				l = append(l, fmt.Sprintf("%02x", x[i]))
			}
			return strings.Join(l, sep)
		}, a, b)
	case 8:
		c, b := m.boolean(depth-1), m.str(depth-1)
		return m.call("ifelse", func() string {
			if c.bool() {
				return a.str()
			}
			return b.str()
		}, c, a, b)
	case 9:
		c, b := m.boolean(depth-1), m.str(depth-1)
		return m.call("sifelse", func() string {
			k, x, y := c.bool(), a.str(), b.str()
			if k {
				return x
			}
			return y
		}, c, a, b)
	case 10:
		return m.call("uint8totext", func() string {
			x := a.str()
			switch len(x) {
			case 0:
				return ""
			case 1:
				return fmt.Sprint(x[0])
			}
			panic(twinFailure{})
		}, a)
	}
	return m.call("addrtotext", func() string {
		x := a.str()
		switch len(x) {
		case 0:
			return ""
		case 4:
			return fmt.Sprintf("%d.%d.%d.%d", x[0], x[1], x[2], x[3])
		case 16:
			if strings.HasPrefix(x, strings.Repeat("\x00", 12)) && x[12:14] != "\x00\x00" {
				return fmt.Sprintf("::%d.%d.%d.%d", x[12], x[13], x[14], x[15])
			}
			return net.IP(x).String()
		}
		panic(twinFailure{})
	}, a)
}

// twinSubstring goes by the manual: octet by octet.
func twinSubstring(s string, start, n int, all bool) string {
	if start < 0 {
		start += len(s)
	}
	if start < 0 || start >= len(s) {
		return ""
	}
	out := ""
	switch {
	case all:
		for i := start; i < len(s); i++ {
			out += s[i : i+1]
		}
	case n >= 0:
		for i := start; i < len(s) && i < start+n; i++ {
			out += s[i : i+1]
		}
	default:
		for i := start - 1; i >= 0 && i >= start+n; i-- {
			out = s[i:i+1] + out
		}
	}
	return out
}

func twinSplit(s, delims string, n int) string {
	if s == "" || delims == "" {
		return s
	}
	var fields []string
	cur := ""
	for i := range len(s) {
		if strings.IndexByte(delims, s[i]) >= 0 {
			fields = append(fields, cur)
			cur = ""
		} else {
			cur += s[i : i+1]
		}
	}
	fields = append(fields, cur)
	if n < 1 || n > len(fields) {
		return ""
	}
	return fields[n-1]
}

// value evaluates, with failures as failed.
func (t *twin) value() (s string, b, failed bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(twinFailure); !ok {
				panic(r)
			}
			s, b, failed = "", false, true
		}
	}()
	if t.bool != nil {
		return "", t.bool(), false
	}
	return t.str(), false, false
}

func testSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TEST_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = v
	}
	t.Logf("TEST_SEED=%d", seed)
	return seed
}

func TestTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(testSeed(t), 1))
	var s Scratch
	failures, yes := 0, 0
	const rounds = 5000
	for range rounds {
		m := &twinMaker{r: r, q: testPacket(), n: numbers{}}
		m.q.options = map[uint16][]byte{}
		for c := range uint16(4) {
			m.q.options[60+c] = []byte(m.bytes(5))
		}
		m.q.classes = map[uint32]bool{}
		for i := range uint32(6) {
			m.q.classes[i] = r.IntN(2) == 0
		}
		for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
			m.n.index(n)
		}
		env := testEnv()
		env.ClassIndex = m.n.index
		var x *twin
		kind := Kind(r.IntN(2))
		if kind == Bool {
			x = m.boolean(5)
		} else {
			x = m.str(4)
		}
		w := &twinWriter{r: r}
		x.print(w)
		e, err := Compile(w.String(), kind, env)
		if err != nil {
			t.Fatalf("%s: %v", w, err)
		}
		want, wantBool, failed := x.value()
		if kind == Bool {
			if got := e.Test(m.q, &s); got != wantBool {
				t.Fatalf("%s is %v (%v), want %v", w, got, s.Failed(), wantBool)
			}
			if wantBool {
				yes++
			}
		} else if got := string(e.AppendString(nil, m.q, &s)); got != want {
			t.Fatalf("%s = %q (%v), want %q", w, got, s.Failed(), want)
		}
		if (s.Failed() != FailNone) != failed {
			t.Fatalf("%s: failure %v, want %v", w, s.Failed(), failed)
		}
		if failed {
			failures++
		}
	}
	if failures < rounds/100 || yes < rounds/10 {
		t.Errorf("of %d expressions %d failed and %d were true: the generator is poor", rounds, failures, yes)
	}
}
