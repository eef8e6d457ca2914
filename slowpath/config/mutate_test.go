package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestWrongValues puts values of every wrong kind in the place of every value
// of configurations that use all keys: each is refused with a position, or
// accepted and then printed faithfully. Nothing of it may crash.
func TestWrongValues(t *testing.T) {
	t.Run("4", func(t *testing.T) { wrongValues(t, "testdata/good/isp-edge.json", 4) })
	t.Run("6", func(t *testing.T) { wrongValues(t, "testdata/good/isp-edge6.json", 1) })
}

// wrongValues tries each times at every place.
func wrongValues(t *testing.T, file string, each int) {
	s := mustLoad(t, file)
	var root any
	if err := json.Unmarshal(s.Get, &root); err != nil {
		t.Fatal(err)
	}
	wrong := []any{nil, true, false, -1, 0, 5000000000, 0.5, "", "x", "192.0.2.1", []any{}, []any{nil}, []any{1, "x"}, map[string]any{}, map[string]any{"x": 1}}
	// Every place gets some of them in turn, so that all meet every kind of
	// place without every product.
	turn := 0
	next := func() any { turn++; return wrong[turn*4%len(wrong)] }
	refused, accepted := 0, 0
	try := func(path string) {
		js, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		s, err := FromJSON("m", js, LoadOptions{ReadFile: memFiles(nil)})
		if err == nil {
			accepted++
			roundTrip(t, s, LoadOptions{})
			return
		}
		refused++
		for _, e := range AsErrors(err).List {
			if e.Pos.Line != 1 || e.Pos.Col < 1 || e.Msg == "" || strings.Contains(e.Msg, "%!") {
				t.Errorf("%s: bad message %q", path, e)
			}
		}
	}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				old := v[k]
				for range each {
					v[k] = next()
					try(path + "." + k)
				}
				delete(v, k)
				try(path + " without " + k)
				v[k] = old
				walk(old, path+"."+k)
			}
			v["unheard-of"] = 1
			try(path + " with one more")
			delete(v, "unheard-of")
		case []any:
			for i, old := range v {
				for range each {
					v[i] = next()
					try(fmt.Sprintf("%s[%d]", path, i))
				}
				v[i] = old
				walk(old, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	}
	walk(root, "")
	if refused < 200*each || accepted < 25*each {
		t.Errorf("refused %d, accepted %d: the walk does not reach what it should", refused, accepted)
	}
}

// TestConcurrentLoads: the tables are shared and never written to.
func TestConcurrentLoads(t *testing.T) {
	good, err := os.ReadFile("testdata/good/isp-edge.json")
	if err != nil {
		t.Fatal(err)
	}
	bad := []byte(`{"Dhcp4":{"subent4":[],"pools":[],"option-data":[{"name":"router"}]}}`)
	want := mustLoad(t, "testdata/good/isp-edge.json").Hash
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if s, err := Parse("g", good, LoadOptions{}); err != nil || s.Hash != want {
					t.Error("good:", err)
				}
				if _, err := Parse("b", bad, LoadOptions{}); err == nil || len(AsErrors(err).List) != 3 {
					t.Error("bad:", err)
				}
			}
		})
	}
	wg.Wait()
}
