package keajson

import (
	"errors"
	"fmt"
	"slices"
)

// Edit is a configuration being changed by command: the values of a text,
// without its positions and comments. It belongs to one goroutine.
type Edit struct{ root Node }

// NewEdit reads text, such as Snapshot.Get, which is not kept.
func NewEdit(text []byte) (*Edit, error) {
	n, err := parseValue(text)
	if err != nil {
		return nil, err
	}
	return &Edit{*n}, nil
}

// parseValue reads one value. The error has no position: the text is part of a
// command.
func parseValue(text []byte) (*Node, error) {
	t, _, err := ParseTree("", text, TreeOptions{Command: true, MaxErrors: 1})
	if e := (*Errors)(nil); errors.As(err, &e) {
		return nil, errors.New(e.List[0].Msg)
	}
	if err != nil {
		return nil, err
	}
	return t.Root, nil
}

// At returns what stands at path: keys (string) and places in lists (int) from
// the top down; nil if there is nothing. It is valid until the next change.
func (e *Edit) At(path ...any) *Node {
	n := &e.root
	for _, step := range path {
		if n = n.step(step); n == nil {
			return nil
		}
	}
	return n
}

func (n *Node) step(s any) *Node {
	switch s := s.(type) {
	case string:
		return n.Get(s)
	case int:
		if n.Kind == List && s >= 0 && s < len(n.Kids) {
			return &n.Kids[s]
		}
	}
	return nil
}

// Set puts the JSON value text at path, in place of what stands there or as a
// new member or last element. Lists that are missing on the way to a first
// element are made.
func (e *Edit) Set(text []byte, path ...any) error {
	v, err := parseValue(text)
	if err != nil {
		return err
	}
	if len(path) == 0 {
		return errors.New("set: no path")
	}
	parent := e.At(path[:len(path)-1]...)
	last := path[len(path)-1]
	if parent == nil && len(path) > 1 && last == 0 {
		if err := e.Set([]byte("[]"), path[:len(path)-1]...); err != nil {
			return err
		}
		parent = e.At(path[:len(path)-1]...)
	}
	switch s := last.(type) {
	case string:
		if parent == nil || parent.Kind != Map {
			return fmt.Errorf("set: nothing at %v can have members", path[:len(path)-1])
		}
		v.Key = s
		if old := parent.Get(s); old != nil {
			*old = *v
		} else {
			parent.Kids = append(parent.Kids, *v)
		}
	case int:
		if parent == nil || parent.Kind != List || s < 0 || s > len(parent.Kids) {
			return fmt.Errorf("set: no place at %v", path)
		}
		if s == len(parent.Kids) {
			parent.Kids = append(parent.Kids, *v)
		} else {
			parent.Kids[s] = *v
		}
	default:
		return fmt.Errorf("set: a path has keys and places, not %v", last)
	}
	return nil
}

// Remove takes away what stands at path.
func (e *Edit) Remove(path ...any) error {
	if len(path) == 0 || e.At(path...) == nil {
		return fmt.Errorf("remove: nothing at %v", path)
	}
	parent := e.At(path[:len(path)-1]...)
	i, isPlace := path[len(path)-1].(int)
	if !isPlace {
		i = slices.IndexFunc(parent.Kids, func(k Node) bool { return k.Key == path[len(path)-1] })
	}
	parent.Kids = slices.Delete(parent.Kids, i, i+1)
	return nil
}

// JSON is the whole as compact JSON.
func (e *Edit) JSON() []byte { return e.root.AppendJSON(nil) }
