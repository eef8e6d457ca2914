package limits

import (
	"bytes"
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// leaseLimit counts the leases of a subnet or a class against its limit.
type leaseLimit struct {
	limit  uint32
	leases atomic.Int64
}

// full says whether no lease may be added. replaces: the new lease takes the
// place of one that is counted here.
func (l *leaseLimit) full(replaces bool) bool {
	n := l.leases.Load()
	if replaces {
		n--
	}
	return n >= int64(l.limit)
}

type classLimit struct {
	leaseLimit
	name   string
	quoted []byte // the name as JSON string
}

func newClassLimit(name string, limit uint32) *classLimit {
	return &classLimit{leaseLimit: leaseLimit{limit: limit}, name: name, quoted: encode(name)}
}

// encode is json.Marshal without the escapes for HTML, which other users of a
// user-context do not write. It is given nothing that cannot be encoded.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

// countsForSubnet is Kea's assigned-addresses: a declined address is still
// assigned.
func countsForSubnet(l *lease.Lease4) bool {
	return l.State == lease.StateDefault || l.State == lease.StateDeclined
}

// countsForClass is Kea's count by class: only leases in use.
func countsForClass(l *lease.Lease4) bool { return l.State == lease.StateDefault }

// LeaseChanged implements lease.Observer.
func (lib *Library) LeaseChanged(old, new *lease.Lease4) {
	var from, to *leaseLimit
	if old != nil && countsForSubnet(old) {
		from = lib.leasesBySubnet[old.SubnetID]
	}
	if new != nil && countsForSubnet(new) {
		to = lib.leasesBySubnet[new.SubnetID]
	}
	if from != to {
		if from != nil {
			from.leases.Add(-1)
		}
		if to != nil {
			to.leases.Add(1)
		}
	}
	if len(lib.leasesByClass) == 0 {
		return
	}
	was := old != nil && countsForClass(old) && old.UserContext != ""
	is := new != nil && countsForClass(new) && new.UserContext != ""
	if was && is && old.UserContext == new.UserContext {
		return
	}
	// Up before down, so that nobody sees room that is not there.
	if is {
		lib.addClasses(new.UserContext, 1)
	}
	if was {
		lib.addClasses(old.UserContext, -1)
	}
}

func (lib *Library) addClasses(userContext string, n int64) {
	eachClass(userContext, func(name string) bool {
		if c := lib.addresses(name); c != nil {
			c.leases.Add(n)
		}
		return true
	})
}

// writeClasses notes in the lease's user-context which limited classes the query
// is in, in place of those of the last time. A lease that already says so, or
// has no user-context of another's, costs no allocation.
func (lib *Library) writeClasses(q *hooks.Query4) {
	lib.note(q.Classes, &q.Lease.UserContext, lib.addresses)
}

// note writes the classes of a query that limit has something of into a
// user-context.
func (lib *Library) note(classes hooks.Classes, userContext *string, limit func(name string) *classLimit) {
	var space [512]byte
	buf := append(space[:0], ownPrefix...)
	n := 0
	if classes != nil {
		for name, pos, ok := classes.NextClass(0); ok; name, pos, ok = classes.NextClass(pos) {
			c := limit(name)
			if c == nil {
				continue
			}
			if n++; n > 1 {
				buf = append(buf, ',')
			}
			buf = append(buf, c.quoted...)
		}
	}
	list := buf[len(ownPrefix)-1:]
	buf = append(buf, ownSuffix...)
	list = buf[len(ownPrefix)-1 : len(ownPrefix)+len(list)]
	switch uc := *userContext; {
	case uc == string(buf):
	case uc == "" || isOwn(uc):
		if n == 0 {
			*userContext = ""
		} else {
			*userContext = lib.texts.get(buf)
		}
	default:
		if text, ok := merge(uc, list, n == 0); ok {
			*userContext = text
		}
	}
}

const (
	ownPrefix = `{"ISC":{"client-classes":[`
	ownSuffix = `]}}`
)

// isOwn says whether a user-context was written by this library alone.
func isOwn(uc string) bool {
	if len(uc) < len(ownPrefix)+len(ownSuffix) || uc[:len(ownPrefix)] != ownPrefix {
		return false
	}
	list := skipValue(uc, len(ownPrefix)-1)
	return list >= 0 && uc[list-1:] == ownSuffix
}

// merge puts the list of classes into another's user-context. It allocates, but
// only when the classes of such a lease change.
func merge(uc string, list []byte, none bool) (string, bool) {
	if none && !hasClasses(uc) || sameClasses(uc, list) {
		return uc, true
	}
	var m, isc map[string]json.RawMessage
	if json.Unmarshal([]byte(uc), &m) != nil || m == nil {
		return "", false
	}
	if json.Unmarshal(m["ISC"], &isc) != nil || isc == nil {
		isc = map[string]json.RawMessage{}
	}
	isc["client-classes"] = bytes.Clone(list) // list is on the stack of the hot path
	m["ISC"] = encode(isc)
	return string(encode(m)), true
}

// maxTexts limits the interned texts: as many combinations of limited classes
// as clients are likely to have.
const maxTexts = 4096

// interned keeps user-contexts as strings, so that giving one to a lease
// allocates only the first time.
type interned struct {
	texts atomic.Pointer[map[string]string]
	mu    sync.Mutex
}

func (t *interned) get(b []byte) string {
	if m := t.texts.Load(); m != nil {
		if s, ok := (*m)[string(b)]; ok {
			return s
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[string]string{}
	if m := t.texts.Load(); m != nil {
		if s, ok := (*m)[string(b)]; ok {
			return s
		}
		if len(*m) >= maxTexts {
			return string(b)
		}
		for k, v := range *m {
			next[k] = v
		}
	}
	s := string(b)
	next[s] = s
	t.texts.Store(&next)
	return s
}
