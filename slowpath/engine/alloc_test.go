package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// prepared is a query as bytes, so that a measurement has only the engine in it.
type prepared struct {
	msg      []byte
	src, dst dhcp4.IPv4
}

func prepare(q *netiotest.Query) prepared {
	return prepared{q.Message(), dhcp4.IPv4(q.Out.Src4), dhcp4.IPv4(q.Out.Dst4)}
}

func (l *lab) run(p *prepared, want dhcp4.MsgType) {
	if r := l.view.Parse(p.msg); r != dhcp4.ReasonOK {
		l.t.Fatal(r)
	}
	l.q.Msg = &l.view
	l.q.NowUnixS = l.now
	l.q.IfName, l.q.IfAddr, l.q.LocalAddrs = l.ifName, l.ifAddr, l.local
	l.q.Src, l.q.Dst, l.q.SrcPort = p.src, p.dst, 68
	w := l.w
	w.Begin()
	r := w.Accept4(&l.q)
	if r == ReasonOK {
		r = w.SelectSubnet4(&l.q)
	}
	if r == ReasonOK {
		r = w.Process4(&l.q, &l.r)
	}
	if r == ReasonOK {
		r = w.Finish4(&l.q, &l.r)
	}
	if r != ReasonOK || l.r.Type != want {
		l.t.Fatalf("%v: reason %v, answer %v (%v), want %v", l.view.Type(), r, l.r.Type, l.r.NAKReason, want)
	}
	if want != 0 {
		l.out, _ = l.r.Append(l.out[:0], l.r.MaxLen, l.r.PRL)
	}
}

// busy is a configuration with something of everything on the hot path: guards,
// reservations, classes, options of each scope, several subnets and pools.
const busy = `
	"valid-lifetime": 3600, "renew-timer": 900, "rebind-timer": 1800,
	"host-reservation-identifiers": [ "circuit-id", "hw-address", "duid", "client-id" ],
	"client-classes": [ { "name": "nobody" }, { "name": "VENDOR_CLASS_cpe", "option-data": [ { "name": "ntp-servers", "data": "192.0.2.7" } ] } ],
	"option-data": [ { "name": "domain-name-servers", "data": "192.0.2.53", "always-send": true }, { "name": "domain-name", "data": "example.net" } ],
	"next-server": "192.0.2.9", "boot-file-name": "boot.img",
	"subnet4": [
	  { "id": 1, "subnet": "10.0.0.0/8", "client-classes": [ "nobody" ], "pools": [ { "pool": "10.0.0.0/16" } ] },
	  { "id": 2, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.99" }, { "pool": "192.0.2.110 - 192.0.2.250", "client-classes": [ "VENDOR_CLASS_cpe" ] } ],
	    "reservations": [ { "hw-address": "02:c1:00:00:00:05", "ip-address": "192.0.2.5", "hostname": "five" } ],
	    "option-data": [ { "name": "routers", "data": "192.0.2.254" } ] } ]`

func steadyState(t testing.TB) (*lab, []prepared, []dhcp4.MsgType) {
	l := newLab(t, busy)
	l.j.Quiet = true
	var qs []prepared
	var want []dhcp4.MsgType
	for i := range 40 {
		opts := []netiotest.Option{
			netiotest.WithClientID(1, 2, 0xc1, 0, 0, 0, byte(i)),
			netiotest.With(dhcp4.OptVendorClassIdentifier, []byte("cpe")...),
			netiotest.With(dhcp4.OptHostName, []byte("Host-One")...),
		}
		a := l.dora(mac(i), opts...)
		for k, q := range []*netiotest.Query{
			netiotest.Discover(mac(i), opts...),
			netiotest.Request(mac(i), a, l.ifAddr, opts...),
			netiotest.Renew(mac(i), a, l.ifAddr, opts...),
			netiotest.Discover(mac(i), append(opts, netiotest.Relayed(ip("192.0.2.254"), l.ifAddr), netiotest.WithRAI([]byte("port 7"), nil))...),
		} {
			qs = append(qs, prepare(q))
			want = append(want, []dhcp4.MsgType{dhcp4.MsgOffer, dhcp4.MsgAck, dhcp4.MsgAck, dhcp4.MsgOffer}[k])
		}
	}
	return l, qs, want
}

// TestSteadyStateAllocatesNothing: DISCOVER, REQUEST and RENEW of known clients,
// direct and relayed, with the lease stored anew each time and with the cache.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, qs, want := steadyState(t)
	for _, step := range []int64{1000, 0} { // beyond the cache threshold, and inside
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			if i%len(qs) == 0 {
				l.now += step
			}
			l.run(&qs[i%len(qs)], want[i%len(qs)])
			i++
		}); n != 0 {
			t.Errorf("time step %d: %v allocations per query, want 0", step, n)
		}
	}
}

// TestNewClientsAllocateNothing: whole DISCOVER-REQUEST-RELEASE rounds of ever
// new leases over warm tables.
func TestNewClientsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := newLab(t, simple+`, "expired-leases-processing": { "hold-reclaimed-time": 0 }`)
	l.j.Quiet = true
	const clients = 10
	var disc, req, rel [clients]prepared
	for i := range clients {
		disc[i] = prepare(netiotest.Discover(mac(i)))
		l.run(&disc[i], dhcp4.MsgOffer)
		a := l.r.YIAddr
		req[i] = prepare(netiotest.Request(mac(i), a, l.ifAddr))
		rel[i] = prepare(netiotest.Release(mac(i), a, l.ifAddr))
	}
	round := func() {
		l.now += 5
		for i := range clients {
			l.run(&disc[i], dhcp4.MsgOffer)
			l.run(&req[i], dhcp4.MsgAck)
		}
		for i := range clients {
			l.run(&rel[i], 0)
		}
	}
	round()
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations per round of %d clients, want 0", n, clients)
	}
}

// wide is a configuration with 40 classes by expression, a shared network of
// three subnets, additional lists, names and what the relay says kept.
func wide() string {
	var b strings.Builder
	b.WriteString(`"valid-lifetime": 3600, "store-extended-info": true, "ddns-qualifying-suffix": "example.org",
	"host-reservation-identifiers": [ "circuit-id", "hw-address" ], "client-classes": [ `)
	for i := range 40 {
		fmt.Fprintf(&b, `{ "name": "c%d", "test": "substring(option[60].hex,0,3) == 'cp%d' or relay4[1].hex == 'port %d' or (member('ALL') and pkt4.mac == 0x02c1000000%02x)", "option-data": [ { "name": "ntp-servers", "data": "192.0.2.%d" } ] },`, i, i%10, i, i, i)
	}
	b.WriteString(`{ "name": "tpl", "template-test": "substring(option[60].hex,0,2)" },
	  { "name": "late", "only-in-additional-list": true, "test": "member('c1') or option[12].exists", "option-data": [ { "name": "domain-name", "data": "late.example" } ] } ],
	"shared-networks": [ { "name": "net", "evaluate-additional-classes": [ "late" ], "relay": { "ip-addresses": [ "192.0.2.254" ] }, "interface": "eth0", "subnet4": [
	  { "id": 2, "subnet": "10.2.0.0/24", "pools": [ { "pool": "10.2.0.10 - 10.2.0.29" } ] },
	  { "id": 3, "subnet": "10.3.0.0/24", "pools": [ { "pool": "10.3.0.10 - 10.3.0.250" } ], "reservations": [ { "hw-address": "02:c1:00:00:00:05", "ip-address": "10.3.0.5", "hostname": "five" } ] },
	  { "id": 4, "subnet": "10.4.0.0/24", "client-classes": [ "c3" ], "pools": [ { "pool": "10.4.0.10 - 10.4.0.29" } ] } ] } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/25", "pools": [ { "pool": "192.0.2.10 - 192.0.2.20" } ] } ]`)
	return b.String()
}

func wideState(t testing.TB) (*lab, []prepared, []dhcp4.MsgType) {
	l := newLab(t, wide())
	l.j.Quiet = true
	var qs []prepared
	var want []dhcp4.MsgType
	for i := range 40 {
		opts := []netiotest.Option{
			netiotest.With(dhcp4.OptVendorClassIdentifier, []byte("cp7")...),
			netiotest.With(dhcp4.OptClientFQDN, append([]byte{1, 0, 0}, "Host-One"...)...),
			netiotest.Relayed(ip("192.0.2.254"), l.ifAddr), netiotest.WithRAI([]byte(fmt.Sprintf("port %d", i)), []byte("remote")),
		}
		a := l.dora(mac(i), opts...)
		for _, x := range []struct {
			q    *netiotest.Query
			want dhcp4.MsgType
		}{
			{netiotest.Discover(mac(i), opts...), dhcp4.MsgOffer},
			{netiotest.Request(mac(i), a, l.ifAddr, opts...), dhcp4.MsgAck},
			{netiotest.Renew(mac(i), a, l.ifAddr, opts[:2]...), dhcp4.MsgAck},
		} {
			qs, want = append(qs, prepare(x.q)), append(want, x.want)
		}
	}
	return l, qs, want
}

// TestManyClassesAllocateNothing: the same with everything at once.
func TestManyClassesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, qs, want := wideState(t)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		if i%len(qs) == 0 {
			l.now += 1000
		}
		l.run(&qs[i%len(qs)], want[i%len(qs)])
		i++
	}); n != 0 {
		t.Errorf("%v allocations per query, want 0", n)
	}
}

func BenchmarkManyClasses(b *testing.B) {
	l, qs, want := wideState(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.run(&qs[i%len(qs)], want[i%len(qs)])
		i++
	}
}

func BenchmarkDiscoverKnown(b *testing.B)  { benchmark(b, 0, 0) }
func BenchmarkRequestStored(b *testing.B)  { benchmark(b, 1, 1000) }
func BenchmarkRenewFromCache(b *testing.B) { benchmark(b, 2, 0) }
func BenchmarkDiscoverRelay(b *testing.B)  { benchmark(b, 3, 0) }

func benchmark(b *testing.B, kind int, step int64) {
	l, qs, want := steadyState(b)
	b.ReportAllocs()
	i := kind
	for b.Loop() {
		if i >= len(qs) {
			i = kind
			l.now += step
		}
		l.run(&qs[i], want[i])
		i += 4
	}
}
