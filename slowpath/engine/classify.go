package engine

import (
	"slices"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// packet4 is what expressions see of the worker's query. It shows the relay's
// option as the engine takes it: perhaps a stashed one.
type packet4 struct {
	class.Message4
	q *Query4
}

func (p *packet4) Option(code uint16) []byte {
	if code == dhcp4.OptRelayAgentInformation {
		return p.q.relayOption()
	}
	return p.Message4.Option(code)
}

func (p *packet4) RelayOption(_ int, code uint16) []byte {
	if code > 255 {
		return nil
	}
	return p.q.rai(uint8(code))
}

// see makes the packet that expressions are evaluated over that of q.
func (w *Worker) see(q *Query4) {
	w.pkt.q = q
	w.pkt.View, w.pkt.Interface, w.pkt.From, w.pkt.To = q.Msg, q.IfName, q.Src, q.Dst
	w.pkt.Classes = &q.Classes
}

// ClassFailures is how many expressions of classes could not be evaluated since
// the worker was made; their class is taken as one the query is not in (CL-027).
// Only for the worker's goroutine.
func (w *Worker) ClassFailures() uint64 { return w.classFailures }

// classifyFirst puts the query into the classes that do not depend on KNOWN
// (CL-047).
func (w *Worker) classifyFirst(q *Query4) {
	if set := q.cfg.classes.set; set != nil {
		w.see(q)
		w.classFailures += uint64(set.EvaluateFirst(&w.pkt, &q.Classes, &w.scratch).Failures)
	}
}

// classifySecond puts it into the others.
func (w *Worker) classifySecond(q *Query4) {
	if set := q.cfg.classes.set; set != nil {
		w.see(q)
		w.classFailures += uint64(set.EvaluateSecond(&w.pkt, &q.Classes, &w.scratch).Failures)
	}
}

// reclassify gives the query the classes of a reservation. Classes already
// evaluated may depend on not being in them, so those are evaluated anew
// (CL-049).
func (w *Worker) reclassify(q *Query4, names []string) {
	set := q.cfg.classes.set
	if set != nil {
		q.Classes.RemoveAll(set.Evaluated)
	}
	for _, n := range names {
		q.Classes.Add(n)
	}
	w.classifyFirst(q)
}

// lookUpEarly looks for a global reservation before the subnet is selected, so
// that its classes may guard subnets (V4-124).
func (w *Worker) lookUpEarly(q *Query4) Reason {
	w.askHostIdentifier(q)
	q.global = w.hostIn(q, 0)
	if q.global == nil {
		return ReasonOK
	}
	if l := q.global.ClientClasses; len(l) > 0 {
		w.reclassify(q, l)
	}
	q.Classes.Put(classKnown)
	w.classifySecond(q)
	if q.Classes.InClass(classDrop) {
		return ReasonClassDrop
	}
	return ReasonOK
}

// classifyHost gives the query the classes of its reservation, KNOWN or UNKNOWN,
// and those that depend on them (CL-047, V4-127). In a shared network classes of
// a reservation of one subnet wait until the subnet is sure (lateClasses).
func (w *Worker) classifyHost(q *Query4) {
	if s := q.Subnet; s != nil {
		var global *config.Reservation4
		if s.ReservationsGlobal && !q.cfg.Snapshot.Dhcp4.EarlyGlobal {
			global = q.global
		}
		if global != nil && len(global.ClientClasses) > 0 ||
			s.Network == nil && q.Host != nil && len(q.Host.ClientClasses) > 0 {
			w.reclassify(q, q.Host.ClientClasses)
		}
	}
	if q.global != nil || len(q.hosts) > 0 {
		q.Classes.Put(classKnown)
	} else {
		q.Classes.Put(classUnknown)
	}
	w.classifySecond(q)
}

// lateClasses adds the classes that have effect on options and fields only:
// those of the reservation in the subnet of a shared network that it came to be,
// and the additional ones of pool, subnet and network (CL-048).
func (w *Worker) lateClasses(q *Query4, r *Reply4) {
	s := q.Subnet
	if s == nil {
		return
	}
	if h := q.Host; s.Network != nil && h != nil && h.SubnetID != 0 {
		for _, n := range h.ClientClasses {
			q.Classes.Add(n)
		}
	}
	if !q.cfg.anyAdditional {
		return
	}
	w.additional = w.additional[:0]
	if r.YIAddr != 0 {
		if p := poolOf(s, r.YIAddr); p >= 0 {
			w.addAdditional(q.rules.poolsAdditional[p])
		}
	}
	w.addAdditional(q.rules.additional)
	w.addAdditional(q.rules.netAdditional)
	if set := q.cfg.classes.set; set != nil && len(w.additional) > 0 {
		w.see(q)
		w.classFailures += uint64(set.EvaluateAdditional(w.additional, &w.pkt, &q.Classes, &w.scratch).Failures)
	}
}

func (w *Worker) addAdditional(l []uint32) {
	for _, i := range l {
		if !slices.Contains(w.additional, i) {
			w.additional = append(w.additional, i)
		}
	}
}
