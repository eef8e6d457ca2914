// Until go.mod has what insomniacslk/dhcp itself imports, this needs -tags oracle.

package dhcp4

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"

	oracle "github.com/insomniacslk/dhcp/dhcpv4"
)

// randomOptions are valid by their types, some longer than 255 octets.
func randomOptions(r *rand.Rand) map[uint8][]byte {
	m := map[uint8][]byte{}
	for range r.IntN(20) {
		code := uint8(1 + r.IntN(254))
		n := 1 + r.IntN(20)
		if r.IntN(10) == 0 {
			n = 256 + r.IntN(600)
		}
		switch f := optionFormats[code]; f.form {
		case fScalar:
			n = int(f.size)
		case fIPs, fInts:
			n = int(f.size) * (1 + n/4)
		case fMin:
			n += int(f.size)
		}
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(1 + r.IntN(255))
		}
		if code == OptRelayAgentInformation {
			b = []byte{1, 3, 'a', 'b', 'c', 2, 2, 'd', 'e'}
		}
		if code == OptOverload {
			continue // the oracle's opinion of it is another
		}
		m[code] = b
	}
	m[OptMessageType] = []byte{byte(1 + r.IntN(8))}
	return m
}

// What the independent codec writes, View reads the same.
func TestViewAgainstOracle(t *testing.T) {
	r := rnd(t)
	var v View
	for range 3000 {
		opts := randomOptions(r)
		p := &oracle.DHCPv4{
			OpCode: oracle.OpcodeBootRequest, HWType: 1, HopCount: uint8(r.Uint32()),
			NumSeconds: uint16(r.Uint32()), Flags: uint16(r.Uint32()),
			ClientHWAddr: net.HardwareAddr{2, 1, 1, byte(r.Uint32()), 5, 6},
			ClientIPAddr: net.IPv4(10, 0, 0, byte(r.Uint32())), YourIPAddr: net.IPv4(10, 0, 1, byte(r.Uint32())),
			ServerIPAddr: net.IPv4(10, 0, 2, byte(r.Uint32())), GatewayIPAddr: net.IPv4(10, 0, 3, byte(r.Uint32())),
			Options: oracle.Options{},
		}
		for i := range p.TransactionID {
			p.TransactionID[i] = byte(r.Uint32())
		}
		for c, d := range opts {
			p.Options[c] = d
		}
		b := p.ToBytes()
		if len(b) > MaxMessageLen {
			continue
		}
		if got := v.Parse(b); got != ReasonOK {
			t.Fatalf("%v\n%s", got, AppendText(nil, b))
		}
		x := p.TransactionID
		if v.XID() != uint32(x[0])<<24|uint32(x[1])<<16|uint32(x[2])<<8|uint32(x[3]) || v.Hops() != p.HopCount ||
			v.Secs() != p.NumSeconds || v.Flags() != p.Flags || !bytes.Equal(v.CHAddr(), p.ClientHWAddr) ||
			!v.CIAddr().Netip().Is4() || v.CIAddr().String() != p.ClientIPAddr.String() || v.YIAddr().String() != p.YourIPAddr.String() ||
			v.SIAddr().String() != p.ServerIPAddr.String() || v.GIAddr().String() != p.GatewayIPAddr.String() ||
			v.Type() != MsgType(p.MessageType()) {
			t.Fatalf("%v\n%s", p.Summary(), AppendText(nil, b))
		}
		for c := 1; c < 255; c++ {
			if got, want := v.Option(uint8(c)), opts[uint8(c)]; !bytes.Equal(got, want) {
				t.Fatalf("option %d: %x, want %x", c, got, want)
			}
		}
		if rai := p.RelayAgentInfo(); rai != nil {
			if want := rai.Get(oracle.GenericOptionCode(1)); !bytes.Equal(v.RAI(RAICircuitID), want) {
				t.Fatalf("circuit-id %x, want %x", v.RAI(RAICircuitID), want)
			}
		}
	}
}

// What Reply writes, the independent codec reads the same.
func TestReplyAgainstOracle(t *testing.T) {
	r := rnd(t)
	for range 3000 {
		opts := randomOptions(r)
		p := Reply{HType: 1, HLen: 6, Hops: uint8(r.Uint32()), XID: r.Uint32(), Secs: uint16(r.Uint32()), Flags: uint16(r.Uint32()),
			CIAddr: IPv4(r.Uint32()), YIAddr: IPv4(r.Uint32()), SIAddr: IPv4(r.Uint32()), GIAddr: IPv4(r.Uint32()),
			SName: []byte("server"), File: []byte("file")}
		copy(p.CHAddr[:], []byte{2, 0, 0, 1, 2, byte(r.Uint32())})
		for c, d := range opts {
			p.Set(c, d)
		}
		b, _ := p.Append(nil, 1<<16, nil)
		o, err := oracle.FromBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		x := o.TransactionID
		if o.OpCode != oracle.OpcodeBootReply || o.HopCount != p.Hops || p.XID != uint32(x[0])<<24|uint32(x[1])<<16|uint32(x[2])<<8|uint32(x[3]) ||
			o.NumSeconds != p.Secs || o.Flags != p.Flags || o.ClientIPAddr.String() != p.CIAddr.String() ||
			o.YourIPAddr.String() != p.YIAddr.String() || o.ServerIPAddr.String() != p.SIAddr.String() ||
			o.GatewayIPAddr.String() != p.GIAddr.String() || !bytes.Equal(o.ClientHWAddr, p.CHAddr[:6]) ||
			o.ServerHostName != "server" || o.BootFileName != "file" {
			t.Fatalf("%s\n%s", o.Summary(), AppendText(nil, b))
		}
		if len(o.Options) != len(opts) {
			t.Fatalf("%d options, want %d", len(o.Options), len(opts))
		}
		for c, want := range opts {
			if got := o.Options[c]; !bytes.Equal(got, want) {
				t.Fatalf("option %d: %x, want %x", c, got, want)
			}
		}
	}
}
