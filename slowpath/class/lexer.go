package class

import (
	"net/netip"
	"strconv"
	"strings"
)

// token is the type of a word of the language. Keywords come first.
type token uint8

const (
	tokOption token = iota
	tokRelay4
	tokRelay6
	tokPeerAddr
	tokLinkAddr
	tokText
	tokHex
	tokExists
	tokPkt
	tokIface
	tokSrc
	tokDst
	tokLen
	tokPkt4
	tokMAC
	tokHLen
	tokHType
	tokCIAddr
	tokGIAddr
	tokYIAddr
	tokSIAddr
	tokPkt6
	tokMsgType
	tokTransID
	tokVendor
	tokVendorClass
	tokData
	tokEnterprise
	tokSubstring
	tokLCase
	tokUCase
	tokSplit
	tokAll
	tokConcat
	tokIfElse
	tokSIfElse
	tokHexString
	tokAddrToText
	tokInt8ToText
	tokInt16ToText
	tokInt32ToText
	tokUint8ToText
	tokUint16ToText
	tokUint32ToText
	tokNot
	tokAnd
	tokSAnd
	tokOr
	tokSOr
	tokMember
	tokMatch

	tokEqual
	tokDot
	tokLParen
	tokRParen
	tokLBracket
	tokRBracket
	tokComma
	tokAny
	tokPlus

	tokStringLit
	tokHexLit
	tokInteger
	tokAddress
	tokOptionName
	tokEnd
)

var tokenNames = [...]string{
	tokOption: "option", tokRelay4: "relay4", tokRelay6: "relay6",
	tokPeerAddr: "peeraddr", tokLinkAddr: "linkaddr",
	tokText: "text", tokHex: "hex", tokExists: "exists",
	tokPkt: "pkt", tokIface: "iface", tokSrc: "src", tokDst: "dst", tokLen: "len",
	tokPkt4: "pkt4", tokMAC: "mac", tokHLen: "hlen", tokHType: "htype",
	tokCIAddr: "ciaddr", tokGIAddr: "giaddr", tokYIAddr: "yiaddr", tokSIAddr: "siaddr",
	tokPkt6: "pkt6", tokMsgType: "msgtype", tokTransID: "transid",
	tokVendor: "vendor", tokVendorClass: "vendor-class", tokData: "data", tokEnterprise: "enterprise",
	tokSubstring: "substring", tokLCase: "lcase", tokUCase: "ucase", tokSplit: "split", tokAll: "all",
	tokConcat: "concat", tokIfElse: "ifelse", tokSIfElse: "sifelse", tokHexString: "hexstring",
	tokAddrToText: "addrtotext", tokInt8ToText: "int8totext", tokInt16ToText: "int16totext",
	tokInt32ToText: "int32totext", tokUint8ToText: "uint8totext", tokUint16ToText: "uint16totext",
	tokUint32ToText: "uint32totext",
	tokNot:          "not", tokAnd: "and", tokSAnd: "sand", tokOr: "or", tokSOr: "sor",
	tokMember: "member", tokMatch: "match",
	tokEqual: "==", tokDot: ".", tokLParen: "(", tokRParen: ")", tokLBracket: "[", tokRBracket: "]",
	tokComma: "\",\"", tokAny: "*", tokPlus: "+",
	tokStringLit: "a quoted string", tokHexLit: "a hexadecimal string", tokInteger: "an integer",
	tokAddress: "an IP address", tokOptionName: "an option name", tokEnd: "the end of the expression",
}

func (t token) String() string { return tokenNames[t] }

// lexeme is a word of the text: text[pos:end], without the blanks that belong
// to an option name.
type lexeme struct {
	tok      token
	pos, end int
}

// lexer splits a text into words as Kea's scanner does: the longest word that
// begins here counts, so notmember('x') is three words and needs no blanks.
type lexer struct {
	text string
	pos  int
}

func errorAt(pos int, msg string) *Error { return &Error{Column: pos + 1, Msg: msg} }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHexDigit(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isBlank(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' }

// span counts the octets of s from i on that are of a kind.
func span(s string, i int, is func(byte) bool) int {
	n := 0
	for i+n < len(s) && is(s[i+n]) {
		n++
	}
	return n
}

func (l *lexer) next() (lexeme, *Error) {
	s := l.text
	l.pos += span(s, l.pos, isBlank)
	p := l.pos
	if p == len(s) {
		return lexeme{tokEnd, p, p}, nil
	}
	word := func(t token, n int) (lexeme, *Error) {
		l.pos = p + n
		return lexeme{t, p, p + n}, nil
	}
	switch c := s[p]; {
	case c == '\'':
		if i := strings.IndexAny(s[p+1:], "'\n"); i >= 0 && s[p+1+i] == '\'' {
			return word(tokStringLit, i+2)
		}
		return lexeme{}, errorAt(p, "quoted string has no end: expected ' before the end of the line")
	case isDigit(c) || c == '-' || c == ':':
		return l.number(p)
	case isLetter(c):
		if n := addr6Len(s, p); n > 0 {
			return l.address(p, n)
		}
		if n, all := optionNameLen(s, p); n > 0 {
			l.pos = p + all
			return lexeme{tokOptionName, p, p + n}, nil
		}
		best, bestLen := tokEnd, 0
		for t := tokOption; t <= tokMatch; t++ {
			if w := tokenNames[t]; len(w) > bestLen && strings.HasPrefix(s[p:], w) {
				best, bestLen = t, len(w)
			}
		}
		if bestLen > 0 {
			return word(best, bestLen)
		}
		w := s[p : p+max(span(s, p, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' || c == '_' }), 1)]
		return lexeme{}, errorAt(p, "unknown word "+strconv.Quote(clip(w))+hint(w))
	case c == '=' && strings.HasPrefix(s[p:], "=="):
		return word(tokEqual, 2)
	case c == '.':
		return word(tokDot, 1)
	case c == '(':
		return word(tokLParen, 1)
	case c == ')':
		return word(tokRParen, 1)
	case c == '[':
		return word(tokLBracket, 1)
	case c == ']':
		return word(tokRBracket, 1)
	case c == ',':
		return word(tokComma, 1)
	case c == '*':
		return word(tokAny, 1)
	case c == '+':
		return word(tokPlus, 1)
	case c == '=':
		return lexeme{}, errorAt(p, "expected == for a comparison")
	case c == '!':
		return lexeme{}, errorAt(p, "invalid character \"!\": inequality is written not (… == …)")
	case c == '"':
		return lexeme{}, errorAt(p, "invalid character '\"': strings are written in single quotes")
	default:
		return lexeme{}, errorAt(p, "invalid character "+strconv.QuoteToASCII(s[p:p+1]))
	}
}

// hint helps with words that the manual has and the language has not.
func hint(word string) string {
	switch word {
	case "known":
		return ": write member('KNOWN')"
	case "unknown":
		return ": write member('UNKNOWN')"
	}
	return ""
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// number reads what begins with a digit, a sign or a colon.
func (l *lexer) number(p int) (lexeme, *Error) {
	s := l.text
	tok, n := tokEnd, 0
	if p+2 < len(s) && s[p] == '0' && (s[p+1] == 'x' || s[p+1] == 'X') {
		if d := span(s, p+2, isHexDigit); d > 0 {
			tok, n = tokHexLit, d+2
		}
	}
	sign := 0
	if s[p] == '-' {
		sign = 1
	}
	if d := span(s, p+sign, isDigit); d > 0 && d+sign > n {
		tok, n = tokInteger, d+sign
	}
	if a := max(addr4Len(s, p), addr6Len(s, p)); a > n {
		return l.address(p, a)
	}
	if n == 0 {
		return lexeme{}, errorAt(p, "invalid character "+strconv.Quote(s[p:p+1]))
	}
	if tok == tokInteger {
		if _, err := strconv.ParseInt(s[p:p+n], 10, 64); err != nil {
			return lexeme{}, errorAt(p, "integer "+clip(s[p:p+n])+" does not fit 64 bits")
		}
	}
	l.pos = p + n
	return lexeme{tok, p, p + n}, nil
}

func (l *lexer) address(p, n int) (lexeme, *Error) {
	if _, err := netip.ParseAddr(l.text[p : p+n]); err != nil {
		return lexeme{}, errorAt(p, strconv.Quote(clip(l.text[p:p+n]))+" is no IP address")
	}
	l.pos = p + n
	return lexeme{tokAddress, p, p + n}, nil
}

// addr4Len is the length of four numbers with dots between, 0 if there are none.
func addr4Len(s string, p int) int {
	i := p
	for k := range 4 {
		if k > 0 {
			if i == len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
		d := span(s, i, isDigit)
		if d == 0 {
			return 0
		}
		i += d
	}
	return i - p
}

// addr6Len is the length of what has two colons with hexadecimal digits around,
// 0 if there is none.
func addr6Len(s string, p int) int {
	i := p
	for range 2 {
		i += span(s, i, isHexDigit)
		if i == len(s) || s[i] != ':' {
			return 0
		}
		i++
	}
	i += span(s, i, func(c byte) bool { return isHexDigit(c) || c == ':' || c == '.' })
	return i - p
}

// optionNameLen is the length of a name that a closing bracket follows: any
// word is a name there, keywords too. all counts the blanks up to the bracket.
func optionNameLen(s string, p int) (n, all int) {
	n = span(s, p, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' || c == '_' })
	if c := s[p+n-1]; c == '-' || c == '_' {
		return 0, 0
	}
	all = n + span(s, p+n, isBlank)
	if p+all == len(s) || s[p+all] != ']' {
		return 0, 0
	}
	return n, all
}
