package netio

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// plainFind is Members.Find written for plainness: the tags as text.
func plainFind(vlans map[string]uint32, device uint32, tagged bool, b []byte) (ifIndex uint32, l3 int) {
	if len(b) < 14 {
		return 0, 0
	}
	var ids []string
	at, tags := 12, 0
	for {
		typ := int(b[at])<<8 | int(b[at+1])
		if typ != 0x8100 && typ != 0x88A8 {
			break
		}
		if tags++; tags > 2 || len(b) < at+6 {
			return 0, 0
		}
		if vid := (int(b[at+2])<<8 | int(b[at+3])) & 0xFFF; vid != 0 {
			ids = append(ids, fmt.Sprintf("%x.%d", typ, vid))
		}
		at += 4
	}
	if len(ids) == 0 {
		return device, at + 2
	}
	if i, ok := vlans[strings.Join(ids, " ")]; ok {
		return i, at + 2
	}
	if tagged {
		return device, at + 2
	}
	return 0, 0
}

func FuzzMembersFind(f *testing.F) {
	vlans := map[string]uint32{"8100.5": 50, "88a8.7": 70, "88a8.7 8100.5": 75, "8100.5 8100.5": 55}
	m := Members{Device: Member{IfIndex: 1}, VLANs: map[Tags]*Member{
		{TPID: [2]uint16{0x8100}, VID: [2]uint16{5}}:            {IfIndex: 50},
		{TPID: [2]uint16{0x88A8}, VID: [2]uint16{7}}:            {IfIndex: 70},
		{TPID: [2]uint16{0x88A8, 0x8100}, VID: [2]uint16{7, 5}}: {IfIndex: 75},
		{TPID: [2]uint16{0x8100, 0x8100}, VID: [2]uint16{5, 5}}: {IfIndex: 55},
	}}
	for _, tags := range [][]uint32{
		nil, {0x8100_0005}, {0x8100_F005}, {0x88A8_0007}, {0x88A8_0007, 0x8100_0005}, {0x8100_0005, 0x8100_0005}, {0x8100_0000},
		{0x8100_0000, 0x8100_0005}, {0x8100_0005, 0x8100_E000}, {0x8100_0006}, {0x8100_0005, 0x88A8_0007}, {0x8100_0000, 0x8100_0000, 0x8100_0005},
	} {
		b := make([]byte, 12)
		for _, t := range tags {
			b = binary.BigEndian.AppendUint32(b, t)
		}
		b = append(b, 8, 0, 0x45, 0)
		for n := range len(b) + 1 {
			f.Add(b[:n], n%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, tagged bool) {
		m := m
		m.Tagged = tagged
		who, l3, typ := m.Find(b)
		got := uint32(0)
		if who != nil {
			got = who.IfIndex
			if int(typ) != int(b[l3-2])<<8|int(b[l3-1]) {
				t.Fatalf("%x: EtherType %#x", b, typ)
			}
		}
		want, wantL3 := plainFind(vlans, 1, tagged, b)
		if got != want || want != 0 && l3 != wantL3 {
			t.Fatalf("%x, tagged %v: interface %d with its header at %d, want %d at %d", b, tagged, got, l3, want, wantL3)
		}
	})
}
