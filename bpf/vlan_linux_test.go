package bpf

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// tag puts tags, each a TPID and a TCI in one word, into an untagged frame.
func tag(b []byte, tags ...uint32) []byte {
	out := append([]byte(nil), b[:12]...)
	for _, t := range tags {
		out = binary.BigEndian.AppendUint32(out, t)
	}
	return append(out, b[12:]...)
}

// vlanIf is the first interface index that tests use for VLAN interfaces.
const vlanIf = 100

var (
	vlanAddr4 = [4]byte{198, 51, 100, 1}
	vlanAddr6 = [16]byte{0x20, 1, 0xd, 0xb8, 5: 0x77, 15: 1}
)

// loadVLANs is load with VLAN interfaces over testIf: 5, service 7 with customer 5
// in it, and 9, which is known and not served. Each of the served has vlanAddr4
// and vlanAddr6. tagged is InterfaceConfig.Tagged of testIf.
func loadVLANs(t testing.TB, tagged bool) *program {
	p := load(t, Options{})
	p.check(p.SetInterface(testIf, InterfaceConfig{Queues: 1, SocketsPerQueue: 1, Enabled4: true, Enabled6: true, Tagged: tagged}))
	p.check(p.SetVLANs(testIf, []VLAN{
		{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 5}}},
		{IfIndex: vlanIf + 1, Tags: [2]Tag{{0x88A8, 7}, {0x8100, 5}}},
		{IfIndex: vlanIf + 2, Tags: [2]Tag{{0x8100, 9}}},
	}))
	for i := range uint32(2) {
		p.check(p.SetInterface(vlanIf+i, InterfaceConfig{Queues: 1, SocketsPerQueue: 1, Enabled4: true, Enabled6: true}))
		p.check(p.SetAddrs4(vlanIf+i, [][4]byte{vlanAddr4}))
		p.check(p.SetAddrs6(vlanIf+i, [][16]byte{vlanAddr6}))
	}
	return p
}

// Which interface a tagged frame belongs to shows in the addresses that are ours.
func TestVLANs(t *testing.T) {
	unicast4 := func(dst [4]byte) []byte { q := renewal(); q.dst = dst; return q.bytes() }
	unicast6 := func(dst [16]byte) []byte { q := solicit(); q.dst = dst; return q.bytes() }
	const here, there, nowhere = 0, 1, 2 // the parent, a VLAN interface, the stack
	for _, tagged := range []bool{false, true} {
		p := loadVLANs(t, tagged)
		unknown := nowhere
		if tagged {
			unknown = here
		}
		for _, tc := range []struct {
			name string
			tags []uint32
			want int
			why  Reason // if nowhere
		}{
			{"none", nil, here, 0},
			{"VLAN 5", []uint32{0x8100_0005}, there, 0},
			{"VLAN 5 with a priority", []uint32{0x8100_E005}, there, 0},
			{"VLAN 5 and DEI", []uint32{0x8100_1005}, there, 0},
			{"service VLAN 5", []uint32{0x88A8_0005}, unknown, ReasonOtherVLAN},
			{"VLAN 6", []uint32{0x8100_0006}, unknown, ReasonOtherVLAN},
			{"VLAN 4095", []uint32{0x8100_0FFF}, unknown, ReasonOtherVLAN},
			{"VLAN 9, not served", []uint32{0x8100_0009}, nowhere, ReasonInterfaceOff},
			{"7.5", []uint32{0x88A8_0007, 0x8100_0005}, there, 0},
			{"7 alone", []uint32{0x88A8_0007}, unknown, ReasonOtherVLAN},
			{"7.6", []uint32{0x88A8_0007, 0x8100_0006}, unknown, ReasonOtherVLAN},
			{"5.5", []uint32{0x8100_0005, 0x8100_0005}, unknown, ReasonOtherVLAN},
			{"5.7", []uint32{0x8100_0005, 0x88A8_0007}, unknown, ReasonOtherVLAN},
			{"priority tag", []uint32{0x8100_6000}, here, 0},
			{"service priority tag", []uint32{0x88A8_6000}, here, 0},
			{"two priority tags", []uint32{0x8100_6000, 0x8100_0000}, here, 0},
			{"priority tag and VLAN 5", []uint32{0x8100_6000, 0x8100_0005}, there, 0},
			{"VLAN 5 and priority tag", []uint32{0x8100_0005, 0x8100_6000}, there, 0},
			{"priority tag and VLAN 6", []uint32{0x8100_6000, 0x8100_0006}, unknown, ReasonOtherVLAN},
			{"three", []uint32{0x8100_0000, 0x88A8_0007, 0x8100_0005}, nowhere, ReasonVLANDepth},
		} {
			name := fmt.Sprintf("%s, tagged %v", tc.name, tagged)
			// Addresses of the interface the frame belongs to are ours, the other's are not.
			want := map[bool]Reason{true: ReasonNoSocket, false: ReasonOtherAddress}
			for _, f := range []struct {
				parent bool
				frame  []byte
			}{
				{true, unicast4(serverAddr4)}, {true, unicast6(serverAddr6)}, {false, unicast4(vlanAddr4)}, {false, unicast6(vlanAddr6)},
			} {
				w := tc.why
				if tc.want != nowhere {
					w = want[f.parent == (tc.want == here)]
				}
				if got, _ := p.run(tag(f.frame, tc.tags...)); got.reason != w {
					t.Errorf("%s, to the parent's address %v: %v, want %v", name, f.parent, got.reason, w)
				}
			}
			w := ReasonNoSocket
			if tc.want == nowhere {
				w = tc.why
			}
			for _, f := range [][]byte{discover().bytes(), solicit().bytes()} {
				if got, _ := p.run(tag(f, tc.tags...)); got.reason != w {
					t.Errorf("%s, broadcast: %v, want %v", name, got.reason, w)
				}
			}
		}
	}
}

// What a VLAN interface is set to counts, not what the one below is: family,
// limits, and whether that is served at all.
func TestVLANInterfaceByItself(t *testing.T) {
	p := loadVLANs(t, false)
	v4, v6 := tag(discover().bytes(), 0x8100_0005), tag(solicit().bytes(), 0x8100_0005)
	p.check(p.DeleteInterface(testIf))
	p.wantReasons(discover().bytes(), ReasonInterfaceOff)
	p.wantReasons(tag(discover().bytes(), 0x8100_0000), ReasonInterfaceOff)
	p.wantReasons(tag(discover().bytes(), 0x8100_0006), ReasonOtherVLAN)
	p.wantReasons(v4, ReasonNoSocket)
	p.wantReasons(v6, ReasonNoSocket)
	p.check(p.SetInterface(vlanIf, InterfaceConfig{Base: 3, Queues: 1, SocketsPerQueue: 1, Enabled4: true}))
	p.wantReasons(v6, ReasonInterfaceOff)
	p.socket(3)
	p.wantReasons(v4, ReasonSteered)
	p.check(p.SetScopes([]Scope{{ID: 1, Family: FamilyIPv4, IfIndexes: []uint32{vlanIf}, Rate: Rate{Per: 1}}}))
	p.wantReasons(v4, ReasonLimitScope)
	p.wantReasons(tag(discover().bytes(), 0x88A8_0007, 0x8100_0005), ReasonNoSocket)

	// Replacing keeps what is in both.
	p.check(p.SetVLANs(testIf, []VLAN{{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 6}}}, {IfIndex: vlanIf + 1, Tags: [2]Tag{{0x8100, 5}}}}))
	p.wantReasons(v4, ReasonNoSocket)
	p.wantReasons(tag(discover().bytes(), 0x8100_0006), ReasonLimitScope)
	p.wantReasons(tag(discover().bytes(), 0x88A8_0007, 0x8100_0005), ReasonOtherVLAN)
	p.check(p.SetVLANs(testIf+1, []VLAN{{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 7}}}}))
	p.wantReasons(tag(discover().bytes(), 0x8100_0007), ReasonOtherVLAN) // over another interface
	p.check(p.SetVLANs(testIf, nil))
	p.wantReasons(v4, ReasonOtherVLAN)
}

func TestVLANsRefused(t *testing.T) {
	p := load(t, Options{MaxVLANs: 2})
	ok := []VLAN{{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 5}}}, {IfIndex: vlanIf + 1, Tags: [2]Tag{{0x8100, 4094}}}}
	p.check(p.SetVLANs(testIf, ok))
	p.check(p.SetVLANs(testIf, ok))
	for name, bad := range map[string][]VLAN{
		"no tag":          {{IfIndex: vlanIf}},
		"VLAN 0":          {{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 0}}}},
		"VLAN 4095":       {{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 4095}}}},
		"unknown type":    {{IfIndex: vlanIf, Tags: [2]Tag{{0x9100, 5}}}},
		"inner without":   {{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 5}, {0x8100, 0}}}},
		"more than there": append(ok, VLAN{IfIndex: vlanIf, Tags: [2]Tag{{0x8100, 6}}}),
	} {
		if err := p.SetVLANs(testIf, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := p.SetVLANs(testIf+1, ok[:1]); err == nil {
		t.Error("more than MaxVLANs over two interfaces")
	}
}

// Addresses of AnyInterface are ours on all.
func TestAnyInterface(t *testing.T) {
	p := load(t, Options{})
	p.check(p.SetAddrs4(testIf, nil))
	p.check(p.SetAddrs6(testIf, nil))
	v6 := solicit()
	v6.dst = serverAddr6
	p.wantReasons(renewal().bytes(), ReasonOtherAddress)
	p.check(p.SetAddrs4(AnyInterface, [][4]byte{serverAddr4}))
	p.check(p.SetAddrs6(AnyInterface, [][16]byte{serverAddr6}))
	p.wantReasons(renewal().bytes(), ReasonNoSocket)
	p.wantReasons(v6.bytes(), ReasonNoSocket)
	p.check(p.DeleteInterface(testIf))
	p.wantReasons(renewal().bytes(), ReasonInterfaceOff)
}

// Any tags before any packet: the plain rule says the same.
func TestRandomTags(t *testing.T) {
	p := loadVLANs(t, false)
	rng := rand.New(rand.NewPCG(seed(t), 7))
	known := map[string]bool{"": true, "8100.5": true, "88a8.7 8100.5": true}
	for range 5000 {
		var tags []uint32
		id := ""
		for range rng.IntN(4) {
			tpid := [...]uint32{0x8100, 0x88A8}[rng.IntN(2)]
			vid := [...]uint32{0, 5, 7, 9, rng.Uint32N(4096)}[rng.IntN(5)]
			tags = append(tags, tpid<<16|rng.Uint32N(16)<<12|vid)
			if vid != 0 {
				if id != "" {
					id += " "
				}
				id += fmt.Sprintf("%x.%d", tpid, vid)
			}
		}
		want := ReasonOtherVLAN
		switch {
		case len(tags) > 2:
			want = ReasonVLANDepth
		case known[id]:
			want = ReasonNoSocket
		case id == "8100.9":
			want = ReasonInterfaceOff
		}
		b := tag(discover().bytes(), tags...)
		if got, _ := p.run(b); got.reason != want {
			t.Fatalf("tags %x: %v, want %v", tags, got.reason, want)
		}
	}
}
