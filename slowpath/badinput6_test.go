package slowpath

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// option6 is an option on the wire.
func option6(code uint16, parts ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	body := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// bad6 is what nobody should send: it is dropped for one reason and counted in
// one of Kea's statistics, or answered in spite of a note.
type bad6 struct {
	name    string
	msg     []byte
	reason  string // LAYER REASON
	statKea string // beside pkt6-received and pkt6-receive-drop
	note    string // of a message that is answered
}

func badInput6() []bad6 {
	const parse = "pkt6-parse-failed"
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	duid := option6(dhcp6.OptClientID, []byte{0, 3, 0, 1, 2, 0, 0, 0, 1, 1})
	header := []byte{byte(dhcp6.MsgSolicit), 0, 0, 9}
	solicit := func(opts ...[]byte) []byte { return cat(append([][]byte{header, duid}, opts...)...) }
	ia := func(code uint16, iaid byte, in ...[]byte) []byte {
		return option6(code, []byte{0, 0, 0, iaid, 0, 0, 0, 0, 0, 0, 0, 0}, cat(in...))
	}
	address := option6(dhcp6.OptIAAddr, make([]byte, 24))
	prefix := func(length byte) []byte {
		return option6(dhcp6.OptIAPrefix, make([]byte, 8), []byte{length}, make([]byte, 16))
	}
	relay := func(hops byte, opts ...[]byte) []byte {
		return cat(append([][]byte{{byte(dhcp6.MsgRelayForw), hops}, make([]byte, 32)}, opts...)...)
	}
	relayed := func(hops byte, msg []byte) []byte { return relay(hops, option6(dhcp6.OptRelayMsg, msg)) }
	nested := func(n int) []byte {
		m := solicit()
		for range n {
			m = relayed(0, m)
		}
		return m
	}
	with := func(id []byte) []byte { return cat(header, option6(dhcp6.OptClientID, id)) }
	const rfc = "pkt6-solicit-received pkt6-rfc-violation"
	return []bad6{
		{"one octet", []byte{1}, "message6 too-short", parse, ""},
		{"relay header cut", relay(0)[:20], "message6 too-short", parse, ""},
		{"relay without message", relay(0), "message6 no-relay-message", parse, ""},
		{"empty relayed message", relay(0, option6(dhcp6.OptRelayMsg)), "message6 no-relay-message", parse, ""},
		{"relayed message cut", relayed(0, solicit())[:50], "message6 no-relay-message", parse, ""},
		{"hop count 32", relayed(32, solicit()), "message6 hop-count", parse, ""},
		{"hop count 255", relayed(255, solicit()), "message6 hop-count", parse, ""},
		{"33 relays", nested(33), "message6 too-many-relays", parse, ""},
		{"RELAY-REPL", append([]byte{13}, relayed(0, solicit())[1:]...), "message6 relay-repl", parse, ""},
		{"RELAY-REPL in a relay", relayed(1, append([]byte{13}, relayed(0, solicit())[1:]...)), "message6 relay-repl", parse, ""},
		{"relay option of a bad length", relay(0, option6(dhcp6.OptRemoteID, []byte{1}), option6(dhcp6.OptRelayMsg, solicit())), "message6 relay-option-length", parse, ""},
		{"option request option of three octets", solicit(option6(dhcp6.OptORO, []byte{0, 23, 0})), "message6 option-length", parse, ""},
		{"IA_NA of 11 octets", solicit(option6(dhcp6.OptIANA, make([]byte, 11))), "message6 ia-length", parse, ""},
		{"IAADDR of 23 octets", solicit(ia(dhcp6.OptIANA, 1, option6(dhcp6.OptIAAddr, make([]byte, 23)))), "message6 ia-length", parse, ""},
		{"prefix of 129 bits", solicit(ia(dhcp6.OptIAPD, 1, prefix(129))), "message6 prefix-length", parse, ""},
		{"129 options", solicit(bytes.Repeat(option6(200), 128)), "message6 too-many-options", parse, ""},
		{"33 IAs", solicit(bytes.Repeat(ia(dhcp6.OptIANA, 1), 33)), "message6 too-many-ias", parse, ""},
		{"4000 IAs", solicit(bytes.Repeat(ia(dhcp6.OptIAPD, 1), 4000)), "message6 too-long", parse, ""},
		{"129 addresses", solicit(ia(dhcp6.OptIANA, 1, bytes.Repeat(address, 129))), "message6 too-many-addresses", parse, ""},
		{"DUID of no octets", with(nil), "engine6 duid-length", rfc, ""},
		{"DUID of two octets", with([]byte{0, 3}), "engine6 duid-length", rfc, ""},
		{"DUID of 131 octets", with(bytes.Repeat([]byte{1}, 131)), "engine6 duid-length", rfc, ""},
		{"DUID of 1000 octets", with(bytes.Repeat([]byte{1}, 1000)), "engine6 duid-length", rfc, ""},
		{"DUID 00:00:00", with([]byte{0, 0, 0}), "engine6 duid-empty", rfc, ""},
		{"no DUID", header, "engine6 no-client-id", rfc, ""},
		{"two DUIDs", solicit(duid), "engine6 several-client-ids", rfc, ""},
		{"message type 0", append([]byte{0}, solicit()[1:]...), "engine6 message-type", "pkt6-unknown-received", ""},

		{"last option cut", solicit(ia(dhcp6.OptIANA, 1), []byte{0, 1, 0, 200, 1}), "", "", "truncated-option"},
		{"relay's last option cut", cat(relayed(0, solicit()), []byte{0, 37, 0, 200}), "", "", "truncated-relay-option"},
		{"option cut in an IA", solicit(ia(dhcp6.OptIANA, 1, []byte{0, 5, 0, 24, 1})), "", "", "truncated-ia-option"},
		{"IAADDR outside of an IA", solicit(ia(dhcp6.OptIANA, 1), address), "", "", "misplaced-option"},
		{"IAPREFIX outside of an IA", solicit(ia(dhcp6.OptIANA, 1), prefix(56)), "", "", "misplaced-option"},
		{"IAPREFIX in an IA_NA", solicit(ia(dhcp6.OptIANA, 1, prefix(56))), "", "", "misplaced-option"},
		{"IAADDR in an IA_PD", solicit(ia(dhcp6.OptIAPD, 1, address)), "", "", "misplaced-option"},
		{"an IA in an IA", solicit(ia(dhcp6.OptIANA, 1, ia(dhcp6.OptIANA, 2))), "", "", "misplaced-option"},
		{"Relay Message of a client", solicit(option6(dhcp6.OptRelayMsg, solicit())), "", "", "misplaced-option"},
		{"interface-id of a client", solicit(option6(dhcp6.OptInterfaceID, []byte("x"))), "", "", "misplaced-option"},
		{"IA_TA", solicit(option6(dhcp6.OptIATA, []byte{0, 0, 0, 1})), "", "", "ia-ta"},
		{"an IA twice", solicit(ia(dhcp6.OptIANA, 1), ia(dhcp6.OptIANA, 1)), "", "", "duplicate-ia"},
	}
}

// Bad input costs one counter of ours and one of Kea's, and nothing else: no lease,
// no memory, and the next client is served.
func TestDHCPv6BadInput(t *testing.T) {
	b := newBed(t, testConfig6(t.TempDir(), "", "", false), Options{})
	defer b.close()
	c := newClient6(b, 1)
	k := newKeaStatistics(b, b.s.six.family)
	counts := func() map[string]uint64 {
		m := map[string]uint64{}
		b.s.EachDrop(func(layer, reason string, n uint64) { m[layer+" "+reason] = n })
		b.s.EachNote(func(note string, n uint64) { m[note] = n })
		return m
	}
	inputs := badInput6()
	before := counts()
	for _, x := range inputs {
		stats, want := "pkt6-received+1 pkt6-receive-drop+1", map[string]uint64{x.reason: 1}
		for _, s := range bytes.Fields([]byte(x.statKea)) {
			stats += " " + string(s) + "+1"
		}
		action := netio.Drop
		if x.note != "" {
			stats, want = "pkt6-received+1 pkt6-solicit-received+1 pkt6-sent+1 pkt6-advertise-sent+1", map[string]uint64{"dhcp6-" + x.note: 1}
			action = netio.Send
		}
		k.after(x.name, func() {
			if got := b.send(c.frame(raw6(x.msg))); got.Action != action {
				t.Errorf("%s: action %d, want %d", x.name, got.Action, action)
			}
		}, stats)
		now := counts()
		for name, n := range now {
			if d := n - before[name]; d != want[name] {
				t.Errorf("%s: %q is counted %d times, want %d", x.name, name, d, want[name])
			}
		}
		before = now
	}
	if n := b.s.six.table.Len(); n > 4 { // offers, of those that were answered
		t.Errorf("%d leases", n)
	}
	c.lease()
}

// However often it comes: no memory is taken.
func TestDHCPv6BadInputAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newBed(t, testConfig6(t.TempDir(), "", "", false), Options{})
	defer b.close()
	c := newClient6(b, 1)
	var frames [][]byte
	for _, x := range badInput6() {
		if x.note == "" {
			frames = append(frames, c.frame(raw6(x.msg)))
		}
	}
	batch := make([]netio.Packet, 1)
	send := func() {
		for _, f := range frames {
			batch[0] = netio.Packet{Data: f, IfIndex: 7}
			b.w.HandleBatch(batch, b.now)
		}
	}
	send()
	if n := testing.AllocsPerRun(20, send); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(frames))
	}
}
