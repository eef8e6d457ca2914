package engine6

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// prepared is a query as octets, so that a measurement has only the engine in it.
type prepared struct {
	msg      []byte
	src, dst dhcp6.IPv6
	want     dhcp6.MsgType
}

func prepare(q *query, want dhcp6.MsgType) prepared {
	return prepared{q.message(), q.src, q.dst, want}
}

func (l *lab) run(p *prepared) {
	if r := l.view.Parse(p.msg); r != dhcp6.ReasonOK {
		l.t.Fatal(r)
	}
	l.q.Msg = &l.view
	l.q.NowUnixS = l.now
	l.q.IfName, l.q.IfIndex = "eth0", 2
	l.q.Src, l.q.Dst, l.q.SrcPort = p.src, p.dst, 546
	w := l.w
	w.Begin()
	r := w.Accept6(&l.q)
	if r == ReasonOK {
		w.SelectSubnet6(&l.q)
		r = w.Process6(&l.q, &l.r)
	}
	if r == ReasonOK {
		r = w.Finish6(&l.q, &l.r)
	}
	if r != ReasonOK || l.r.Type != p.want {
		l.t.Fatalf("%v: reason %v, answer %v, want %v", l.view.Type(), r, l.r.Type, p.want)
	}
	l.out, _ = l.r.Append(l.out[:0], l.r.MaxLen, l.r.ORO)
}

// busy is a configuration with something of everything on the hot path: guards,
// expressions, reservations, options of each scope, vendors, networks and pools.
const busy = `
	"valid-lifetime": 4000, "preferred-lifetime": 3000, "store-extended-info": true,
	"mac-sources": [ "any" ], "ddns-qualifying-suffix": "example.org",
	"client-classes": [
	  { "name": "nobody" },
	  { "name": "cpe", "test": "option[16].exists", "option-data": [ { "name": "sntp-servers", "data": "2001:db8::7" } ] },
	  { "name": "seen", "test": "member('KNOWN') and relay6[0].option[18].exists" },
	  { "name": "more", "test": "option[1].exists", "only-in-additional-list": true } ],
	"option-data": [
	  { "name": "dns-servers", "data": "2001:db8::53", "always-send": true },
	  { "name": "config-file", "space": "vendor-4491", "code": 33, "data": "file", "always-send": true } ],
	"relay-supplied-options": [ "110" ],
	"shared-networks": [ { "name": "net", "interface": "eth0", "subnet6": [
	  { "id": 1, "subnet": "2001:db8:1::/64", "client-classes": [ "nobody" ], "pools": [ { "pool": "2001:db8:1::/80" } ] },
	  { "id": 2, "subnet": "2001:db8:2::/64", "evaluate-additional-classes": [ "more" ],
	    "pools": [ { "pool": "2001:db8:2::10 - 2001:db8:2::ffff" } ],
	    "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 33, "delegated-len": 56, "excluded-prefix": "2001:db8:8000::", "excluded-prefix-len": 64 } ],
	    "reservations": [ { "duid": "00:03:00:01:02:c1:00:00:00:05", "ip-addresses": [ "2001:db8:2::5" ], "prefixes": [ "2001:db8:ff00::/48" ], "hostname": "five", "client-classes": [ "cpe" ] } ] } ] } ]`

func steadyState(t testing.TB) (*lab, []prepared) {
	l := newLab(t, busy)
	l.j.Quiet = true
	var qs []prepared
	for i := range 40 {
		parts := []part{
			oro(23, 24, 31, 67, 82), with(dhcp6.OptClientFQDN, []byte{1, 4, 'h', 'o', 's', 't'}),
			with(dhcp6.OptVendorClass, u32(4491), []byte{0, 3, 'c', 'p', 'e'}),
			with(dhcp6.OptVendorOpts, u32(4491), []byte{0, 1, 0, 2, 0, 33}),
		}
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, i, append(parts, na(1), pd(2))...))
		a, p := l.addr(0), l.addr(1)
		own := append(parts, na(1, a), pd(2, p))
		relay := relayed("2001:db8:2::fe", opt(dhcp6.OptInterfaceID, []byte("port 7")), opt(dhcp6.OptRemoteID, u32(9, 7)),
			opt(dhcp6.OptClientLinkLayerAddr, []byte{0, 1, 2, 3, 4, 5, 6, byte(i)}), opt(dhcp6.OptRSOO, opt(110, []byte("x"))))
		qs = append(qs,
			prepare(ask(dhcp6.MsgSolicit, i, append(parts, na(1), pd(2))...), dhcp6.MsgAdvertise),
			prepare(ask(dhcp6.MsgRequest, i, own...), dhcp6.MsgReply),
			prepare(ask(dhcp6.MsgRenew, i, own...), dhcp6.MsgReply),
			prepare(ask(dhcp6.MsgRebind, i, append(own, relay, relay)...), dhcp6.MsgReply),
			prepare(ask(dhcp6.MsgConfirm, i, append(parts, na(1, a))...), dhcp6.MsgReply),
			prepare(ask(dhcp6.MsgInformationRequest, i, parts...), dhcp6.MsgReply))
	}
	return l, qs
}

// TestSteadyStateAllocatesNothing: queries of known clients, direct and relayed,
// with the leases stored anew each time and with the cache.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, qs := steadyState(t)
	for i := range qs { // scratch grows
		l.run(&qs[i])
	}
	for _, step := range []int64{2000, 0} { // beyond the cache threshold, and inside
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			if i%len(qs) == 0 {
				l.now += step
			}
			l.run(&qs[i%len(qs)])
			i++
		}); n != 0 {
			t.Errorf("time step %d: %v allocations per query, want 0", step, n)
		}
	}
}

// TestNewClientsAllocateNothing: rounds of SOLICIT, REQUEST and RELEASE of ever
// new leases over warm tables.
func TestNewClientsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := newLab(t, simple+`, "expired-leases-processing": { "hold-reclaimed-time": 0 }`)
	l.j.Quiet = true
	const clients = 10
	var sol, req, rel [clients]prepared
	for i := range clients {
		sol[i] = prepare(ask(dhcp6.MsgSolicit, i, na(1), pd(1)), dhcp6.MsgAdvertise)
		l.run(&sol[i])
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, i, na(1), pd(1)))
		a, p := l.addr(0), l.addr(1)
		req[i] = prepare(ask(dhcp6.MsgRequest, i, na(1, a), pd(1, p)), dhcp6.MsgReply)
		rel[i] = prepare(ask(dhcp6.MsgRelease, i, na(1, a), pd(1, p)), dhcp6.MsgReply)
	}
	round := func() {
		l.now += 5
		for i := range clients {
			l.run(&rel[i])
		}
		for i := range clients {
			l.run(&sol[i])
			l.run(&req[i])
		}
	}
	for range 20 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations a round, want 0", n)
	}
}

const simple = `
	"valid-lifetime": 4000, "preferred-lifetime": 3000,
	"subnet6": [ { "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0",
	  "pools": [ { "pool": "2001:db8:1::10 - 2001:db8:1::ff" } ],
	  "pd-pools": [ { "prefix": "2001:db8:8000::", "prefix-len": 40, "delegated-len": 56 } ] } ]`

func BenchmarkSARR(b *testing.B) {
	l := newLab(b, simple)
	l.j.Quiet = true
	var qs []prepared
	for i := range 100 {
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, i, na(1)))
		a := l.addr(0)
		qs = append(qs,
			prepare(ask(dhcp6.MsgSolicit, i, na(1)), dhcp6.MsgAdvertise),
			prepare(ask(dhcp6.MsgRequest, i, na(1, a)), dhcp6.MsgReply))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i%len(qs) == 0 {
			l.now += 2000
		}
		l.run(&qs[i%len(qs)])
		l.run(&qs[(i+1)%len(qs)])
		i += 2
	}
}

// TestNamesAllocateNothing: names of clients that are cleaned by expressions of
// any form, and made up.
func TestNamesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct{ keys, want string }{
		{`"hostname-char-set": "[^a-z]", "hostname-char-replacement": "x",`, "abbbxcxxxxab."},
		{`"hostname-char-set": "(ab+|[0-9]{2,3}|_$)+", "hostname-char-replacement": "x$&",`, "xabbb-cx0123ab."},
		{`"hostname-char-set": "^a|b*$", "hostname-char-replacement": "",`, "bbb-c0123a."},
		{`"ddns-replace-client-name": "when-present", "ddns-qualifying-suffix": "example.org",`, "myhost-2001-db8-1--10.example.org."},
	} {
		l := newLab(t, c.keys+simple)
		l.j.Quiet = true
		name := with(dhcp6.OptClientFQDN, []byte{1, 12}, []byte("abbb-c0123ab"), []byte{0})
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), name))
		a := l.addr(0)
		if got := string(l.lease(a).Host()); got != c.want {
			t.Errorf("%s: the name is %q, want %q", c.keys, got, c.want)
		}
		q := prepare(ask(dhcp6.MsgRenew, 1, na(1, a), name), dhcp6.MsgReply)
		l.run(&q)
		if n := testing.AllocsPerRun(100, func() {
			l.now += 2000
			l.run(&q)
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.keys, n)
		}
	}
}
