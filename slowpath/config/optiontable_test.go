package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// line is a definition as testdata/kea4-options.txt has it.
func (o *optDef) line() string {
	var fields []string
	for _, f := range o.fields {
		fields = append(fields, f.String())
	}
	s := fmt.Sprintf("%s %d %s %s", o.space, o.code, o.name, strings.Join(fields, ","))
	if o.array {
		s += " array"
	}
	if o.encapsulates != "" {
		s += " encapsulate=" + o.encapsulates
	}
	return s
}

// TestOptionsOfKea4: every option that Kea defines is defined here, by the same name
// and type, and no other.
func TestOptionsOfKea4(t *testing.T) {
	text, err := os.ReadFile("testdata/kea4-options.txt")
	if err != nil {
		t.Fatal(err)
	}
	kea := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if line[0] != '#' {
			kea[strings.TrimSpace(line)] = true
		}
	}
	if len(kea) != 156 {
		t.Fatalf("%d options in the list", len(kea))
	}
	ours := []*optDef{&lastResort43}
	for _, l := range [][]optDef{builtinOptions, builtinRAI, builtinCableLabs, builtinDOCSIS} {
		for i := range l {
			ours = append(ours, &l[i])
		}
	}
	for _, o := range ours {
		if !kea[o.line()] {
			t.Errorf("not so in Kea: %s", o.line())
		}
		delete(kea, o.line())
	}
	for l := range kea {
		t.Errorf("missing: %s", l)
	}
}
