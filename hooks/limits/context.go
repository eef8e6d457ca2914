package limits

import (
	"encoding/json"
	"strings"
)

// A lease's user-context is looked at under a lock of the lease table, so it is
// walked in place instead of being decoded. The walk checks no more than it
// needs; text that is no JSON gives no classes.

// eachClass calls f for the names in ISC.client-classes until it returns false.
func eachClass(uc string, f func(name string) bool) {
	i := classList(uc)
	if i < 0 {
		return
	}
	for i++; ; {
		i = skipSpace(uc, i)
		if i >= len(uc) || uc[i] != '"' {
			return
		}
		end := skipString(uc, i)
		if end < 0 {
			return
		}
		if !f(unquote(uc[i:end])) {
			return
		}
		if i = skipSpace(uc, end); i >= len(uc) || uc[i] != ',' {
			return
		}
		i++
	}
}

// unquote returns the text of a JSON string; only one with a backslash, which no
// class name usually has, costs an allocation.
func unquote(quoted string) string {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	if json.Unmarshal([]byte(quoted), &s) != nil {
		return ""
	}
	return s
}

// leaseInClass says whether the user-context lists the class.
func leaseInClass(uc, class string) bool {
	found := false
	eachClass(uc, func(name string) bool {
		found = name == class
		return !found
	})
	return found
}

func hasClasses(uc string) bool { return classList(uc) >= 0 }

// sameClasses says whether the user-context's list has the same text.
func sameClasses(uc string, list []byte) bool {
	i := classList(uc)
	if i < 0 {
		return false
	}
	end := skipValue(uc, i)
	return end > 0 && uc[i:end] == string(list)
}

// classList is where the list of classes begins, -1 if there is none.
func classList(uc string) int {
	i := findMember(uc, skipSpace(uc, 0), "ISC")
	if i < 0 {
		return -1
	}
	i = findMember(uc, i, "client-classes")
	if i < 0 || i >= len(uc) || uc[i] != '[' {
		return -1
	}
	return i
}

// findMember is where the value of a member begins in the object at i, -1 if
// there is none.
func findMember(s string, i int, key string) int {
	if i >= len(s) || s[i] != '{' {
		return -1
	}
	for i++; ; i++ {
		i = skipSpace(s, i)
		end := skipString(s, i)
		if end < 0 {
			return -1
		}
		match := s[i+1:end-1] == key
		if i = skipSpace(s, end); i >= len(s) || s[i] != ':' {
			return -1
		}
		i = skipSpace(s, i+1)
		if match {
			return i
		}
		if i = skipValue(s, i); i < 0 {
			return -1
		}
		if i = skipSpace(s, i); i >= len(s) || s[i] != ',' {
			return -1
		}
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// skipString is the position after the string at i, -1 if there is none.
func skipString(s string, i int) int {
	if i >= len(s) || s[i] != '"' {
		return -1
	}
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// skipValue is the position after the value at i, -1 if it does not end.
func skipValue(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch s[i] {
		case '"':
			if i = skipString(s, i); i < 0 {
				return -1
			}
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return i // end of the object around a plain value
			}
			if depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	if depth == 0 {
		return i
	}
	return -1
}
