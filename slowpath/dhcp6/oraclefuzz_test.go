package dhcp6

import (
	"bytes"
	"math/rand/v2"
	"testing"

	oracle "github.com/insomniacslk/dhcp/dhcpv6"
)

// FuzzAgainstOracle: of octets that both take for a message, View and the
// independent codec say the same. Which ones they take differs: the codec knows
// the inside of more options than View looks at, and View has limits.
func FuzzAgainstOracle(f *testing.F) {
	for _, c := range parseCases {
		f.Add(c.msg)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		f.Add(randomQuery(r).ToBytes())
	}
	// A relay agent with two messages, of which the first is relayed once more.
	inner := []byte{1, 0, 0, 7}
	first := append(make([]byte, RelayHeaderLen), 0, byte(OptRelayMsg), 0, 4, 1, 0, 0, 8)
	first[0] = byte(MsgRelayForw)
	both := append(make([]byte, RelayHeaderLen), 0, byte(OptRelayMsg), 0, byte(len(first)))
	both[0] = byte(MsgRelayForw)
	both = append(append(both, first...), 0, byte(OptRelayMsg), 0, byte(len(inner)))
	f.Add(append(both, inner...))
	var v View
	f.Fuzz(func(t *testing.T, b []byte) {
		if v.Parse(b) != ReasonOK {
			return
		}
		p, err := oracle.FromBytes(b)
		if err != nil {
			return
		}
		level := 0
		for p.IsRelay() {
			x := p.(*oracle.RelayMessage)
			if level >= v.Relays() {
				t.Fatalf("the codec finds more than %d relays", level)
			}
			if !netIP(v.LinkAddr(level)).Equal(x.LinkAddr) || !netIP(v.PeerAddr(level)).Equal(x.PeerAddr) || v.HopCount(level) != x.HopCount {
				t.Fatalf("relay %d", level)
			}
			if got := v.RelayOption(level, OptInterfaceID); !bytes.Equal(got, x.Options.InterfaceID()) {
				t.Fatalf("interface-id of relay %d: %x, the codec says %x", level, got, x.Options.InterfaceID())
			}
			if n := len(x.Options.Get(oracle.OptionRelayMsg)); n > 1 {
				return // Kea and View take the last, the codec the first
			}
			if p = x.Options.RelayMessage(); p == nil {
				t.Fatalf("the codec finds no message in relay %d", level)
			}
			level++
		}
		m, ok := p.(*oracle.Message)
		if !ok || level != v.Relays() || v.Type() != MsgType(m.MessageType) ||
			v.XID() != uint32(m.TransactionID[0])<<16|uint32(m.TransactionID[1])<<8|uint32(m.TransactionID[2]) {
			t.Fatalf("%d relays and %v, the codec says %d and %v", v.Relays(), v.Type(), level, m)
		}
		if v.Len() != len(m.Options.Options) {
			t.Fatalf("%d options, the codec finds %d", v.Len(), len(m.Options.Options))
		}
		for i, o := range m.Options.Options {
			if code, _ := v.At(i); code != uint16(o.Code()) {
				t.Fatalf("option %d has code %d, the codec says %d", i, code, o.Code())
			}
		}
		if id := m.Options.ClientID(); id != nil && !bytes.Equal(v.ClientID(), id.ToBytes()) {
			t.Fatalf("client %x, the codec says %x", v.ClientID(), id.ToBytes())
		}
		for _, c := range m.Options.RequestedOptions() {
			if !v.Requests(uint16(c)) {
				t.Fatalf("option %d is not requested", c)
			}
		}
	})
}
