package lease_cmds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// variable is one of "binding-variables": a name, and the expression whose value
// leases keep under it.
type variable struct {
	name string
	key  []byte // name as a member of a map in JSON, with its colon
	expr hooks.Expression
	side hooks.Side
}

// bindings are the variables of a configuration. Leases keep them in their user
// context under ISC, binding-variables, as Kea's library stores them (CM-040).
//
// Expressions may ask for options of the reply, so they are evaluated when it is
// in wire form. A lease whose values have changed is then stored once more, and
// the reply waits for that, too. One that has the same values already costs no
// allocation.
type bindings struct {
	list []variable // by ascending name, which is Kea's order of them
	log  *slog.Logger
	// failed counts queries whose lease kept what it had; loggedNs is when that
	// was logged last.
	failed   atomic.Uint64
	loggedNs atomic.Int64
	memory   sync.Pool // of *[]byte
}

const (
	bindingsKey = `"binding-variables":`
	// failureEveryNs is how often failures are logged at most: clients may cause
	// them.
	failureEveryNs = 10e9
)

// parseBindings reads the parameter, nil if it has no variables.
func parseBindings(env *hooks.Env, raw json.RawMessage) (*bindings, error) {
	items, ok := arguments.ListOf(raw)
	if !ok {
		return nil, errors.New("'binding-variables' must be a list")
	}
	b := &bindings{log: env.Logger()}
	for _, item := range items {
		v, err := parseVariable(env, item)
		if err != nil {
			return nil, fmt.Errorf("cannot add BindingVariable to cache: %w", err)
		}
		if slices.ContainsFunc(b.list, func(x variable) bool { return x.name == v.name }) {
			b.log.Warn("PEREGRINE_BINDING_VARIABLE the first binding variable of this name counts, as in Kea", "name", v.name)
			continue
		}
		b.list = append(b.list, v)
	}
	if len(b.list) == 0 {
		return nil, nil
	}
	slices.SortFunc(b.list, func(x, y variable) int { return bytes.Compare([]byte(x.name), []byte(y.name)) })
	return b, nil
}

func parseVariable(env *hooks.Env, raw json.RawMessage) (v variable, err error) {
	m := arguments.Parse(raw)
	if !m.IsMap() {
		return v, fmt.Errorf("a binding variable must be a map, not %s", arguments.Kind(raw))
	}
	var text [3]string
	names := [...]string{"name", "expression", "source"}
	m.Each(func(k string, _ json.RawMessage) {
		if !slices.Contains(names[:], k) {
			err = fmt.Errorf("spurious '%s' parameter", k)
		}
	})
	for i, k := range names {
		if err == nil {
			text[i], err = m.String(k)
		}
	}
	if err != nil {
		return v, err
	}
	v.name = text[0]
	switch text[2] {
	case "query":
		v.side = hooks.OfQuery
	case "response":
		v.side = hooks.OfReply
	default:
		return v, fmt.Errorf("invalid config: invalid source '%s', must be either 'query' or 'response'", text[2])
	}
	switch {
	case v.name == "":
		return v, errors.New("invalid config: BindingVariable - name cannot be empty")
	case text[1] == "":
		return v, fmt.Errorf("invalid config: BindingVariable - '%s' expression_str cannot be empty", v.name)
	}
	if v.expr, err = env.Expression(text[1]); err != nil {
		return v, fmt.Errorf("invalid config: BindingVariable - '%s', error parsing expression: '%s' : %w", v.name, text[1], err)
	}
	v.key = append(appendText(nil, []byte(v.name)), ':')
	return v, nil
}

// register adds the callouts. They run where the reply is complete; whatever comes
// of it then, what is stored is right.
func (b *bindings) register(env *hooks.Env) {
	b.memory.New = func() any { return new([]byte) }
	if env.Config6() != nil {
		env.On6(hooks.Buffer6Send, b.send6)
		return
	}
	env.On(hooks.Buffer4Send, b.send4)
}

// send4 updates the lease of a DHCPACK, and that of a DHCPOFFER which is stored.
func (b *bindings) send4(q *hooks.Query4) hooks.Status {
	if q.Status() != hooks.Continue || q.Lease == nil || q.Reply == nil {
		return q.Status()
	}
	id := "LEASE_CMDS_LEASES4_COMMITTED_FAILED"
	switch t := q.Msg.Type(); {
	case q.Reply.Type == dhcp4.MsgAck && t == dhcp4.MsgRequest:
	case q.Reply.Type == dhcp4.MsgOffer && q.OfferLifetimeS != 0:
		id = "LEASE_CMDS_LEASE4_OFFER_FAILED"
	default:
		return hooks.Continue
	}
	mem := b.memory.Get().(*[]byte)
	err := b.evaluate(mem, func(dst []byte, v *variable) ([]byte, error) { return v.expr.Append4(dst, q, v.side) })
	if err == nil {
		if next, changed := withBindings(q.Lease.UserContext, *mem); changed {
			err = q.SetUserContext(next)
		}
	}
	b.memory.Put(mem)
	if err != nil {
		b.fail(q.NowUnixNs, id, err)
	}
	return hooks.Continue
}

// send6 updates the leases that a reply grants.
func (b *bindings) send6(q *hooks.Query6) hooks.Status {
	if q.Status() != hooks.Continue || len(q.Committed) == 0 || q.Reply == nil {
		return q.Status()
	}
	mem := b.memory.Get().(*[]byte)
	err := b.evaluate(mem, func(dst []byte, v *variable) ([]byte, error) { return v.expr.Append6(dst, q, v.side) })
	if err == nil {
		for i := range q.Committed {
			l := &q.Committed[i]
			if l.State != lease.StateDefault || l.ValidLifetimeS == 0 {
				continue
			}
			if next, changed := withBindings(l.UserContext, *mem); changed {
				err = errors.Join(err, q.SetUserContext(i, next))
			}
		}
	}
	b.memory.Put(mem)
	if err != nil {
		b.fail(q.NowUnixNs, "LEASE_CMDS_LEASES6_COMMITTED_FAILED", err)
	}
	return hooks.Continue
}

// fail counts a query whose lease keeps what it had.
func (b *bindings) fail(nowNs int64, id string, err error) {
	n, last := b.failed.Add(1), b.loggedNs.Load()
	if nowNs-last >= failureEveryNs && b.loggedNs.CompareAndSwap(last, nowNs) {
		b.log.Error(id+" processing error occurred evaluating binding variables: "+err.Error(), "failures", n)
	}
}

// evaluate makes *mem the member of ISC that a lease is to have. The values
// are encoded where they have been evaluated to.
func (b *bindings) evaluate(mem *[]byte, value func(dst []byte, v *variable) ([]byte, error)) (err error) {
	out := append((*mem)[:0], bindingsKey...)
	for i := range b.list {
		v := &b.list[i]
		out = append(out, "{,"[min(i, 1)])
		out = append(out, v.key...)
		from := len(out)
		if out, err = value(out, v); err != nil {
			break
		}
		end := len(out)
		out = appendText(out, out[from:end])
		out = append(out[:from], out[end:]...)
	}
	*mem = append(out, '}')
	return err
}

const hexDigits = "0123456789abcdef"

// appendText appends octets as a string of JSON in Kea's way: what is no
// printable ASCII is a \u00XX. Characters that encoding/json escapes are escaped,
// so that it leaves the text as it is.
func appendText(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c >= 0x7f || c == '<' || c == '>' || c == '&':
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// withBindings is a user context with member in its ISC; changed says whether it
// differs from what it is now, which it does not if it has the same values in
// another form.
func withBindings(context string, member []byte) (next string, changed bool) {
	const head = `{"ISC":{`
	if n := len(head) + len(member); len(context) > n && context[:len(head)] == head && context[len(head):n] == string(member) &&
		(context[n] == '}' || context[n] == ',') {
		return context, false // as this function makes it
	}
	value := json.RawMessage(bytes.Clone(member[len(bindingsKey):]))
	all := objectOf([]byte(context))
	isc := objectOf(all["ISC"])
	if old, has := isc["binding-variables"]; has && sameJSON(old, value) {
		return context, false
	}
	isc["binding-variables"] = value
	var err error
	if all["ISC"], err = json.Marshal(isc); err != nil {
		return context, false // not possible: the values have just been read
	}
	text, err := json.Marshal(all)
	if err != nil {
		return context, false
	}
	return string(text), true
}

// objectOf is a map of JSON; what is none is an empty one.
func objectOf(text []byte) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil || m == nil {
		return map[string]json.RawMessage{}
	}
	return m
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
