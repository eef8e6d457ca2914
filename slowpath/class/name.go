package class

import "strings"

// Prefixes of names of classes that nobody has to define (CL-043).
const (
	VendorPrefix = "VENDOR_CLASS_"
	SpawnPrefix  = "SPAWN_"
)

var builtinNames = [...]string{"ALL", "KNOWN", "UNKNOWN", "BOOTP"}

var builtinPrefixes = [...]string{VendorPrefix, "HA_", "AFTER_", "EXTERNAL_"}

// Builtin reports whether a class is there without definition. SPAWN_ names are
// not: a class must be defined to be tested by a later one.
func Builtin(name string) bool {
	if builtinName(name) {
		return true
	}
	for _, p := range builtinPrefixes {
		if len(name) > len(p) && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// builtinName reports whether a name is one of those that may be defined but
// have no test (CL-041).
func builtinName(name string) bool {
	for _, n := range builtinNames {
		if n == name {
			return true
		}
	}
	return false
}

// validNameByte reports whether a class name may have an octet (CL-045).
func validNameByte(c byte) bool {
	return isLetter(c) || isDigit(c) || strings.IndexByte("!#$%&*+-./:?@^_|~", c) >= 0
}

// AppendEscaped appends a value as it stands in a generated class name: what a
// name may not have is written %XX, and % is doubled.
func AppendEscaped(dst, value []byte) []byte {
	for _, c := range value {
		switch {
		case c == '%':
			dst = append(dst, '%', '%')
		case validNameByte(c):
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// CheckName returns how Kea would write a configured name, which it only warns
// of when it differs: a % stays single there.
func CheckName(name string) (escaped string, ok bool) {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; validNameByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String(), b.String() == name
}
