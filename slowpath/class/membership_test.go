package class

import (
	"fmt"
	"strings"
	"testing"
)

func memberNames(c *Membership) string {
	var l []string
	for i := range c.Len() {
		name := c.Name(i)
		if b := string(c.AppendName(nil, i)); b != name {
			name = "two names: " + name + ", " + b
		}
		l = append(l, name)
	}
	return strings.Join(l, " ")
}

func TestMembership(t *testing.T) {
	var n Names
	a, b, v := n.Add("a"), n.Add("b"), n.Add("VENDOR_CLASS_x%20y")
	if n.Add("b") != b || n.Len() != 3 {
		t.Fatal("a name has two numbers")
	}
	var c Membership
	if c.Has("a") || c.Add("a") || c.Len() != 0 {
		t.Error("the zero value has classes")
	}
	c.Reset(&n)
	c.AddVendor([]byte("x y"))
	c.AddVendor([]byte("x y"))
	c.AddVendor([]byte("100%"))
	c.AddVendor([]byte("100%"))
	c.AddSpawned(&Class{Name: "t"}, []byte("1"))
	c.AddSpawned(&Class{Name: "t"}, []byte("2"))
	c.AddSpawned(&Class{Name: "t"}, []byte("1"))
	c.Add("theirs")
	c.Add("theirs")
	c.AddClass(a)
	if got := memberNames(&c); got != "VENDOR_CLASS_x%20y VENDOR_CLASS_100%% SPAWN_t_1 SPAWN_t_2 theirs a" {
		t.Errorf("classes %s", got)
	}
	if !c.InClass(v) || !c.InAny([]uint32{b, a}) || c.InAny([]uint32{b}) || !c.InAny(nil) || !c.Has("SPAWN_t_2") || c.Has("SPAWN_t_3") {
		t.Error("members")
	}
	c.RemoveAll([]uint32{v, b})
	if got := memberNames(&c); got != "VENDOR_CLASS_100%% SPAWN_t_1 SPAWN_t_2 theirs a" || c.Has("VENDOR_CLASS_x%20y") {
		t.Errorf("classes %s", got)
	}
	c.Reset(&n)
	if c.Len() != 0 || c.InClass(a) || c.Has("theirs") || c.Has("SPAWN_t_1") {
		t.Error("Reset leaves classes")
	}
}

// What a client makes up takes nothing away from what callouts give.
func TestMembershipLimits(t *testing.T) {
	var n Names
	for i := range MaxMembership + 100 {
		n.Add(fmt.Sprint("c", i))
	}
	var c Membership
	c.Reset(&n)
	c.AddVendor(make([]byte, MaxMadeLen)) // too long
	if c.Len() != 0 || !c.Overflowed() {
		t.Errorf("%d classes", c.Len())
	}
	for i := range 2 * MaxForeign {
		c.AddSpawned(&Class{Name: "t"}, fmt.Appendf(nil, "%d", i))
	}
	if c.Len() != MaxForeign {
		t.Errorf("%d spawned", c.Len())
	}
	for i := range 2 * MaxForeign {
		if ok := c.Add(fmt.Sprint("theirs", i)); ok != (i < MaxForeign) {
			t.Errorf("callout's %d: %v", i, ok)
		}
	}
	c.Reset(&n)
	for i := range uint32(n.Len()) {
		if ok := c.Put(i); ok != (i < MaxMembership) {
			t.Fatalf("class %d: %v", i, ok)
		}
	}
	if !c.Overflowed() || c.Add("theirs") || c.Len() != MaxMembership {
		t.Error("the limit does not hold")
	}
	c.AddVendor([]byte("x"))
	if c.Has("VENDOR_CLASS_x") {
		t.Error("a vendor's class beyond the limit")
	}
	if a := testing.AllocsPerRun(10, func() {
		c.Reset(&n)
		for i := range uint32(100) {
			c.Put(i * 40)
		}
		c.AddVendor([]byte("vendor"))
		c.Add("theirs")
	}); a != 0 && !raceEnabled {
		t.Errorf("%v allocations", a)
	}
}
