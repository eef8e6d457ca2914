package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

func classNames(c *ClassSet) string {
	var l []string
	for i := range c.Len() {
		l = append(l, string(c.AppendName(nil, i)))
	}
	return strings.Join(l, " ")
}

func TestClassSet(t *testing.T) {
	tab := newClassTable(&config.Dhcp4{Classes: []config.Class{{Name: "a"}, {Name: "VENDOR_CLASS_x%20y"}, {Name: "b"}}})
	var c ClassSet
	if c.Has("a") || c.Len() != 0 {
		t.Error("the zero value is not empty")
	}
	c.reset(tab)
	c.Put(classAll)
	c.addVendor([]byte("x y"))
	c.Add("b")
	c.Add("b")
	c.Add("foreign")
	c.Add("KNOWN")
	if got := classNames(&c); got != "ALL VENDOR_CLASS_x%20y b foreign KNOWN" {
		t.Errorf("classes %s", got)
	}
	for name, want := range map[string]bool{"ALL": true, "b": true, "a": false, "foreign": true, "other": false, "VENDOR_CLASS_x%20y": true, "VENDOR_CLASS_x y": false, "": false} {
		if c.Has(name) != want {
			t.Errorf("Has(%q) is %v", name, !want)
		}
	}
	c.reset(tab)
	c.addVendor([]byte("100% q\x00\xff"))
	if got := classNames(&c); got != "VENDOR_CLASS_100%%%20q%00%ff" {
		t.Errorf("classes %s", got)
	}
	if !c.Has("VENDOR_CLASS_100%%%20q%00%ff") || c.Has("VENDOR_CLASS_100%%%20q%00") || c.Has("VENDOR_CLASS_") || c.Has("VENDOR_CLASS_100%%%20q%00%ffx") {
		t.Error("the spawned class is not found, or another is")
	}
	for i := range 10 {
		c.Add(fmt.Sprintf("foreign%d", i))
	}
	if c.Len() != 1+class.MaxForeign || !c.Overflowed() {
		t.Errorf("%d classes, overflowed %v", c.Len(), c.Overflowed())
	}
}

func TestClassSetLimits(t *testing.T) {
	cfg := &config.Dhcp4{}
	for i := range 5000 {
		cfg.Classes = append(cfg.Classes, config.Class{Name: fmt.Sprintf("c%d", i)})
	}
	tab := newClassTable(cfg)
	var c ClassSet
	c.reset(tab)
	for i := range 5000 {
		if i != 21 && i < MaxQueryClasses && (!c.Add(fmt.Sprintf("c%d", i)) || !c.Has(fmt.Sprintf("c%d", i)) || c.Has(fmt.Sprintf("c%d", i+1))) {
			t.Fatalf("class %d", i)
		}
	}
	c.Add("c4500") // the place of c21
	if c.Overflowed() || c.Len() != MaxQueryClasses {
		t.Errorf("%d classes", c.Len())
	}
	if c.Add("c4501") || !c.Overflowed() || c.Has("c4501") {
		t.Error("too many classes fit")
	}
	if n := testing.AllocsPerRun(10, func() {
		c.reset(tab)
		for i := range uint32(100) {
			c.Put(i * 40)
		}
	}); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
	c.reset(tab)
	if c.Len() != 0 || c.Has("c3") {
		t.Error("reset leaves something")
	}
	c.Add("c3")
	g := tab.numbers([]string{"c3", "c21"})
	if !c.InAny(g) || !c.InAny(nil) || c.InAny(tab.numbers([]string{"c21"})) {
		t.Error("guards are wrong")
	}
}

func TestClassEscape(t *testing.T) {
	for _, raw := range []string{"", "plain", "a b", "%", "%%", "\x00", "ü", "x%20", "a,b(c)"} {
		esc := string(class.AppendEscaped(nil, []byte(raw)))
		if got, ok := unescapeClass(esc); !ok || got != raw {
			t.Errorf("%q → %q → %q, %v", raw, esc, got, ok)
		}
		if !equalEscaped(esc, []byte(raw)) {
			t.Errorf("%q is not equal to its own %q", raw, esc)
		}
	}
	for _, esc := range []string{"%", "%2", "%zz", "%41", "a b", "%FF"} {
		if got, ok := unescapeClass(esc); ok {
			t.Errorf("%q is taken as the name of %q", esc, got)
		}
	}
}
