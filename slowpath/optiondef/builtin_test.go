package optiondef

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// line is a definition as testdata/kea4-options.txt has it.
func (o *Def) line() string {
	var fields []string
	for _, f := range o.Fields {
		fields = append(fields, f.String())
	}
	s := fmt.Sprintf("%s %d %s %s", o.Space, o.Code, o.Name, strings.Join(fields, ","))
	if o.Array {
		s += " array"
	}
	if o.Encapsulates != "" {
		s += " encapsulate=" + o.Encapsulates
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
	ours := []*Def{&LastResort43}
	for _, l := range [][]Def{builtin, builtinRAI, builtinCableLabs, builtinDOCSIS} {
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

func TestOptionTable(t *testing.T) {
	last := 0
	for _, o := range builtin {
		if int(o.Code) <= last {
			t.Errorf("option %d is out of order", o.Code)
		}
		last = int(o.Code)
		if len(o.Fields) == 0 {
			t.Errorf("option %d has no type", o.Code)
		}
		if NameOf(uint8(o.Code)) != o.Name {
			t.Errorf("NameOf(%d) = %q", o.Code, NameOf(uint8(o.Code)))
		}
		// Every definition takes some text.
		var err error
		for _, text := range []string{"1,10.0.0.1,a.,::1,1,1", "10.0.0.1", "1,1,1,a.", "1,1,::1,10.0.0.1", "1,1/4", "", "a.", "10.0.0.0/8-10.0.0.1", "1,10.0.0.1,10.0.0.1,a.", "ab", "1", "1, 10.0.0.1", "1, ab", "1, a."} {
			if _, _, err = o.encode(text); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("option %s takes no text: %v", o.Name, err)
		}
	}
	if NameOf(254) != "" {
		t.Error("254 has a name")
	}
}
