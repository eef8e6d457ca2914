package class_cmds

import (
	"slices"
	"testing"
)

func TestMembers(t *testing.T) {
	for test, want := range map[string][]string{
		"":            nil,
		"member('a')": {"a"},
		"not member( 'a b' ) and (member('c') or option[61].hex == 0x01)": {"a b", "c"},
		"option[12].text == 'member'":                                     nil,
		"remember('x')":                                                   nil,
		"member ('KNOWN')":                                                {"KNOWN"},
	} {
		if got := members(test); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", test, got, want)
		}
	}
}

func TestCheckMembers(t *testing.T) {
	before := []class{{name: "a"}}
	for test, want := range map[string]string{
		"member('a') and member('ALL') and member('VENDOR_CLASS_x') and member('HA_server1')": "",
		"member('b')":           "expression: [member('b')] error: Not defined client class 'b' at 1.8-10",
		"member('HA_')":         "expression: [member('HA_')] error: Not defined client class 'HA_' at 1.8-12",
		"member('VENDOR_CLAS')": "expression: [member('VENDOR_CLAS')] error: Not defined client class 'VENDOR_CLAS' at 1.8-20",
	} {
		err := checkMembers(test, before)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: got %v", test, err)
		}
	}
}

func TestDependsOnKnown(t *testing.T) {
	l := []class{{"a", "member('b')"}, {"b", "member('UNKNOWN')"}, {"c", "member('b')"}, {"d", "member('a')"}, {"e", "member('c') or member('d')"}}
	if got, want := dependsOnKnown(l), []bool{false, true, true, false, true}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
