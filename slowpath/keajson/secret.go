package keajson

import "strings"

// notShown stands in messages for text that may be a secret.
const notShown = "(not shown)"

// show is text for a message, or that it is not shown: beside a password a
// syntax error may lie in the middle of it.
func (l *lexer) show(src int32, off int, text string) string {
	if l.besideSecret(src, off) {
		return notShown
	}
	return Clip(text)
}

// nearby is how far before an error a password's key is looked for, in octets.
const nearby = 512

// besideSecret says whether the text before an error, in the file that has it or
// in one that includes that, may name a secret.
func (l *lexer) besideSecret(src int32, off int) bool {
	if names(l.t.sources[src].text, off) {
		return true
	}
	for _, f := range l.stack {
		if f.src != src && names(f.text, f.pos) {
			return true
		}
	}
	return false
}

// names says whether the text just before off has a word for a secret in it.
func names(text string, off int) bool {
	before := strings.ToLower(text[max(0, off-nearby):min(off, len(text))])
	for _, word := range [...]string{"password", "secret", "token"} {
		if strings.Contains(before, word) {
			return true
		}
	}
	return false
}

// IsSecret says whether the value of a key is not for everybody.
func IsSecret(key string) bool {
	l := strings.ToLower(key)
	return strings.HasSuffix(l, "password") || strings.HasSuffix(l, "secret") || strings.HasSuffix(l, "token")
}
