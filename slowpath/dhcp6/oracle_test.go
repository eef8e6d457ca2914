package dhcp6

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	oracle "github.com/insomniacslk/dhcp/dhcpv6"
)

func randomAddr(r *rand.Rand) (a IPv6) {
	for i := range a {
		a[i] = byte(r.Uint32())
	}
	return a
}

func netIP(a IPv6) net.IP { return net.IP(a[:]) }

// randomQuery is a message of the independent codec, with up to three relays.
func randomQuery(r *rand.Rand) oracle.DHCPv6 {
	m := &oracle.Message{MessageType: oracle.MessageType(1 + r.IntN(11))}
	for i := range m.TransactionID {
		m.TransactionID[i] = byte(r.Uint32())
	}
	m.AddOption(oracle.OptClientID(&oracle.DUIDLL{HWType: 1, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, byte(r.Uint32())}}))
	for range r.IntN(4) {
		ia := &oracle.OptIANA{T1: time.Duration(r.Uint32()) * time.Second, T2: time.Duration(r.Uint32()) * time.Second}
		for i := range ia.IaId {
			ia.IaId[i] = byte(r.Uint32())
		}
		for range r.IntN(3) {
			ia.Options.Add(&oracle.OptIAAddress{IPv6Addr: netIP(randomAddr(r)), PreferredLifetime: time.Duration(r.Uint32()) * time.Second, ValidLifetime: 77 * time.Second})
		}
		m.AddOption(ia)
	}
	for range r.IntN(3) {
		pd := &oracle.OptIAPD{}
		for i := range pd.IaId {
			pd.IaId[i] = byte(r.Uint32())
		}
		for range r.IntN(3) {
			n := 1 + r.IntN(127) // the oracle takes no prefix of 0 bits
			a := randomAddr(r).Masked(uint8(n))
			pd.Options.Add(&oracle.OptIAPrefix{Prefix: &net.IPNet{IP: netIP(a), Mask: net.CIDRMask(n, 128)}})
		}
		m.AddOption(pd)
	}
	if r.IntN(2) == 0 {
		m.AddOption(oracle.OptRequestedOption(oracle.OptionDNSRecursiveNameServer, oracle.OptionCode(r.Uint32())))
	}
	for range r.IntN(5) {
		m.AddOption(&oracle.OptionGeneric{OptionCode: oracle.OptionCode(200 + r.IntN(1000)), OptionData: make([]byte, r.IntN(50))})
	}
	p := oracle.DHCPv6(m)
	for range r.IntN(4) {
		f, err := oracle.EncapsulateRelay(p, oracle.MessageTypeRelayForward, netIP(randomAddr(r)), netIP(randomAddr(r)))
		if err != nil {
			panic(err)
		}
		if r.IntN(2) == 0 {
			f.AddOption(oracle.OptInterfaceID([]byte("port-1")))
		}
		p = f
	}
	return p
}

// What the independent codec writes, View reads the same.
func TestViewAgainstOracle(t *testing.T) {
	r := rnd(t)
	var v View
	for range 2000 {
		p := randomQuery(r)
		b := p.ToBytes()
		if got := v.Parse(b); got != ReasonOK {
			t.Fatalf("%v\n%s", got, AppendText(nil, b))
		}
		level := 0
		for p.IsRelay() {
			f := p.(*oracle.RelayMessage)
			if !netIP(v.LinkAddr(level)).Equal(f.LinkAddr) || !netIP(v.PeerAddr(level)).Equal(f.PeerAddr) || v.HopCount(level) != f.HopCount {
				t.Fatalf("level %d\n%s", level, AppendText(nil, b))
			}
			if !bytes.Equal(v.RelayOption(level, OptInterfaceID), f.Options.InterfaceID()) {
				t.Fatalf("interface-id of level %d\n%s", level, AppendText(nil, b))
			}
			p = f.Options.RelayMessage()
			level++
		}
		m := p.(*oracle.Message)
		if level != v.Relays() || v.Type() != MsgType(m.MessageType) ||
			v.XID() != uint32(m.TransactionID[0])<<16|uint32(m.TransactionID[1])<<8|uint32(m.TransactionID[2]) ||
			!bytes.Equal(v.ClientID(), m.Options.ClientID().ToBytes()) || v.Len() != len(m.Options.Options) {
			t.Fatalf("%v\n%s", m.Summary(), AppendText(nil, b))
		}
		for _, c := range m.Options.RequestedOptions() {
			if !v.Requests(uint16(c)) {
				t.Fatalf("option %d is not requested", c)
			}
		}
		i := 0
		for _, want := range m.Options.IANA() {
			ia := v.IA(i)
			i++
			if ia.Code != OptIANA || !bytes.Equal(u32(ia.IAID), want.IaId[:]) || time.Duration(ia.T1S)*time.Second != want.T1 || time.Duration(ia.T2S)*time.Second != want.T2 {
				t.Fatalf("%+v, want %v", ia, want)
			}
			for _, x := range want.Options.Addresses() {
				got, ok := ia.Next()
				if !ok || !netIP(got.Addr).Equal(x.IPv6Addr) || time.Duration(got.PreferredS)*time.Second != x.PreferredLifetime || got.ValidS != 77 {
					t.Fatalf("%+v, want %v", got, x)
				}
			}
		}
		for _, want := range m.Options.IAPD() {
			ia := v.IA(i)
			i++
			if ia.Code != OptIAPD || !bytes.Equal(u32(ia.IAID), want.IaId[:]) {
				t.Fatalf("%+v, want %v", ia, want)
			}
			for _, x := range want.Options.Prefixes() {
				got, ok := ia.Next()
				if ones, _ := x.Prefix.Mask.Size(); !ok || !netIP(got.Addr).Equal(x.Prefix.IP) || int(got.PrefixLen) != ones {
					t.Fatalf("%+v, want %v", got, x)
				}
			}
		}
		if i != v.IAs() {
			t.Fatalf("%d IAs, want %d", v.IAs(), i)
		}
	}
}

// What Reply writes, the independent codec reads the same.
func TestReplyAgainstOracle(t *testing.T) {
	r := rnd(t)
	for range 2000 {
		q := randomQuery(r)
		var v View
		if got := v.Parse(q.ToBytes()); got != ReasonOK {
			t.Fatal(got)
		}
		var p Reply
		p.Type, p.XID = MsgReply, v.XID()
		p.CopyRelays(&v)
		p.Set(OptClientID, v.ClientID())
		p.SetStatus(StatusNotOnLink, "not here")
		for i := range v.IAs() {
			ia := v.IA(i)
			x := p.AddIA(ia.Code, ia.IAID)
			x.T1S, x.T2S = ia.T1S, ia.T2S
			for res, ok := ia.Next(); ok; res, ok = ia.Next() {
				p.AddResource(ReplyResource{Addr: res.Addr, PrefixLen: res.PrefixLen, PreferredS: res.PreferredS, ValidS: res.ValidS})
			}
		}
		b, _ := p.Append(nil, 1<<16, nil)
		o, err := oracle.FromBytes(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, AppendText(nil, b))
		}
		for level := 0; o.IsRelay(); level++ {
			f := o.(*oracle.RelayMessage)
			if f.MessageType != oracle.MessageTypeRelayReply || f.HopCount != v.HopCount(level) ||
				!netIP(v.LinkAddr(level)).Equal(f.LinkAddr) || !bytes.Equal(v.RelayOption(level, OptInterfaceID), f.Options.InterfaceID()) {
				t.Fatalf("%s", AppendText(nil, b))
			}
			o = f.Options.RelayMessage()
		}
		m := o.(*oracle.Message)
		inner, _ := q.GetInnerMessage()
		if m.MessageType != oracle.MessageTypeReply || m.TransactionID != inner.TransactionID ||
			m.Options.ClientID().String() != inner.Options.ClientID().String() ||
			m.Options.Status() == nil || m.Options.Status().StatusMessage != "not here" {
			t.Fatalf("%s", AppendText(nil, b))
		}
		for i, want := range inner.Options.IANA() {
			if got := m.Options.IANA()[i]; !bytes.Equal(got.ToBytes(), want.ToBytes()) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
		for i, want := range inner.Options.IAPD() {
			if got := m.Options.IAPD()[i]; !bytes.Equal(got.ToBytes(), want.ToBytes()) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	}
}
