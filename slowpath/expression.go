package slowpath

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// expression is one of a hook library (hooks.Expression).
type expression struct {
	e     *class.Expr
	names []string // of classes, by the number that e has for them
}

var _ hooks.Expression = (*expression)(nil)

// compiler is hooks.Server.Expression; env makes what names mean.
func compiler(env func() *class.Env) func(text string) (hooks.Expression, error) {
	return func(text string) (hooks.Expression, error) {
		x, known := new(expression), env()
		known.ClassIndex = func(name string) uint32 {
			x.names = append(x.names, name)
			return uint32(len(x.names) - 1)
		}
		var err error
		if x.e, err = class.Compile(text, class.String, known); err != nil {
			return nil, err
		}
		return x, nil
	}
}

// evaluation is the memory of one, and the packet it is over.
type evaluation struct {
	scratch  class.Scratch
	packet4  hookPacket4
	packet6  class.Message6
	member   memberOf
	replied4 dhcp4.View
	replied6 dhcp6.View
}

var evaluations = sync.Pool{New: func() any {
	v := new(evaluation)
	v.scratch.Unpacked = true // queries have been read when callouts see them
	return v
}}

// memberOf answers member() for an expression.
type memberOf struct {
	x *expression
	q *hooks.Query // nil: a reply, which is in no class
}

func (m *memberOf) InClass(i uint32) bool { return m.q != nil && m.q.InClass(m.x.names[i]) }

// hookPacket4 is a query with the option 82 that stash-agent-options has
// recovered, or a reply, where q is nil.
type hookPacket4 struct {
	class.Message4
	q *engine.Query4
}

func (p *hookPacket4) Option(code uint16) []byte {
	if code == dhcp4.OptRelayAgentInformation && p.q != nil {
		return p.q.RelayOption()
	}
	return p.Message4.Option(code)
}

func (p *hookPacket4) RelayOption(level int, code uint16) []byte {
	if p.q == nil {
		return p.Message4.RelayOption(level, code)
	}
	if code > 255 {
		return nil
	}
	return p.q.RelaySubOption(uint8(code))
}

// Errors of evaluations, made once: they happen per packet.
var (
	errReplyUnread   = errors.New("read the reply: it is malformed")
	evaluationErrors = func() (errs [class.FailBool + 1]error) {
		for i := range errs {
			errs[i] = fmt.Errorf("evaluate expression: %v", class.Failure(i))
		}
		return errs
	}()
)

func (v *evaluation) append(dst []byte, x *expression, p class.Packet) ([]byte, error) {
	dst = x.e.AppendString(dst, p, &v.scratch)
	if f := v.scratch.Failed(); f != class.FailNone {
		return dst, evaluationErrors[f]
	}
	return dst, nil
}

// Append4 implements hooks.Expression.
func (x *expression) Append4(dst []byte, q *hooks.Query4, side hooks.Side) ([]byte, error) {
	v := evaluations.Get().(*evaluation)
	defer evaluations.Put(v)
	v.member = memberOf{x, &q.Query}
	p := &v.packet4
	p.q, p.Message4 = nil, class.Message4{View: q.Msg, Interface: q.IfName, From: q.Src, To: q.Dst, Classes: &v.member}
	if side == hooks.OfReply {
		if v.replied4.ParseReply(q.Raw) != dhcp4.ReasonOK {
			return dst, errReplyUnread
		}
		p.View, p.From, p.To, v.member.q = &v.replied4, q.Dst, q.Src, nil
	} else if c, ok := q.Classes.(*classes); ok {
		p.q = c.q
	}
	return v.append(dst, x, p)
}

// Append6 implements hooks.Expression.
func (x *expression) Append6(dst []byte, q *hooks.Query6, side hooks.Side) ([]byte, error) {
	v := evaluations.Get().(*evaluation)
	defer evaluations.Put(v)
	v.member = memberOf{x, &q.Query}
	p := &v.packet6
	*p = class.Message6{View: q.Msg, Interface: q.IfName, From: netip.AddrFrom16(q.Src), To: netip.AddrFrom16(q.Dst), Classes: &v.member}
	if side == hooks.OfReply {
		if v.replied6.ParseReply(q.Raw) != dhcp6.ReasonOK {
			return dst, errReplyUnread
		}
		p.View, p.From, p.To, v.member.q = &v.replied6, p.To, p.From, nil
	}
	return v.append(dst, x, p)
}

// checkUserContext refuses what no record of the journal holds.
func checkUserContext(context string) error {
	if len(context) > leasestore.MaxUserContext {
		return errLongContext
	}
	return nil
}

var errLongContext = fmt.Errorf("user context has more than %d octets", leasestore.MaxUserContext)
