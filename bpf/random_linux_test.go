package bpf

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// seed returns a seed, TEST_SEED if it is set, and logs it.
func seed(t testing.TB) uint64 {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("TEST_SEED"), 10, 64); err == nil {
		s = v
	}
	t.Logf("TEST_SEED=%d", s)
	return s
}

// corpus is valid packets of many shapes.
func corpus() [][]byte {
	tagged4, tagged6 := discover(), solicit()
	tagged4.tags = []uint16{0x88a8, 0x8100}
	tagged6.tags = []uint16{0x8100}
	unicast6 := packet6{dst: serverAddr6, msg: msg6(typeReq6, opt6(1, duid(2)...), opt6(2, duid(3)...))}
	noHLen := discover()
	noHLen.hlen = 0
	link := [16]byte{0x20, 1, 0xd, 0xb8, 7: 1}
	deep := solicit().msg
	for range 5 {
		deep = relay6(link, [16]byte{0xfe, 0x80, 15: 7}, deep, opt6(18, 'i', 'f'), opt6(37, 0, 0, 0, 1, 'r'))
	}
	return [][]byte{
		discover().bytes(), renewal().bytes(), relayed([4]byte{10, 0, 0, 1}).bytes(), tagged4.bytes(), noHLen.bytes(),
		withIPOptions(discover().bytes()),
		solicit().bytes(), tagged6.bytes(), unicast6.bytes(),
		packet6{msg: relay6(link, [16]byte{0xfe, 0x80, 15: 7}, solicit().msg)}.bytes(),
		packet6{msg: deep}.bytes(),
	}
}

// mutated returns a packet with a few random changes: bytes, words at places
// where lengths and types stand, lengths of the frame.
func mutated(rng *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + rng.IntN(4) {
		switch rng.IntN(6) {
		case 0:
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		case 1:
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		case 2: // a header byte
			b[rng.IntN(min(len(b), 60))] = byte(rng.Uint32())
		case 3: // an option byte
			if len(b) > offOpts4 {
				b[offOpts4+rng.IntN(len(b)-offOpts4)] = [...]byte{0, 1, 4, 5, 12, 53, 61, 82, 118, 255}[rng.IntN(10)]
			}
		case 4:
			b = b[:max(14, rng.IntN(len(b)+1))]
		case 5:
			b = append(b, make([]byte, rng.IntN(20))...)
			binary.BigEndian.PutUint16(b[len(b)-2:], uint16(rng.Uint32()))
		}
	}
	// Most changes would end at a checksum or a length; let the others through.
	if len(b) >= offUDP4+8 && binary.BigEndian.Uint16(b[12:]) == 0x0800 && rng.IntN(4) > 0 {
		if rng.IntN(2) == 0 {
			binary.BigEndian.PutUint16(b[offIP+2:], uint16(len(b)-offIP))
			binary.BigEndian.PutUint16(b[offUDP4+4:], uint16(len(b)-offUDP4))
		}
		sumIP(b[offIP : offIP+20])
	}
	return b
}

// No packet is changed, each is counted once, and the plain twin agrees on why and
// as what.
func TestRandomPackets(t *testing.T) {
	p := load(t, Options{})
	rng := rand.New(rand.NewPCG(seed(t), 1))
	packets := corpus()
	n := 30000
	if testing.Short() {
		n = 3000
	}
	seen := make(map[Reason]int)
	for range n {
		b := mutated(rng, packets[rng.IntN(len(packets))])
		got, msgType := p.run(b)
		want, wantType := (&twin{}).decide(b)
		if got != want || msgType != wantType {
			t.Fatalf("%v, type %d; the twin says %v, type %d\n%x", got, msgType, want, wantType, b)
		}
		seen[got.reason]++
	}
	t.Log(seen)
	if len(seen) < 15 {
		t.Errorf("only %d reasons came up: the mutations are too tame", len(seen))
	}
}

// The same with every limit on: whatever the packet, one exit and no change.
func TestRandomPacketsLimited(t *testing.T) {
	p := load(t, Options{})
	slow := Rate{Tokens: 200, Per: time.Hour}
	p.check(p.SetLimits(Limits{Client: Rate{Tokens: 50, Per: time.Hour}, Relay: slow, NewClients: Rate{Tokens: 500, Per: time.Hour}, DiscoverPerCPU: slow}))
	p.check(p.SetScopes([]Scope{
		{ID: 1, Family: FamilyIPv4, Global: true, Rate: Rate{Tokens: 1000, Per: time.Hour}},
		{ID: 2, Family: FamilyIPv4, IfIndexes: []uint32{testIf}, Rate: slow},
	}))
	rng := rand.New(rand.NewPCG(seed(t), 2))
	packets := corpus()
	for range 5000 {
		b := mutated(rng, packets[rng.IntN(len(packets))])
		got, _ := p.run(b)
		if got.action != actionOf(got.reason) {
			t.Fatalf("%v with %v\n%x", got.action, got.reason, b)
		}
	}
}
