package bpf

import "encoding/binary"

// twin says what the program must do with a packet on an interface set up as
// load does it, without sockets or limits. It is written for plainness, from the
// rules and not from the C.
type twin struct{}

type frame []byte

func (f frame) u16(off int) int { return int(binary.BigEndian.Uint16(f[off:])) }

// decide returns the outcome and the message type counted, -1 if none is.
func (w *twin) decide(b []byte) (outcome, int) {
	f := frame(b)
	off, tags := 12, 0
	for {
		if len(f) < off+2 {
			return outcome{FamilyNone, ActionPass, ReasonTruncatedFrame}, -1
		}
		if tpid := f.u16(off); tpid != 0x8100 && tpid != 0x88a8 {
			break
		}
		if tags++; tags > 2 {
			return outcome{FamilyNone, ActionPass, ReasonVLANDepth}, -1
		}
		off += 4
	}
	switch f.u16(off) {
	case 0x0800:
		r, t := w.decide4(f[off+2:])
		return outcome{FamilyIPv4, actionOf(r), r}, t
	case 0x86dd:
		r, t := w.decide6(f[off+2:])
		return outcome{FamilyIPv6, actionOf(r), r}, t
	}
	return outcome{FamilyNone, ActionPass, ReasonNotIP}, -1
}

// actionOf is the action that goes with a reason.
func actionOf(r Reason) Action {
	switch {
	case r == ReasonSteered:
		return ActionRedirect
	case r >= ReasonBadIPHeader && r <= ReasonShed:
		return ActionDrop
	}
	return ActionPass
}

func (w *twin) decide4(ip frame) (Reason, int) {
	if len(ip) < 20 {
		return ReasonTruncatedFrame, -1
	}
	if ip[9] != 17 {
		return ReasonNotUDP, -1
	}
	ours := [4]byte(ip[16:20]) == [4]byte{255, 255, 255, 255} ||
		[4]byte(ip[16:20]) == serverAddr4 || [4]byte(ip[16:20]) == serverBcast
	ihl := int(ip[0]&15) * 4
	badHeader := ip[0]>>4 != 4 || ihl < 20
	fragment := ip.u16(6)&0x3fff != 0
	if !badHeader && !fragment && len(ip) >= ihl+8 && ip.u16(ihl+2) != 67 {
		return ReasonOtherPort, -1
	}
	total := ip.u16(2)
	switch {
	case !ours:
		return ReasonOtherAddress, -1
	case badHeader:
		return ReasonBadIPHeader, -1
	case fragment:
		return ReasonFragment, -1
	case total < ihl+8 || total > len(ip):
		return ReasonBadIPLength, -1
	case ihl > 20:
		return ReasonIPOptions, -1
	}
	h := append(frame(nil), ip[:20]...)
	sumIP(h)
	// The two ways to write zero in ones' complement are equal.
	if got, want := ip.u16(10), h.u16(10); got != want && !(got+want == 0xffff && got*want == 0) {
		return ReasonBadIPChecksum, -1
	}
	n := ip.u16(24)
	if n < 8 || n > total-20 {
		return ReasonBadUDPLength, -1
	}
	m := ip[28 : 20+n]
	switch {
	case len(m) < 240:
		return ReasonShortMessage, -1
	case m[0] != 1:
		return ReasonBadOp, -1
	case m[2] > 20:
		return ReasonBadHLen, -1
	case binary.BigEndian.Uint32(m[236:]) != 0x63825363:
		return ReasonBadCookie, -1
	}
	t := 0
	for i, o := 0, m[240:]; i < 64 && len(o) > 0 && o[0] != 255; i++ {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		if len(o) < 2 || len(o) < 2+int(o[1]) {
			break
		}
		if o[0] == 53 && o[1] == 1 && t == 0 {
			t = int(o[2])
		}
		o = o[2+int(o[1]):]
	}
	return ReasonNoSocket, min(t, 63)
}

func (w *twin) decide6(ip frame) (Reason, int) {
	if len(ip) < 40 {
		return ReasonTruncatedFrame, -1
	}
	extension := false
	switch ip[6] {
	case 17:
	case 0, 43, 44, 51, 60, 135, 139, 140:
		extension = true
	default:
		return ReasonNotUDP, -1
	}
	dst := [16]byte(ip[24:40])
	badHeader := ip[0]>>4 != 6
	if !extension && !badHeader && len(ip) >= 48 && ip.u16(42) != 547 {
		return ReasonOtherPort, -1
	}
	payload := ip.u16(4)
	switch {
	case dst != allServers && dst != allServers5 && dst != serverAddr6:
		return ReasonOtherAddress, -1
	case ip[6] == 44:
		return ReasonFragment, -1
	case extension:
		return ReasonIPOptions, -1
	case badHeader:
		return ReasonBadIPHeader, -1
	case payload < 8 || payload > len(ip)-40:
		return ReasonBadIPLength, -1
	}
	n := ip.u16(44)
	if n < 8 || n > payload {
		return ReasonBadUDPLength, -1
	}
	m := ip[48 : 40+n]
	if len(m) < 4 {
		return ReasonShortMessage, -1
	}
	switch m[0] {
	case 2, 7, 10, 13:
		return ReasonBadOp, -1
	case 12:
		if len(m) < 34 {
			return ReasonShortMessage, -1
		}
	}
	t := 0
	for depth := 0; depth <= 4 && len(m) >= 4; depth++ {
		t = int(m[0])
		if t != 12 || len(m) < 34 {
			break
		}
		o := m[34:]
		m = nil
		for i := 0; i < 32 && len(o) >= 4 && len(o) >= 4+o.u16(2); i++ {
			if o.u16(0) == 9 {
				m = o[4 : 4+o.u16(2)]
				break
			}
			o = o[4+o.u16(2):]
		}
	}
	return ReasonNoSocket, min(t, 63)
}
