package engine6

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// Where a hardware address comes from (V6-044), one source at a time and "any".
func TestMACSources(t *testing.T) {
	llt := []byte{0, 1, 0, 6, 1, 2, 3, 4, 2, 0, 0, 0, 0, 0x11}
	uuid := []byte{0, 4, 1, 2, 3, 4, 5, 6, 7, 8}
	relay := func(opts ...[]byte) part { return relayed("2001:db8:1::1", opts...) }
	lladdr := opt(dhcp6.OptClientLinkLayerAddr, []byte{0, 6, 2, 0, 0, 0, 0, 0x22})
	remote := opt(dhcp6.OptRemoteID, u32(9), []byte{2, 0, 0, 0, 0, 0x33})
	cmts := opt(dhcp6.OptVendorOpts, u32(4491), opt(dhcp6.DOCSISCMTSCMMAC, []byte{2, 0, 0, 0, 0, 0x44}))
	modem := with(dhcp6.OptVendorOpts, u32(4491), opt(dhcp6.DOCSISDeviceID, []byte{2, 0, 0, 0, 0, 0x55}))
	other := with(dhcp6.OptVendorOpts, u32(4492), opt(dhcp6.DOCSISDeviceID, []byte{1}))
	eui := from("fe80::1:2ff:fe03:405")
	eui64 := from("fe80::200:ff:fe03:405")
	for _, c := range []struct {
		source string
		duid   []byte
		parts  []part
		want   string
		htype  uint16
		from   lease6.HWSource
	}{
		{"duid", duidOf(1), nil, "02c100000001", 1, lease6.HWSourceDUID},
		{"duid", llt, nil, "020000000011", 6, lease6.HWSourceDUID},
		{"duid", uuid, nil, "", 0, 0},
		{"duid", []byte{0, 3, 0, 1}, nil, "", 0, 0},
		{"duid", llt[:8], nil, "", 0, 0},
		{"ipv6-link-local", uuid, []part{eui64}, "000000030405", 1, lease6.HWSourceLinkLocal},
		{"ipv6-link-local", uuid, []part{eui}, "", 0, 0}, // the universal bit is not set
		{"ipv6-link-local", uuid, []part{from("2001:db8::200:ff:fe03:405")}, "", 0, 0},
		{"ipv6-link-local", uuid, []part{relay()}, "", 0, 0}, // the peer's counts
		{"client-link-addr-option", uuid, []part{relay(lladdr)}, "020000000022", 6, lease6.HWSourceClientLinkAddr},
		{"rfc6939", uuid, []part{relay(lladdr), relay()}, "020000000022", 6, lease6.HWSourceClientLinkAddr},
		{"rfc6939", uuid, []part{relay(), relay(lladdr)}, "", 0, 0}, // only the innermost
		{"rfc6939", uuid, []part{relay(opt(dhcp6.OptClientLinkLayerAddr, []byte{0, 1}))}, "", 0, 0},
		{"remote-id", uuid, []part{relay(remote)}, "020000000033", 0, lease6.HWSourceRemoteID},
		{"rfc4649", uuid, []part{relay(opt(dhcp6.OptRemoteID, u32(9)))}, "", 0, 0},
		{"docsis-cmts", uuid, []part{relay(), relay(cmts)}, "020000000044", 1, lease6.HWSourceDOCSISCMTS},
		{"docsis-modem", uuid, []part{other, modem}, "020000000055", 1, lease6.HWSourceDOCSISModem},
		{"any", llt, []part{relay(lladdr), modem}, "020000000022", 6, lease6.HWSourceClientLinkAddr},
		{"any", llt, []part{relay(remote), modem}, "020000000011", 6, lease6.HWSourceDUID},
		{"any", uuid, []part{relay(cmts), modem}, "020000000044", 1, lease6.HWSourceDOCSISCMTS},
		{"any", uuid, []part{modem}, "020000000055", 1, lease6.HWSourceDOCSISModem},
		{"any", uuid, nil, "", 0, 0},
	} {
		l := newLab(t, fmt.Sprintf(`"mac-sources": [ %q ], `, c.source)+simple)
		parts := append([]part{with(dhcp6.OptClientID, c.duid), na(1)}, c.parts...)
		l.want(dhcp6.MsgAdvertise, bare(dhcp6.MsgSolicit, parts...))
		if got := hex.EncodeToString(l.q.HW()); got != c.want || l.q.hw.source != c.from || l.q.hw.htype != c.htype {
			t.Errorf("%s of %x: %s type %d source %d, want %s type %d source %d", c.source, c.duid, got, l.q.hw.htype, l.q.hw.source, c.want, c.htype, c.from)
		}
	}
}

// RFC 6603 §4.2.
func TestPutExclude(t *testing.T) {
	for _, c := range []struct {
		excluded  string
		delegated uint8
		want      []byte
	}{
		{"2001:db8:dead:bee0::/64", 56, []byte{64, 0xe0}},
		{"2001:db8:dead:bee0::/60", 56, []byte{60, 0xe0}},
		{"2001:db8:0:5::/64", 48, []byte{64, 0, 5}},
		{"2001:db8:0:8000::/51", 50, []byte{51, 0}},
		{"2001:db8:0:a000::/51", 50, []byte{51, 0x80}},
		{"2001:db8::ff/128", 120, []byte{128, 0xff}},
		{"2001:db8::1/128", 127, []byte{128, 0x80}},
		{"2001:db8::/32", 32, nil},
		{"2001:db8::/32", 40, nil},
	} {
		var b [17]byte
		got, ok := putExclude(&b, netip.MustParsePrefix(c.excluded), c.delegated)
		if ok != (c.want != nil) || !bytes.Equal(got, c.want) {
			t.Errorf("%s of /%d: %x, want %x", c.excluded, c.delegated, got, c.want)
		}
	}
}

// Option 39 as it comes.
func TestFQDNParse(t *testing.T) {
	long := bytes.Repeat(append([]byte{63}, bytes.Repeat([]byte{'a'}, 63)...), 4)
	for _, c := range []struct {
		b    []byte
		name string
		full bool
		ok   bool
	}{
		{[]byte{0}, "", false, true},
		{[]byte{1, 1, 'A'}, "a", false, true},
		{[]byte{1, 1, 'a', 2, 'b', 'c', 0}, "a.bc.", true, true},
		{[]byte{1, 0}, ".", true, true},
		{[]byte{5}, "", false, false},
		{[]byte{0, 5, 'a'}, "", false, false},
		{[]byte{0, 1, 'a', 0, 1}, "", false, false},
		{[]byte{0, 64, 'a'}, "", false, false},
		{append([]byte{0}, long...), "", false, false},
		{append([]byte{0}, long[:64*3]...), "", false, true},
	} {
		var f fqdn
		ok := f.parse(c.b)
		if ok != c.ok || ok && c.name != "" && (string(f.name[:f.n]) != c.name || f.full != c.full) {
			t.Errorf("%x: %q %v %v", c.b, f.name[:f.n], f.full, ok)
		}
		if ok && len(f.encode()) == 0 && f.n > 1 {
			t.Errorf("%x cannot be written", c.b)
		}
	}
}

// Names by mode and character set (V6-069).
func TestClientName(t *testing.T) {
	for _, c := range []struct {
		keys, name, want string
	}{
		{``, "a_b", "ab."},
		{`"hostname-char-set": "", `, "a_b", "a_b."},
		{`"hostname-char-set": "[^a-z]", "hostname-char-replacement": "x", `, "a-9", "axx."},
		{`"hostname-char-set": "b+", "hostname-char-replacement": "x", `, "abbbc", "axc."},
		{`"hostname-char-set": "b+|x", "hostname-char-replacement": "-$&-", `, "abbc.xy", "a-bb-c.-x-y."},
		{`"ddns-qualifying-suffix": "example.org.", `, "a", "a.example.org."},
		{`"ddns-qualifying-suffix": "example.org", `, "a.example.org", "a.example.org."},
		{`"ddns-qualifying-suffix": "example.org", `, "a.myexample.org", "a.myexample.org.example.org."},
		{`"ddns-replace-client-name": "when-present", `, "a", "myhost-2001-db8-1--10."},
		{`"ddns-replace-client-name": "always", "ddns-generated-prefix": "p", `, "a", "p-2001-db8-1--10."},
		{``, "___", ""},
	} {
		l := newLab(t, c.keys+simple)
		b := []byte{1}
		for _, label := range bytes.Split([]byte(c.name), []byte{'.'}) {
			b = append(append(b, byte(len(label))), label...)
		}
		l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1), with(dhcp6.OptClientFQDN, b)))
		if got := string(l.lease(l.addr(0)).Host()); got != c.want {
			t.Errorf("%s%q: %q, want %q", c.keys, c.name, got, c.want)
		}
		if l.answer.Has(dhcp6.OptClientFQDN) != (c.want != "") {
			t.Errorf("%s%q: option 39", c.keys, c.name)
		}
	}
}

// Names that the configuration does not know.
func TestClassSetForeign(t *testing.T) {
	l := newLab(t, simple)
	l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), with(dhcp6.OptVendorClass, u32(9), []byte{0, 3, 'a', ' ', '%'})))
	c := &l.q.Classes
	if !c.Has("ALL") || !c.Has("UNKNOWN") || c.Has("KNOWN") || !c.Has("VENDOR_CLASS_a%20%%") {
		var names []string
		for i := range c.Len() {
			names = append(names, c.Name(i))
		}
		t.Fatalf("%q", names)
	}
	for i := range class.MaxForeign {
		if !c.Add(fmt.Sprintf("foreign-%d", i)) || !c.Add(fmt.Sprintf("foreign-%d", i)) {
			t.Fatalf("class %d", i)
		}
	}
	if c.Overflowed() || c.Add("one too many") || !c.Overflowed() || c.Has("one too many") || !c.Has("foreign-3") {
		t.Error("the limit")
	}
	if got := string(c.AppendName(nil, c.Len()-1)); got != fmt.Sprintf("foreign-%d", class.MaxForeign-1) {
		t.Errorf("%q", got)
	}
}
