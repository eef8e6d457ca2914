package class_cmds

import (
	"fmt"
	"regexp"
	"strings"
)

// member finds member('NAME') in an expression. A string in an expression has no
// quote in it, so that this cannot be part of one.
var member = regexp.MustCompile(`\bmember\s*\(\s*'([^']*)'\s*\)`)

// members are the classes that an expression asks for.
func members(test string) (names []string) {
	for _, m := range member.FindAllStringSubmatch(test, -1) {
		names = append(names, m[1])
	}
	return names
}

// builtin says whether the server itself puts queries into the class.
func builtin(name string) bool {
	switch name {
	case "ALL", "KNOWN", "UNKNOWN", "BOOTP":
		return true
	}
	for _, p := range []string{"VENDOR_CLASS_", "HA_", "AFTER_", "EXTERNAL_"} {
		if len(name) > len(p) && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// checkMembers refuses an expression that asks for a class which is neither
// built in nor among those defined before it.
func checkMembers(test string, before []class) error {
	for _, at := range member.FindAllStringSubmatchIndex(test, -1) {
		name := test[at[2]:at[3]]
		if !builtin(name) && index(before, name) < 0 {
			return fmt.Errorf("expression: [%s] error: Not defined client class '%s' at 1.%d-%d", test, name, at[2], at[3]+1)
		}
	}
	return nil
}

// dependsOnKnown says of every class whether it asks for KNOWN or UNKNOWN,
// itself or through classes before it.
func dependsOnKnown(l []class) []bool {
	out := make([]bool, len(l))
	for i, c := range l {
		for _, name := range members(c.test) {
			j := index(l[:i], name)
			if name == "KNOWN" || name == "UNKNOWN" || j >= 0 && out[j] {
				out[i] = true
			}
		}
	}
	return out
}
