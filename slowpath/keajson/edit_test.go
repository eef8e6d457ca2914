package keajson

import (
	"strings"
	"testing"
)

func TestEdit(t *testing.T) {
	type op struct {
		set  string // "" removes
		path []any
		err  string
	}
	at := func(p ...any) []any { return p }
	for _, tc := range []struct {
		name, text string
		ops        []op
		want       string
	}{
		{"replace a member", `{"a":1,"b":[2]}`, []op{{`{"x":3}`, at("a"), ""}}, `{"a":{"x":3},"b":[2]}`},
		{"add a member", `{"a":{}}`, []op{{`"s"`, at("a", "k"), ""}}, `{"a":{"k":"s"}}`},
		{"replace an element", `{"a":[1,2,3]}`, []op{{`9`, at("a", 1), ""}}, `{"a":[1,9,3]}`},
		{"append", `{"a":[1]}`, []op{{`2`, at("a", 1), ""}, {`3`, at("a", 2), ""}}, `{"a":[1,2,3]}`},
		{"a list that is not there", `{}`, []op{{`2`, at("a", 0), ""}}, `{"a":[2]}`},
		{"remove a member", `{"a":1,"b":2}`, []op{{"", at("a"), ""}}, `{"b":2}`},
		{"remove an element", `{"a":[1,2,3]}`, []op{{"", at("a", 1), ""}}, `{"a":[1,3]}`},
		{"remove nothing", `{"a":[1]}`, []op{{"", at("a", 1), "nothing at"}, {"", at("b"), "nothing at"}, {"", nil, "nothing at"}}, `{"a":[1]}`},
		{"no place", `{"a":[1]}`, []op{{`2`, at("a", 2), "no place"}, {`2`, at("b", "c"), "nothing at"}, {`2`, at("b", 1), "no place"}, {`2`, nil, "no path"}}, `{"a":[1]}`},
		{"no value", `{"a":[1]}`, []op{{`{`, at("a"), "text ends"}}, `{"a":[1]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, err := NewEdit([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range tc.ops {
				if o.set == "" {
					err = e.Remove(o.path...)
				} else {
					err = e.Set([]byte(o.set), o.path...)
				}
				if o.err == "" && err != nil || o.err != "" && (err == nil || !strings.Contains(err.Error(), o.err)) {
					t.Errorf("%v: got %v, want %q", o, err, o.err)
				}
			}
			if got := string(e.JSON()); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	if _, err := NewEdit([]byte("{")); err == nil {
		t.Error("half a map was read")
	}
}
