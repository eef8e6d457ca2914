package lease_cmds

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// fakeExpression is a text that stands for its own value.
type fakeExpression string

var errFake = errors.New("no value")

func (x fakeExpression) Append4(dst []byte, _ *hooks.Query4, _ hooks.Side) ([]byte, error) {
	if x == "fails" {
		return dst, errFake
	}
	return append(dst, x...), nil
}

func (x fakeExpression) Append6(dst []byte, _ *hooks.Query6, _ hooks.Side) ([]byte, error) {
	return x.Append4(dst, nil, 0)
}

func server() *hooks.Server {
	return &hooks.Server{Expression: func(text string) (hooks.Expression, error) {
		if text == "wrong" {
			return nil, errors.New("column 1: unknown word")
		}
		return fakeExpression(text), nil
	}}
}

// A parameter is read or refused, never taken and ignored.
func TestParameters(t *testing.T) {
	one := func(members string) string { return `{"binding-variables": [ {` + members + `} ]}` }
	for _, x := range []struct{ params, want string }{
		{``, ""}, {`{}`, ""}, {`{"binding-variables": []}`, ""},
		{one(`"name": "a", "expression": "x", "source": "query"`), ""},
		{one(`"name": "a", "expression": "x", "source": "response"`), ""},
		{one(`"name": "a", "expression": "x", "source": "query" }, { "name": "a", "expression": "y", "source": "query"`), ""}, // as Kea
		{`{"colour": 1}`, `unknown parameter "colour"`},
		{`[]`, "parameters are not a map"},
		{`{"binding-variables": {}}`, "'binding-variables' must be a list"},
		{`{"binding-variables": [ 1 ]}`, "cannot add BindingVariable to cache: a binding variable must be a map, not integer"},
		{one(`"name": "a", "expression": "x"`), "cannot add BindingVariable to cache: missing parameter 'source'"},
		{one(`"name": "a", "expression": "x", "source": 1`), "cannot add BindingVariable to cache: invalid type specified for parameter 'source'"},
		{one(`"name": "a", "expression": "x", "source": "query", "b": 1`), "cannot add BindingVariable to cache: spurious 'b' parameter"},
		{one(`"name": "a", "expression": "x", "source": "both"`), "invalid config: invalid source 'both', must be either 'query' or 'response'"},
		{one(`"name": "", "expression": "x", "source": "query"`), "invalid config: BindingVariable - name cannot be empty"},
		{one(`"name": "a", "expression": "", "source": "query"`), "invalid config: BindingVariable - 'a' expression_str cannot be empty"},
		{one(`"name": "a", "expression": "wrong", "source": "query"`), "invalid config: BindingVariable - 'a', error parsing expression: 'wrong' : column 1: unknown word"},
	} {
		p, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(x.params)}}, server())
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.params, err)
		}
		if err == nil {
			if has, want := p.Has(hooks.Buffer4Send), strings.Contains(x.params, "name"); has != want {
				t.Errorf("%s: callout %v", x.params, has)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// updater takes what is stored.
type updater struct {
	context string
	err     error
	n       int
}

func (u *updater) SetUserContext(_ int, context string) error {
	u.context, u.n = context, u.n+1
	return u.err
}

// TestBindings4 is when a lease is given its variables; that they are right is
// tested with the server.
func TestBindings4(t *testing.T) {
	lib := `{"binding-variables": [ {"name": "b", "expression": "2", "source": "query"}, {"name": "a", "expression": "1", "source": "response"}, {"name": "a", "expression": "3", "source": "query"} ]}`
	const want = `{"ISC":{"binding-variables":{"a":"1","b":"2"}}}`
	message := func(m dhcp4.MsgType) *dhcp4.View {
		r := dhcp4.Reply{Type: m, Op: dhcp4.BootRequest}
		b, _ := r.Append(nil, 1500, nil)
		v := new(dhcp4.View)
		if why := v.Parse(b); why != dhcp4.ReasonOK {
			t.Fatal(why)
		}
		return v
	}
	for _, c := range []struct {
		query, reply dhcp4.MsgType
		offerS       uint32
		context      string
		stored       bool
	}{
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, "", true},
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, want, false},
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, `{ "ISC": { "binding-variables": { "b": "2", "a": "1" } } }`, false},
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, `{"ISC":{"binding-variables":{"a":"1","b":"2"},"x":1}}`, false},
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, `{"ISC":{"binding-variables":{"a":"1","b":"3"}}}`, true},
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, `{"ISC":5}`, true},
		{dhcp4.MsgRequest, dhcp4.MsgAck, 0, `nonsense`, true},
		{dhcp4.MsgRequest, dhcp4.MsgNak, 0, "", false},
		{dhcp4.MsgInform, dhcp4.MsgAck, 0, "", false},
		{dhcp4.MsgDiscover, dhcp4.MsgOffer, 0, "", false},
		{dhcp4.MsgDiscover, dhcp4.MsgOffer, 60, "", true},
	} {
		p, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(lib)}}, server())
		if err != nil {
			t.Fatal(err)
		}
		for _, fails := range []error{nil, lease.ErrConflict} {
			u := &updater{err: fails}
			q := &hooks.Query4{Msg: message(c.query), Reply: &dhcp4.Reply{Type: c.reply}, Lease: &lease.Lease4{UserContext: c.context}, OfferLifetimeS: c.offerS, Updater: u}
			if st := p.Run(hooks.Buffer4Send, q); st != hooks.Continue {
				t.Errorf("%+v: %v", c, st)
			}
			if (u.n == 1) != c.stored || c.stored && u.context != want {
				t.Errorf("%+v: stored %d times %s", c, u.n, u.context)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Octets of any value come out of JSON as the characters of the same numbers, in a
// form that encoding/json leaves as it is.
func TestAppendText(t *testing.T) {
	var all []byte
	var want strings.Builder
	for c := range 256 {
		all = append(all, byte(c))
		want.WriteRune(rune(c))
	}
	text := appendText(nil, all)
	var got string
	if err := json.Unmarshal(text, &got); err != nil || got != want.String() {
		t.Errorf("%v: %q", err, got)
	}
	if again, err := json.Marshal(json.RawMessage(text)); err != nil || string(again) != string(text) {
		t.Errorf("encoding/json makes %s of %s (%v)", again, text, err)
	}
}

// FuzzWithBindings: whatever a lease has, it has the variables afterwards, and then
// they are found there.
func FuzzWithBindings(f *testing.F) {
	for _, s := range []string{``, `{}`, `{"ISC":{}}`, `{"ISC":{"binding-variables":{"v":"x"}}}`, `{"ISC":{"binding-variables":{"v":"x"}}`, `{"ISC":[]}`, `{"A":{"ISC":1}}`, `[1]`} {
		f.Add(s, []byte("x"))
	}
	f.Fuzz(func(t *testing.T, context string, value []byte) {
		member := append(appendText([]byte(bindingsKey+`{"v":`), value), '}')
		next, changed := withBindings(context, member)
		if !changed && next != context {
			t.Fatalf("%q became %q", context, next)
		}
		var m struct {
			ISC struct {
				Variables map[string]string `json:"binding-variables"`
			}
		}
		if err := json.Unmarshal([]byte(next), &m); err != nil && changed {
			t.Fatalf("%q: %v", next, err)
		}
		if again, changed := withBindings(next, member); changed {
			t.Fatalf("%q, then %q", next, again)
		}
	})
}
