package control

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

// Scripts look at the octets of answers: they are as Kea writes them (CC-007).
func TestAnswersHaveKeasBlanks(t *testing.T) {
	for _, x := range []struct {
		r    Response
		want string
	}{
		{Response{}, `{ "result": 0 }`},
		{Response{Result: 3, Text: "0 IPv4 lease(s) found.", Arguments: map[string]any{"leases": []int{}}},
			`{ "arguments": { "leases": [  ] }, "result": 3, "text": "0 IPv4 lease(s) found." }`},
		{Response{Arguments: map[string]any{}}, `{ "arguments": {  }, "result": 0 }`},
		{Response{Arguments: json.RawMessage(nil)}, `{ "result": 0 }`},
		{Response{Arguments: []any{1, "a:b,{}[]", map[string]any{"k": "\"\\", "l": nil}}},
			`{ "arguments": [ 1, "a:b,{}[]", { "k": "\"\\", "l": null } ], "result": 0 }`},
		{Response{Text: "line\nfeed \\\" <&>"}, `{ "result": 0, "text": "line\nfeed \\\" <&>" }`},
	} {
		if got := string(x.r.appendOrFail(nil)); got != x.want {
			t.Errorf("%+v is written\n%s\nwant\n%s", x.r, got, x.want)
		}
		if got := string(x.r.appendOrFail([]byte("[ "))); got != "[ "+x.want {
			t.Errorf("behind something: %s", got)
		}
	}
}

// However the text comes in pieces, the blanks are the same, and what it says
// does not change.
func FuzzSpacer(f *testing.F) {
	f.Add([]byte(`{"a":[1,2,{"b":"c\\\"d,:{}[]"}],"e":{},"f":[],"g":-1.5e3}`), uint64(1))
	f.Add([]byte(`"\\"`), uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		var v any
		if json.Unmarshal(text, &v) != nil {
			return
		}
		compact, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var whole, pieces spacer
		whole.Write(compact)
		rnd := rand.New(rand.NewPCG(seed, 0))
		for rest := compact; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			pieces.Write(rest[:n])
			rest = rest[n:]
		}
		if string(whole.out) != string(pieces.out) {
			t.Fatalf("whole:  %s\npieces: %s", whole.out, pieces.out)
		}
		if again := spaced(whole.out); string(again) != string(whole.out) {
			t.Fatalf("%s the second time is %s", whole.out, again)
		}
		var w any
		if err := json.Unmarshal(whole.out, &w); err != nil {
			t.Fatalf("%s: %v", whole.out, err)
		}
		if again, _ := json.Marshal(w); string(again) != string(compact) {
			t.Fatalf("%s became %s", compact, again)
		}
	})
}
