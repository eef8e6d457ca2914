package keajson

import (
	"math"
	"strconv"
	"strings"
)

// Text is the value of a member that is a string, def where there is none.
func (n *Node) Text(name, def string) string {
	if v := n.Get(name); v != nil && v.Kind == String {
		return strings.Clone(v.Str)
	}
	return def
}

// Bool is the value of a member that is a boolean, def where there is none.
func (n *Node) Bool(name string, def bool) bool {
	if v := n.Get(name); v != nil && v.Kind == Bool {
		return v.Str == "true"
	}
	return def
}

// IsTrue reports whether n is there and true.
func (n *Node) IsTrue() bool { return n != nil && n.Kind == Bool && n.Str == "true" }

// Int is the value of a member that is an integer of 64 bits, def where there is none.
func (n *Node) Int(name string, def int64) int64 {
	if v := n.Get(name); v != nil && v.Kind == Integer {
		if i, err := strconv.ParseInt(v.Str, 10, 64); err == nil {
			return i
		}
	}
	return def
}

// Uint32 is the value of a member that is an integer of 32 bits without sign, def where there
// is none.
func (n *Node) Uint32(name string, def uint32) uint32 {
	if i := n.Int(name, int64(def)); i >= 0 && i <= math.MaxUint32 {
		return uint32(i)
	}
	return def
}

// Float is the value of a member that is a number, def where there is none.
func (n *Node) Float(name string, def float64) float64 {
	if v := n.Get(name); v != nil && (v.Kind == Real || v.Kind == Integer) {
		if f, err := strconv.ParseFloat(v.Str, 64); err == nil {
			return f
		}
	}
	return def
}

// List are the elements of member name where it is a list, else nothing.
func (n *Node) List(name string) []Node {
	if v := n.Get(name); v != nil && v.Kind == List {
		return v.Kids
	}
	return nil
}
