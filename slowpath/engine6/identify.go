package engine6

import (
	"encoding/binary"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// hwaddr is a client's hardware address and where it was learnt; it aliases the
// message or Query6.eui.
type hwaddr struct {
	addr   []byte
	htype  uint16
	source lease6.HWSource
}

// Hardware types (IANA "Hardware Types", Kea's HTYPE_*).
const (
	htypeEther  = 1
	htypeDOCSIS = 1 // cable modems have Ethernet addresses
)

// macOrder is what mac-sources "any" tries, in Kea's order.
var macOrder = [...]config.MACSource{
	config.MACSourceRaw, config.MACSourceClientLinkAddr, config.MACSourceDUID,
	config.MACSourceIPv6LinkLocal, config.MACSourceRemoteID, config.MACSourceDOCSISCMTS,
	config.MACSourceDOCSISModem,
}

// identify reads who the client is.
func (q *Query6) identify() {
	q.duid = q.Msg.ClientID()
	q.hw = hwaddr{}
	for _, s := range q.cfg.Snapshot.Dhcp6.MACSources {
		if s != config.MACSourceAny {
			if q.readHW(s) {
				return
			}
			continue
		}
		for _, s := range macOrder {
			if q.readHW(s) {
				return
			}
		}
	}
}

// readHW takes the hardware address from one source (V6-044).
func (q *Query6) readHW(s config.MACSource) bool {
	v := q.Msg
	switch s {
	case config.MACSourceRaw:
		if len(q.HWAddr) == 0 {
			return false
		}
		return q.setHW(q.HWAddr, htypeEther, lease6.HWSourceRaw)
	case config.MACSourceDUID:
		d := q.duid
		if len(d) < 5 {
			return false
		}
		switch binary.BigEndian.Uint16(d) {
		case dhcp6.DUIDTypeLL:
			return q.setHW(d[4:], binary.BigEndian.Uint16(d[2:]), lease6.HWSourceDUID)
		case dhcp6.DUIDTypeLLT:
			return len(d) >= 9 && q.setHW(d[8:], binary.BigEndian.Uint16(d[2:]), lease6.HWSourceDUID)
		}
	case config.MACSourceIPv6LinkLocal:
		a := q.Src
		if n := v.Relays(); n > 0 {
			a = v.PeerAddr(n - 1)
		}
		// EUI-64 with the universal bit inverted (RFC 4291 appendix A).
		if a[0] != 0xfe || a[1] != 0x80 || a[8]&3 != 2 || a[11] != 0xff || a[12] != 0xfe {
			return false
		}
		q.eui = [6]byte{a[8] ^ 2, a[9], a[10], a[13], a[14], a[15]}
		return q.setHW(q.eui[:], q.ifHWType(), lease6.HWSourceLinkLocal)
	case config.MACSourceClientLinkAddr: // RFC 6939
		if b := v.InnermostRelayOption(dhcp6.OptClientLinkLayerAddr); len(b) >= 3 {
			return q.setHW(b[2:], binary.BigEndian.Uint16(b), lease6.HWSourceClientLinkAddr)
		}
	case config.MACSourceRemoteID: // RFC 4649
		if b := v.InnermostRelayOption(dhcp6.OptRemoteID); len(b) >= 5 {
			return q.setHW(b[4:], q.IfHWType, lease6.HWSourceRemoteID)
		}
	case config.MACSourceDOCSISModem:
		for i := range v.Len() {
			if code, b := v.At(i); code == dhcp6.OptVendorOpts {
				if id := docsis(b, dhcp6.DOCSISDeviceID); len(id) > 0 {
					return q.setHW(id, htypeDOCSIS, lease6.HWSourceDOCSISModem)
				}
			}
		}
	case config.MACSourceDOCSISCMTS:
		for level := v.Relays() - 1; level >= 0; level-- {
			o := v.RelayOptions(level)
			for {
				code, b, rest, ok := o.Next()
				if !ok {
					break
				}
				if code == dhcp6.OptVendorOpts {
					if id := docsis(b, dhcp6.DOCSISCMTSCMMAC); len(id) > 0 {
						return q.setHW(id, htypeDOCSIS, lease6.HWSourceDOCSISCMTS)
					}
				}
				o = rest
			}
		}
	}
	return false
}

func (q *Query6) ifHWType() uint16 {
	if q.IfHWType == 0 {
		return htypeEther
	}
	return q.IfHWType
}

// docsis returns an option of vendor CableLabs out of the value of option 17.
func docsis(b []byte, code uint16) []byte {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != dhcp6.VendorCableLabs {
		return nil
	}
	return dhcp6.Options(b[4:]).Find(code)
}

func (q *Query6) setHW(b []byte, htype uint16, source lease6.HWSource) bool {
	q.hw = hwaddr{b[:min(len(b), lease6.MaxHWAddrLen)], htype, source}
	return true
}

// DUID returns the client identifier, nil if there is none; it aliases the
// message.
func (q *Query6) DUID() []byte { return q.duid }

// HW returns the client's hardware address by mac-sources, nil if none of them
// knows it; it is valid until the next step.
func (q *Query6) HW() []byte { return q.hw.addr }

// checkDUID looks at the octets of option 1 or 2 (V6-004).
func checkDUID(b []byte) Reason {
	switch {
	case len(b) < dhcp6.MinDUIDLen || len(b) > dhcp6.MaxDUIDLen:
		return ReasonDUIDLength
	case len(b) == 3 && b[0]|b[1]|b[2] == 0:
		return ReasonDUIDEmpty
	}
	return ReasonOK
}
