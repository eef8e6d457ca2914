package bpf

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Rates in these tests are so slow that no token comes back while they run, or so
// fast that there is always one.

// hourly lets n packets through now and none after.
func hourly(n uint64) Rate { return Rate{Tokens: 1, Per: time.Hour, Burst: n} }

var fast = Rate{Tokens: 1e9, Per: time.Second}

func client4(n int) packet4 {
	p := discover()
	binary.BigEndian.PutUint32(p.chaddr[2:], uint32(n))
	return p
}

func client6(n int) packet6 {
	return packet6{msg: msg6(typeSol, opt6(1, append(duid(0), byte(n>>8), byte(n))...))}
}

func TestLimitClient(t *testing.T) {
	p := load(t, Options{})
	p.check(p.SetLimits(Limits{Client: hourly(3)}))
	for _, b := range [][]byte{client4(1).bytes(), client4(2).bytes(), client6(1).bytes(), client6(2).bytes()} {
		p.wantReasons(b, ReasonNoSocket, ReasonNoSocket, ReasonNoSocket, ReasonLimitClient, ReasonLimitClient)
	}
	// It is the client that is limited, however it comes.
	again := relayed([4]byte{10, 0, 0, 1})
	again.chaddr = client4(1).chaddr
	p.wantReasons(again.bytes(), ReasonLimitClient)
	p.wantReasons(packet6{msg: relay6([16]byte{0x20}, [16]byte{0xfe}, client6(1).msg)}.bytes(), ReasonLimitClient)
	// What is not a good message is not charged, nor what is not DHCP.
	p.wantReasons(put(offDHCP4, 2)(client4(1).bytes()), ReasonBadOp)

	// Without limits it passes at once. A bucket emptied for hours is only empty
	// under a faster rate: the first packet may find it so, the next does not.
	p.check(p.SetLimits(Limits{}))
	p.wantReasons(client4(1).bytes(), times(5, ReasonNoSocket)...)
	p.check(p.SetLimits(Limits{Client: Rate{Tokens: 1e9, Per: time.Second, Burst: 1}}))
	p.run(client4(1).bytes())
	p.wantReasons(client4(1).bytes(), times(5, ReasonNoSocket)...)
	p.check(p.SetLimits(Limits{Client: Rate{Per: time.Second}}))
	p.wantReasons(client4(1).bytes(), ReasonLimitClient)
	p.wantReasons(client4(3).bytes(), ReasonLimitClient)
}

func TestLimitRelay(t *testing.T) {
	p := load(t, Options{})
	p.check(p.SetLimits(Limits{Relay: hourly(2)}))
	from := func(giaddr [4]byte, n int) []byte {
		q := relayed(giaddr)
		q.chaddr = client4(n).chaddr
		return q.bytes()
	}
	a, b := [4]byte{10, 0, 0, 1}, [4]byte{10, 0, 0, 2}
	p.wantReasons(from(a, 1), ReasonNoSocket)
	p.wantReasons(from(a, 2), ReasonNoSocket)
	p.wantReasons(from(a, 3), ReasonLimitRelay)
	p.wantReasons(from(b, 1), ReasonNoSocket, ReasonNoSocket, ReasonLimitRelay)
	p.wantReasons(from([4]byte{255, 255, 255, 255}, 1), times(4, ReasonNoSocket)...) // no relay (Kea)
	p.wantReasons(client4(1).bytes(), times(4, ReasonNoSocket)...)

	// The relay is the innermost that names its link.
	link := [16]byte{0x20, 1, 15: 1}
	lightweight := relay6([16]byte{}, [16]byte{0xfe, 0x80}, client6(1).msg, opt6(18, 'p'))
	p.wantReasons(packet6{msg: relay6(link, [16]byte{0xfe, 0x80}, client6(1).msg)}.bytes(), ReasonNoSocket)
	p.wantReasons(packet6{src: [16]byte{0x20, 15: 2}, msg: relay6(link, [16]byte{0xfe, 0x80}, lightweight)}.bytes(), ReasonNoSocket)
	p.wantReasons(packet6{src: [16]byte{0x20, 15: 3}, msg: relay6([16]byte{0x20, 15: 9}, [16]byte{0x20}, relay6(link, [16]byte{0xfe, 0x80}, lightweight))}.bytes(), ReasonLimitRelay)
	// None does: the sender.
	p.wantReasons(packet6{src: [16]byte{0xfe, 0x80, 15: 4}, msg: lightweight}.bytes(), ReasonNoSocket, ReasonNoSocket, ReasonLimitRelay)
	p.wantReasons(packet6{src: [16]byte{0xfe, 0x80, 15: 5}, msg: lightweight}.bytes(), ReasonNoSocket)
	p.wantReasons(client6(1).bytes(), times(4, ReasonNoSocket)...)
}

// A flood of invented clients is capped and does not push out known ones.
func TestLimitNewClients(t *testing.T) {
	p := load(t, Options{MaxClients: 1024})
	p.check(p.SetLimits(Limits{NewClients: hourly(10)}))
	p.wantReasons(client4(1).bytes(), ReasonNoSocket)
	p.wantReasons(client6(1).bytes(), ReasonNoSocket)
	passed := 0
	for i := range 5000 {
		switch got, _ := p.run(client4(100 + i).bytes()); got.reason {
		case ReasonNoSocket:
			passed++
		case ReasonLimitNewClients:
		default:
			t.Fatal(got)
		}
	}
	if passed != 8 {
		t.Errorf("%d new clients passed, want 8", passed)
	}
	if n := len(p.clients()); n != 10 {
		t.Errorf("%d clients stored, want 10", n)
	}
	p.wantReasons(client4(1).bytes(), times(3, ReasonNoSocket)...)
	p.wantReasons(client6(1).bytes(), times(3, ReasonNoSocket)...)
}

// clients returns what the client table holds.
func (p *program) clients() map[dhcpClientKey]dhcpBucket {
	p.t.Helper()
	m := make(map[dhcpClientKey]dhcpBucket)
	var k dhcpClientKey
	var v dhcpBucket
	it := p.objs.Clients.Iterate()
	for it.Next(&k, &v) {
		m[k] = v
	}
	p.check(it.Err())
	return m
}

// Which identity a client is known by.
func TestClientKeys(t *testing.T) {
	noHLen := discover()
	noHLen.hlen = 0
	fields := noHLen
	fields.opts = opts4(opt4(53, typeDisc), opt4(61))
	fields.ciaddr, fields.giaddr = [4]byte{1, 2, 3, 4}, [4]byte{5, 6, 7, 8}
	short := discover()
	short.hlen, short.chaddr = 1, [16]byte{7, 9, 9}
	nine, sixteen := short, short
	nine.hlen, nine.chaddr = 9, [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	sixteen.hlen, sixteen.chaddr = 16, [16]byte{15: 1}
	eight := nine
	eight.hlen = 8
	peer := [16]byte{0xfe, 0x80, 15: 7}
	outer := [16]byte{0x20, 1, 15: 8}

	for _, tt := range []struct {
		name   string
		packet []byte
		want   dhcpClientKey
	}{
		{"ethernet", discover().bytes(), dhcpClientKey{Id: [16]byte{2, 0, 0, 0, 0, 1}, Kind: dhcpClientKindCLIENT_CHADDR}},
		{"hlen 1", short.bytes(), dhcpClientKey{Id: [16]byte{7}}},
		{"hlen 8", eight.bytes(), dhcpClientKey{Id: [16]byte{1, 2, 3, 4, 5, 6, 7, 8}}},
		{"hlen 9", nine.bytes(), dhcpClientKey{Id: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}}},
		{"hlen 16", sixteen.bytes(), dhcpClientKey{Id: [16]byte{15: 1}}},
		{"client-id", noHLen.bytes(), dhcpClientKey{Kind: dhcpClientKindCLIENT_ID4}},
		{"addresses", fields.bytes(), dhcpClientKey{Id: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 0, 0, 0, 1}, Kind: dhcpClientKindCLIENT_ADDRESSES}},
		{"duid", solicit().bytes(), dhcpClientKey{Kind: dhcpClientKindCLIENT_DUID}},
		{"duid, relayed", packet6{msg: relay6(outer, peer, solicit().msg)}.bytes(), dhcpClientKey{Kind: dhcpClientKindCLIENT_DUID}},
		{"empty duid", packet6{src: peer, msg: msg6(typeSol, opt6(1))}.bytes(), dhcpClientKey{Id: peer, Kind: dhcpClientKindCLIENT_SOURCE6}},
		{"duid into ethernet padding", append(packet6{src: peer, msg: msg6(typeSol, opt6(1, 1, 2, 3)[:6])}.bytes(), 3, 0), dhcpClientKey{Id: peer, Kind: dhcpClientKindCLIENT_SOURCE6}},
		{"source", packet6{src: peer, msg: msg6(typeInf6)}.bytes(), dhcpClientKey{Id: peer, Kind: dhcpClientKindCLIENT_SOURCE6}},
		{"peer", packet6{msg: relay6(outer, peer, msg6(typeInf6))}.bytes(), dhcpClientKey{Id: peer, Kind: dhcpClientKindCLIENT_PEER6}},
		{"inner peer", packet6{msg: relay6(outer, outer, relay6([16]byte{}, peer, msg6(typeInf6)))}.bytes(), dhcpClientKey{Id: peer, Kind: dhcpClientKindCLIENT_PEER6}},
		{"outer peer", packet6{msg: relay6(outer, peer, relay6([16]byte{}, [16]byte{}, msg6(typeInf6)))}.bytes(), dhcpClientKey{Id: peer, Kind: dhcpClientKindCLIENT_PEER6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := load(t, Options{MaxClients: 1024})
			p.check(p.SetLimits(Limits{Client: fast}))
			p.wantReasons(tt.packet, ReasonNoSocket)
			keys := p.clients()
			if len(keys) != 1 {
				t.Fatalf("%d clients stored, want 1", len(keys))
			}
			for got := range keys {
				if tt.want.Kind == dhcpClientKindCLIENT_ID4 || tt.want.Kind == dhcpClientKindCLIENT_DUID {
					if got.Id == ([16]byte{}) {
						t.Error("hash is zero")
					}
					got.Id = [16]byte{}
				}
				if got != tt.want {
					t.Errorf("client is %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// Hashes of many identifiers, some of them prefixes of others, do not meet.
func TestIdentifierHashes(t *testing.T) {
	p := load(t, Options{MaxClients: 8192})
	p.check(p.SetLimits(Limits{Client: fast}))
	n := 0
	for length := 1; length <= 130; length++ {
		for _, fill := range []byte{0, 1, 255} {
			d := make([]byte, length)
			for i := range d {
				d[i] = fill
			}
			p.runOnly(packet6{msg: msg6(typeSol, opt6(1, d...))}.bytes())
			n++
		}
	}
	for i := range 1000 {
		p.runOnly(client6(i).bytes())
		n++
	}
	if got := len(p.clients()); got != n {
		t.Errorf("%d identifiers are %d clients", n, got)
	}
}

func TestShed(t *testing.T) {
	p := load(t, Options{})
	// The bucket is the CPU's: stay on one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, one unix.CPUSet
	p.check(unix.SchedGetaffinity(0, &old))
	for i := range 1024 {
		if old.IsSet(i) {
			one.Set(i)
			break
		}
	}
	p.check(unix.SchedSetaffinity(0, &one))
	defer unix.SchedSetaffinity(0, &old)

	typed := func(t byte) []byte {
		q := discover()
		q.opts = opts4(opt4(53, t))
		return q.bytes()
	}
	p.check(p.SetLimits(Limits{DiscoverPerCPU: hourly(4)}))
	p.wantReasons(typed(typeDisc), ReasonNoSocket)
	p.wantReasons(typed(typeInf), ReasonNoSocket)
	p.wantReasons(solicit().bytes(), ReasonNoSocket)
	p.wantReasons(packet6{msg: msg6(typeInf6)}.bytes(), ReasonNoSocket)
	p.wantReasons(typed(typeDisc), ReasonShed)
	p.wantReasons(typed(typeInf), ReasonShed)
	p.wantReasons(solicit().bytes(), ReasonShed)
	p.wantReasons(packet6{msg: relay6([16]byte{0x20}, [16]byte{0xfe}, solicit().msg)}.bytes(), ReasonShed)
	p.wantReasons(packet6{msg: msg6(typeInf6)}.bytes(), ReasonShed)
	for _, m := range []byte{0, 3, 4, 7, 9, 10, 13} {
		p.wantReasons(typed(m), ReasonNoSocket)
	}
	for _, m := range []byte{3, 4, 5, 6, 8, 9, 14} {
		p.wantReasons(packet6{msg: msg6(m)}.bytes(), ReasonNoSocket)
	}
}

// What a worker that falls behind has shed for its socket: only what starts
// something, only for that socket, and of a share about that share.
func TestPressure(t *testing.T) {
	p := load(t, Options{MaxSockets: 4})
	if _, err := p.Pressure(4); err == nil {
		t.Error("pressure of a socket that cannot be")
	}
	own, err := p.Pressure(0)
	p.check(err)
	other, err := p.Pressure(1)
	p.check(err)
	request := discover()
	request.opts = opts4(opt4(53, 3))
	other.Set(PressureAll)
	p.wantReasons(client4(1).bytes(), times(20, ReasonNoSocket)...)
	own.Set(PressureAll)
	p.wantReasons(client4(1).bytes(), times(20, ReasonOverload)...)
	p.wantReasons(client6(1).bytes(), times(20, ReasonOverload)...)
	p.wantReasons(request.bytes(), times(20, ReasonNoSocket)...)
	own.Set(PressureAll / 4)
	shed := 0
	for range 4000 {
		switch got, _ := p.run(client4(1).bytes()); got.reason {
		case ReasonOverload:
			shed++
		case ReasonNoSocket:
		default:
			t.Fatal(got)
		}
	}
	if shed < 800 || shed > 1200 { // 1000 expected, a standard deviation of 27
		t.Errorf("%d of 4000 shed at a quarter", shed)
	}
	// Asked for again, it begins at 0: a worker that ended left nothing behind.
	_, err = p.Pressure(0)
	p.check(err)
	p.wantReasons(client4(1).bytes(), times(20, ReasonNoSocket)...)
	if n := testing.AllocsPerRun(100, func() { own.Set(3) }); n != 0 {
		t.Errorf("Set allocates %v times", n)
	}
}

func TestScopes(t *testing.T) {
	p := load(t, Options{})
	prefixes := func(s ...string) (ps []netip.Prefix) {
		for _, s := range s {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	via := func(giaddr [4]byte) []byte { return relayed(giaddr).bytes() }
	scopes := []Scope{
		{ID: 1, Family: FamilyIPv4, Rate: hourly(2), Prefixes: prefixes("10.0.0.0/24", "192.168.7.7/32"), IfIndexes: []uint32{testIf}},
		{ID: 2, Family: FamilyIPv4, Rate: hourly(2), Prefixes: prefixes("10.0.0.0/16", "192.0.2.0/24")},
		{ID: 3, Family: FamilyIPv6, Rate: hourly(1), IfIndexes: []uint32{testIf}},
		{ID: 4, Family: FamilyIPv4, Rate: Rate{Per: time.Second}, Prefixes: prefixes("10.9.0.0/16")},
	}
	p.check(p.SetScopes(scopes))

	p.wantReasons(via([4]byte{10, 9, 0, 1}), ReasonLimitScope) // no packet per second
	p.wantReasons(via([4]byte{172, 16, 0, 1}), times(5, ReasonNoSocket)...)
	p.wantReasons(via([4]byte{10, 0, 0, 1}), ReasonNoSocket)
	p.wantReasons(via([4]byte{192, 168, 7, 7}), ReasonNoSocket)
	p.wantReasons(via([4]byte{192, 168, 7, 8}), ReasonNoSocket)
	p.wantReasons(via([4]byte{10, 0, 0, 2}), ReasonLimitScope) // scope 1 is empty
	p.wantReasons(discover().bytes(), ReasonLimitScope)        // of direct clients as well
	p.wantReasons(via([4]byte{10, 0, 1, 1}), ReasonNoSocket)   // scope 2 is not
	p.wantReasons(renewal().bytes(), ReasonNoSocket, ReasonLimitScope)
	p.wantReasons(solicit().bytes(), ReasonNoSocket, ReasonLimitScope)

	// What was broadcast is in the interface's subnet, whatever its addresses say;
	// scope 1 is empty, the prefix of these addresses is nobody's.
	rebinding := renewal()
	rebinding.ciaddr, rebinding.src, rebinding.dst = [4]byte{172, 16, 0, 9}, [4]byte{172, 16, 0, 9}, [4]byte{}
	p.wantReasons(rebinding.bytes(), ReasonLimitScope)
	rebinding.dst = serverAddr4
	p.wantReasons(rebinding.bytes(), ReasonNoSocket)
	// Options that end with the message, without an end option, are read to the end.
	noEnd := relayed([4]byte{10, 0, 0, 1})
	noEnd.opts = opt4(53, typeDisc)
	p.wantReasons(noEnd.bytes(), ReasonLimitScope)

	// Not known to be in a scope.
	if n := p.notes(NoteScopeUnknown); n != 0 {
		t.Fatalf("%d packets of unknown scope, want 0", n)
	}
	unknown := uint64(0)
	for _, opts := range [][]byte{
		opts4(opt4(53, typeDisc), opt4(82, 5, 4, 172, 16, 0, 1)),
		opts4(opt4(53, typeDisc), opt4(82, 1, 1, 'x', 5, 4, 172, 16, 0, 1)),
		opts4(opt4(53, typeDisc), opt4(118, 172, 16, 0, 1)),
		opts4(opt4(53, typeDisc), opt4(82, 1, 1, 'x'), opt4(82, 2, 1, 'x')),
		{53, 1, typeDisc, 12, 200, 255},
	} {
		q := relayed([4]byte{10, 0, 0, 1})
		q.opts = opts
		p.wantReasons(q.bytes(), ReasonNoSocket)
		unknown++
		if n := p.notes(NoteScopeUnknown); n != unknown {
			t.Fatalf("%x: %d packets of unknown scope, want %d", opts, n, unknown)
		}
	}
	p.wantReasons(packet6{msg: relay6([16]byte{0x20}, [16]byte{0xfe}, solicit().msg)}.bytes(), ReasonNoSocket)
	if n := p.notes(NoteScopeUnknown); n != unknown+1 {
		t.Fatalf("%d packets of unknown scope, want %d", n, unknown+1)
	}
	// A link-selection of another length does not count, nor does a
	// sub-option's content.
	for _, rai := range [][]byte{{5, 3, 1, 2, 3}, {1, 6, 5, 4, 1, 2, 3, 4}, {}} {
		q := relayed([4]byte{10, 0, 0, 1})
		q.opts = opts4(opt4(53, typeDisc), opt4(82, rai...))
		p.wantReasons(q.bytes(), ReasonLimitScope)
	}

	// A scope that stays keeps its bucket, with new prefixes and rate or without;
	// one that is new starts full.
	scopes[0].Prefixes = prefixes("10.1.0.0/16")
	scopes[0].IfIndexes = nil
	p.check(p.SetScopes([]Scope{scopes[0], {ID: 5, Family: FamilyIPv4, Rate: hourly(1), IfIndexes: []uint32{testIf}}}))
	p.wantReasons(via([4]byte{10, 1, 0, 1}), ReasonLimitScope)
	p.wantReasons(via([4]byte{10, 0, 0, 1}), times(3, ReasonNoSocket)...)
	p.wantReasons(via([4]byte{10, 9, 0, 1}), times(3, ReasonNoSocket)...)
	p.wantReasons(solicit().bytes(), times(3, ReasonNoSocket)...)
	p.wantReasons(discover().bytes(), ReasonNoSocket, ReasonLimitScope)
	// As for clients: hours become a nanosecond under a faster rate.
	p.check(p.SetScopes([]Scope{{ID: 5, Family: FamilyIPv4, Rate: Rate{Tokens: 1e9, Per: time.Second, Burst: 1}, IfIndexes: []uint32{testIf}}}))
	p.run(discover().bytes())
	p.wantReasons(discover().bytes(), times(3, ReasonNoSocket)...)
	// One that went and comes back is new.
	p.check(p.SetScopes(nil))
	p.wantReasons(via([4]byte{10, 1, 0, 1}), times(3, ReasonNoSocket)...)
	if p.mu.settings.Limited != 0 {
		t.Error("limits are on without any")
	}
	p.check(p.SetScopes(scopes[:1]))
	p.wantReasons(via([4]byte{10, 1, 0, 1}), ReasonNoSocket, ReasonNoSocket, ReasonLimitScope)
	// Replacing all scopes by as many others, over and over, finds slots.
	for i := range 20 {
		p.check(p.SetScopes([]Scope{
			{ID: uint64(100 + i), Family: FamilyIPv4, Rate: hourly(1), Prefixes: prefixes("10.1.0.0/16")},
			{ID: uint64(200 + i), Family: FamilyIPv4, Rate: hourly(1), IfIndexes: []uint32{testIf}},
		}))
		p.wantReasons(via([4]byte{10, 1, 0, 1}), ReasonNoSocket, ReasonLimitScope)
		p.wantReasons(discover().bytes(), ReasonNoSocket, ReasonLimitScope)
	}
}

func TestScopeGlobal(t *testing.T) {
	p := load(t, Options{MaxScopes: 2})
	p.check(p.SetScopes([]Scope{
		{ID: 1, Family: FamilyIPv4, Rate: hourly(3), Global: true},
		{ID: 2, Family: FamilyIPv6, Rate: hourly(2), Global: true},
	}))
	p.wantReasons(discover().bytes(), ReasonNoSocket)
	p.wantReasons(relayed([4]byte{10, 0, 0, 1}).bytes(), ReasonNoSocket, ReasonNoSocket, ReasonLimitScopeGlobal)
	p.wantReasons(solicit().bytes(), ReasonNoSocket)
	p.wantReasons(packet6{msg: relay6([16]byte{0x20}, [16]byte{0xfe}, solicit().msg)}.bytes(), ReasonNoSocket, ReasonLimitScopeGlobal)
	p.wantReasons(discover().bytes(), ReasonLimitScopeGlobal)
	if n := p.notes(NoteScopeUnknown); n != 0 {
		t.Errorf("%d packets of unknown scope, want 0: no subnet has one", n)
	}
	p.check(p.SetScopes([]Scope{{ID: 3, Family: FamilyIPv4, Rate: hourly(1), Global: true}, {ID: 4, Family: FamilyIPv4, Rate: fast}}))
	p.wantReasons(discover().bytes(), ReasonNoSocket, ReasonLimitScopeGlobal)
	p.wantReasons(solicit().bytes(), times(3, ReasonNoSocket)...)
}

// What one client sends too much of is not taken out of what others share.
func TestLimitOrder(t *testing.T) {
	p := load(t, Options{})
	p.check(p.SetLimits(Limits{Client: hourly(1), Relay: hourly(2), NewClients: hourly(10)}))
	p.check(p.SetScopes([]Scope{{ID: 1, Family: FamilyIPv4, Rate: hourly(3), Global: true}}))
	from := func(giaddr byte, client int) []byte {
		q := relayed([4]byte{10, 0, 0, giaddr})
		q.chaddr = client4(client).chaddr
		return q.bytes()
	}
	p.wantReasons(from(1, 1), ReasonNoSocket, ReasonLimitClient, ReasonLimitClient, ReasonLimitClient)
	p.wantReasons(from(1, 2), ReasonNoSocket)
	p.wantReasons(from(1, 3), ReasonLimitRelay)
	p.wantReasons(from(2, 4), ReasonNoSocket)
	p.wantReasons(from(2, 5), ReasonLimitScopeGlobal)
}

// A token comes back when its time has come.
func TestTokensReturn(t *testing.T) {
	p := load(t, Options{})
	p.check(p.SetLimits(Limits{Client: Rate{Tokens: 1000, Per: time.Second, Burst: 1}}))
	b := client4(1).bytes()
	passed := 0
	start := time.Now()
	for time.Since(start) < 50*time.Millisecond || passed < 2 && time.Since(start) < time.Minute {
		if got, _ := p.run(b); got.reason == ReasonNoSocket {
			passed++
		}
	}
	// One a millisecond and the first. A machine that stalls lets fewer through,
	// none lets more.
	most := int(time.Since(start)/time.Millisecond) + 1
	if passed > most || passed < 2 {
		t.Errorf("%d packets passed in %v, want 2 to %d", passed, time.Since(start), most)
	}
}

func TestRateEncode(t *testing.T) {
	for _, tt := range []struct {
		rate    Rate
		want    dhcpRate
		wantErr string
	}{
		{Rate{}, dhcpRate{}, ""},
		{Rate{Tokens: 1000, Per: time.Second}, dhcpRate{CostNs: 1e6, BurstNs: 1e9}, ""},
		{Rate{Tokens: 1000, Per: time.Second, Burst: 10}, dhcpRate{CostNs: 1e6, BurstNs: 1e7}, ""},
		{Rate{Tokens: 3, Per: time.Second}, dhcpRate{CostNs: 333333333, BurstNs: 999999999}, ""},
		{Rate{Tokens: 1, Per: 365 * 24 * time.Hour}, dhcpRate{CostNs: 31536000e9, BurstNs: 31536000e9}, ""},
		{Rate{Tokens: 0, Per: time.Second}, dhcpRate{CostNs: 1}, ""},
		{Rate{Tokens: 0, Per: time.Second, Burst: 9}, dhcpRate{CostNs: 1}, ""},
		{Rate{Tokens: 1}, dhcpRate{}, "the time must be positive"},
		{Rate{Burst: 1}, dhcpRate{}, "the time must be positive"},
		{Rate{Tokens: 1, Per: -1}, dhcpRate{}, "the time must be positive"},
		{Rate{Tokens: 2e9, Per: time.Second}, dhcpRate{}, "more than one a nanosecond"},
		{Rate{Tokens: 1, Per: time.Hour, Burst: 1 << 60}, dhcpRate{}, "longer than the clock runs"},
	} {
		got, err := tt.rate.encode()
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%+v: error %v, want one with %q", tt.rate, err, tt.wantErr)
			}
		} else if err != nil || got != tt.want {
			t.Errorf("%+v: %+v, %v; want %+v", tt.rate, got, err, tt.want)
		}
	}
}

func TestSetScopesErrors(t *testing.T) {
	p := load(t, Options{MaxScopes: 2, MaxScopePrefixes: 2})
	v4 := netip.MustParsePrefix("10.0.0.0/8")
	good := []Scope{{ID: 1, Family: FamilyIPv4, Rate: hourly(1), IfIndexes: []uint32{testIf}}}
	p.check(p.SetScopes(good))
	for _, tt := range []struct {
		scopes  []Scope
		wantErr string
	}{
		{make([]Scope, 3), "3 scopes, MaxScopes is 2"},
		{[]Scope{{Family: FamilyIPv4}, {Family: FamilyIPv4}}, "scope 0 is there twice"},
		{[]Scope{{ID: 7}}, "scope 7: family is none, want ipv4 or ipv6"},
		{[]Scope{{ID: 7, Family: FamilyIPv4, Rate: Rate{Tokens: 1}}}, "scope 7: 1 tokens per 0s"},
		{[]Scope{{ID: 7, Family: FamilyIPv4, Global: true}, {ID: 8, Family: FamilyIPv4, Global: true}}, "scope 8: another scope is global for ipv4"},
		{[]Scope{{ID: 7, Family: FamilyIPv4, Prefixes: []netip.Prefix{v4}}, {ID: 8, Family: FamilyIPv4, Prefixes: []netip.Prefix{v4}}}, "scope 8: prefix 10.0.0.0/8 is another"},
		{[]Scope{{ID: 7, Family: FamilyIPv6, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}}}, "only IPv4 has prefixes"},
		{[]Scope{{ID: 7, Family: FamilyIPv4, Prefixes: []netip.Prefix{{}}}}, "only IPv4 has prefixes"},
		{[]Scope{{ID: 7, Family: FamilyIPv4, IfIndexes: []uint32{3, 3}}}, "interface 3 is another"},
		{[]Scope{{ID: 7, Family: FamilyIPv4, IfIndexes: []uint32{1, 2, 3}}}, "3 interfaces, MaxScopePrefixes is 2"},
	} {
		if err := p.SetScopes(tt.scopes); err == nil || !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%+v: error %v, want one with %q", tt.scopes, err, tt.wantErr)
		}
	}
	// What was refused changed nothing.
	p.wantReasons(discover().bytes(), ReasonNoSocket, ReasonLimitScope)
	if err := p.SetLimits(Limits{Client: hourly(1), Relay: Rate{Tokens: 1}}); err == nil || !strings.Contains(err.Error(), "set relay limit") {
		t.Errorf("error %v, want one of the relay limit", err)
	}
	if p.mu.settings.Client != (dhcpRate{}) {
		t.Error("refused limits are set")
	}
}
