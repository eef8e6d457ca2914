// Package class is Kea's client classification: the expression language of
// test, template-test and of the hook libraries that take expressions (CL-001
// … CL-028), and the order in which classes are evaluated (CL-040 … CL-055).
//
// An expression is compiled once, when the configuration is read, into closures
// over a small interface to a packet, and evaluated without allocation. Where
// Kea's manual and the code of Kea 3.3.1 disagree this follows the code.
//
// What an evaluation costs has a bound that is known when it is compiled: no
// operator loops but over its operands, operands are at most MaxValueLen octets
// in all, and regular expressions take time linear in their subject. The
// package has no state; an Expr and a Set are immutable and may be used by any
// number of workers, each with its own Scratch.
package class

import (
	"fmt"
	"net/netip"
)

// MaxValueLen is how many octets one evaluation may compute, temporaries
// included; more makes it fail with FailTooLong. Kea has no limit: no packet
// reaches this one with an expression that is not made for it.
const MaxValueLen = 64 << 10

// MaxTextLen is how long the text of an expression may be, in octets.
const MaxTextLen = 64 << 10

// maxDepth is how deep parentheses, not and arguments may be nested.
const maxDepth = 200

// Packet is what an expression sees of a query. Slices must stay valid, and the
// same, while an expression is evaluated; they are not written to.
type Packet interface {
	// Header is, for DHCPv4, the fixed part of the message (RFC 2131 §2, at
	// least 44 octets, so up to chaddr), for DHCPv6 msg-type and
	// transaction-id of the client's own message (RFC 8415 §8, 4 octets).
	Header() []byte
	// Option returns the value of an option with all its pieces put together
	// (for DHCPv6 of its first instance): nil if it is absent, empty but not
	// nil if it has no octets.
	Option(code uint16) []byte
	// RelayOption is Option for what relays added: in DHCPv4 a sub-option of
	// option 82, with level 0; in DHCPv6 an option of the level-th RELAY-FORW
	// counted from the server.
	RelayOption(level int, code uint16) []byte
	// Relays is how many RELAY-FORW messages are around a DHCPv6 message.
	Relays() int
	// RelayHeader returns msg-type, hop-count, link-address and peer-address of
	// a RELAY-FORW (34 octets), nil if there is none at that level.
	RelayHeader(level int) []byte

	// Iface is the name of the interface, Src and Dst are the addresses in the
	// IP header, and Len is what pkt.len shows (V4Len for DHCPv4).
	Iface() string
	Src() netip.Addr
	Dst() netip.Addr
	Len() int

	// InClass reports whether the query is in a class, by the number that
	// Env.ClassIndex gave its name.
	InClass(index uint32) bool
}

// Kind is the type of an expression's result.
type Kind uint8

const (
	// Bool is what test is: true or false.
	Bool Kind = iota
	// String is what template-test, flex-id, DDNS tuning and legal logging
	// take: octets.
	String
)

func (k Kind) String() string {
	if k == Bool {
		return "true or false"
	}
	return "a string"
}

// Env is what names in an expression mean. The functions are called while
// compiling only. A nil function knows no name.
type Env struct {
	// V6 compiles for DHCPv6.
	V6 bool
	// OptionCode finds the code of an option by name in space dhcp4 or dhcp6:
	// standard definitions, then those of option-def.
	OptionCode func(name string) (code uint16, ok bool)
	// OptionDef describes an option of a space, by which .text prints it and
	// .option[…] finds what it encapsulates. Options it does not know are
	// binary and encapsulate nothing.
	OptionDef func(space string, code uint16) (OptionDef, bool)
	// ClassIndex gives each class name that member() mentions its number, for
	// Packet.InClass.
	ClassIndex func(name string) uint32
	// ClassDefined refuses names in member(); nil takes all.
	ClassDefined func(name string) bool
}

func (e *Env) space() string {
	if e.V6 {
		return "dhcp6"
	}
	return "dhcp4"
}

func (e *Env) optionDef(space string, code uint16) (OptionDef, bool) {
	if e.OptionDef == nil || space == "" {
		return OptionDef{}, false
	}
	return e.OptionDef(space, code)
}

// Expr is a compiled expression. It is immutable.
type Expr struct {
	text    string
	kind    Kind
	test    boolFn
	str     strFn
	members []string
}

type (
	boolFn func(q Packet, s *Scratch) bool
	strFn  func(q Packet, s *Scratch) []byte
)

// Error says what is wrong with an expression and where.
type Error struct {
	// Column is the offset in octets of the mistake, from 1; newlines count
	// like every other octet.
	Column int
	Msg    string
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Msg) }

// Compile compiles an expression that yields a kind. All errors are *Error.
// The caller keeps env, and may change it when Compile has returned.
func Compile(text string, kind Kind, env *Env) (*Expr, error) {
	p := parser{env: env, lex: lexer{text: text}}
	n, err := p.parse(kind)
	if err != nil {
		return nil, err
	}
	e := &Expr{text: text, kind: kind, members: p.members}
	g := generator{env: env}
	g.fold(n)
	if kind == Bool {
		e.test = g.boolean(n)
	} else {
		e.str = g.str(n)
	}
	return e, nil
}

// Text returns the expression as it was written.
func (e *Expr) Text() string { return e.text }

// Kind returns the type of its result.
func (e *Expr) Kind() Kind { return e.kind }

// Members returns the class names that member() mentions, each once, in order
// of appearance. The caller must not change them.
func (e *Expr) Members() []string { return e.members }

// Test evaluates an expression of kind Bool. It is false when the evaluation
// fails, whatever the operators around the failure are (CL-027); s.Failed says
// why. Neither q nor s is kept.
func (e *Expr) Test(q Packet, s *Scratch) bool {
	s.begin()
	return e.test(q, s) && s.failed == FailNone
}

// AppendString evaluates an expression of kind String and appends the result to
// dst. If the evaluation fails it appends nothing and s.Failed says why. dst
// must not be memory of q.
func (e *Expr) AppendString(dst []byte, q Packet, s *Scratch) []byte {
	s.begin()
	b := e.str(q, s)
	if s.failed != FailNone {
		return dst
	}
	return append(dst, b...)
}

// value is AppendString without the copy: the result may alias the packet, the
// expression or the scratch.
func (e *Expr) value(q Packet, s *Scratch) []byte {
	s.begin()
	b := e.str(q, s)
	if s.failed != FailNone {
		return nil
	}
	return b
}

// Failure says why an evaluation has no result. Kea throws an exception there
// and takes it for "not in the class".
type Failure uint8

const (
	FailNone Failure = iota
	// FailLength: a conversion to text got a value of another length than its
	// type has.
	FailLength
	// FailNumber: a position, length or field number does not fit 32 bits.
	FailNumber
	// FailTooLong: more than MaxValueLen octets were computed.
	FailTooLong
	// FailBool: a template class in an additional list, whose value must be
	// 'true' or 'false' there, has another one.
	FailBool
)

var failureNames = [...]string{"none", "wrong length for a conversion to text", "number out of range", "value too long", "value is neither 'true' nor 'false'"}

func (f Failure) String() string { return failureNames[f] }

// Scratch is the memory of evaluations, one per worker. The zero value is ready;
// its buffer grows to what the expressions in use need, at most MaxValueLen
// octets, and is kept.
type Scratch struct {
	// Unpacked says that options 43 and 224 to 254 have been decoded by their
	// definitions, which Kea does after the first pass (V4-097). Before, they
	// are octets and encapsulate nothing. The caller sets it for each pass.
	Unpacked bool

	failed Failure
	buf    []byte
	next   []uint16 // see index4
}

// Failed says why the last evaluation has no result, FailNone if it has one.
func (s *Scratch) Failed() Failure { return s.failed }

func (s *Scratch) begin() {
	s.buf = s.buf[:0]
	s.failed = FailNone
}

func (s *Scratch) fail(f Failure) []byte {
	if s.failed == FailNone {
		s.failed = f
	}
	return nil
}

// room makes place for n more octets in buf. Slices of buf given out before stay
// valid: a larger buffer is a copy.
func (s *Scratch) room(n int) bool {
	need := len(s.buf) + n
	if need <= cap(s.buf) {
		return true
	}
	if need > MaxValueLen {
		s.fail(FailTooLong)
		return false
	}
	b := make([]byte, len(s.buf), min(max(need, 2*cap(s.buf), 1024), MaxValueLen))
	copy(b, s.buf)
	s.buf = b
	return true
}

// since returns what was appended to buf from mark on.
func (s *Scratch) since(mark int) []byte { return s.buf[mark:len(s.buf):len(s.buf)] }
