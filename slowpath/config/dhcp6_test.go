package config

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func parse6(t *testing.T, members string) *Dhcp6 {
	t.Helper()
	s, err := Parse("d", []byte(`{"Dhcp6":{`+members+`}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Dhcp6
}

// TestDefaults6: the effective values of a configuration that says nothing are
// Kea's (inventory: V6-036, V6-037, V6-038, V6-041, V6-044, V6-045, V6-083).
func TestDefaults6(t *testing.T) {
	d := parse6(t, `"subnet6":[{"id":1,"subnet":"2001:db8::/64"}]`)
	want := Params6{
		Valid:                Triplet{7200, 7200, 7200},
		CalculateTee:         true,
		T1Percent:            0.5,
		T2Percent:            0.8,
		CacheThreshold:       0.25,
		CacheMaxAgeS:         -1,
		ReservationsInSubnet: true,
		Allocator:            "iterative",
		PDAllocator:          "iterative",
		DDNS:                 plainDDNS(t),
	}
	if diff := cmp.Diff(want, d.Subnets[0].Params6, cmp.AllowUnexported(DDNS{}), cmpopts.IgnoreUnexported(Params6{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, d.Params, cmp.AllowUnexported(DDNS{}), cmpopts.IgnoreUnexported(Params6{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]IdentifierType{IdentHWAddr, IdentDUID}, d.HostIdentifiers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]MACSource{MACSourceAny}, d.MACSources); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]uint16{65}, d.RelaySuppliedOptions); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ServerID{Type: DUIDLLT, Persist: true}, d.ServerID); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ExpiredProcessing{10, 25, 3600, 100, 250, 5}, d.Expired); diff != "" {
		t.Error(diff)
	}
	if d.DeclineProbationS != 86400 || d.ParkedPacketLimit != 256 || !d.AllowRegistration || d.EarlyGlobalLookup || !d.UniqueReservations ||
		d.LenientOptions || d.SampleCount != 20 || !d.ReDetect || d.LeaseChecks != "warn" || d.ExtendedInfoChecks != "fix" {
		t.Errorf("%+v", d)
	}
	if s, err := Parse("d", []byte(`{"Dhcp6":{"lease-database":{"type":"memfile","name":"/x/y.csv","lfc-interval":7}}}`), LoadOptions{}); err != nil ||
		s.Dataplane.LeaseDirectory != "/x" || s.Dataplane.SnapshotIntervalS != 7 {
		t.Errorf("dataplane of Dhcp6 alone: %+v %v", s, err)
	}
}

// TestInheritance6: global, network, subnet and pool, each over the one before.
func TestInheritance6(t *testing.T) {
	d := parse6(t, `
	"preferred-lifetime": 100, "max-preferred-lifetime": 400, "valid-lifetime": 200, "renew-timer": 0, "store-extended-info": true, "pd-allocator": "flq",
	"ddns-qualifying-suffix": "global",
	"shared-networks": [ { "name": "n", "valid-lifetime": 300, "rapid-commit": true, "interface": "eth0", "ddns-qualifying-suffix": "network",
	  "relay": { "ip-addresses": [ "2001:db8::9" ] },
	  "subnet6": [ { "id": 2, "subnet": "2001:db8:2::/48", "preferred-lifetime": 150 },
	               { "id": 1, "subnet": "2001:db8:1::/48", "renew-timer": 5, "pd-allocator": "random", "interface-id": "x", "relay": { "ip-addresses": [ "2001:db8::8" ] },
	                 "pools": [ { "pool": "2001:db8:1::/64" }, { "pool": "2001:db8:1:1::/64", "ddns-qualifying-suffix": "pool" } ] } ] } ],
	"subnet6": [ { "id": 3, "subnet": "2001:db8:3::/48" } ]`)
	if len(d.Subnets) != 3 || d.Subnets[0].ID != 1 || d.Subnets[2].ID != 3 || len(d.Networks) != 1 || len(d.Networks[0].Subnets) != 2 {
		t.Fatalf("subnets %v", d.Subnets)
	}
	a, b, c := d.Subnets[0], d.Subnets[1], d.Subnets[2]
	if a.Network != d.Networks[0] || b.Network != a.Network || c.Network != nil || a.Network.Subnets[0] != a {
		t.Error("networks")
	}
	for _, x := range []struct {
		s                       *Subnet6
		valid, pref             Triplet
		renew                   uint32
		pd, iface, id, suffix   string
		rapid, relays, extended bool
	}{
		{a, Triplet{300, 300, 300}, Triplet{100, 100, 400}, 5, "random", "", "x", "network", true, true, true},
		{b, Triplet{300, 300, 300}, Triplet{150, 150, 400}, 0, "flq", "eth0", "", "network", true, false, true},
		{c, Triplet{200, 200, 200}, Triplet{100, 100, 400}, 0, "flq", "", "", "global", false, false, true},
	} {
		p := &x.s.Params6
		if p.Valid != x.valid || p.Preferred != x.pref || !p.PreferredSet || p.RenewTimerS != x.renew || !p.RenewTimerSet || p.RebindTimerSet ||
			p.PDAllocator != x.pd || x.s.Interface != x.iface || string(x.s.InterfaceID) != x.id || p.DDNS.QualifyingSuffix != x.suffix ||
			p.RapidCommit != x.rapid || len(x.s.RelayAddrs) > 0 != x.relays || p.StoreExtendedInfo != x.extended {
			t.Errorf("subnet %d: %+v", x.s.ID, x.s)
		}
	}
	if p := a.Pools; p[0].DDNS != nil || p[1].DDNS == nil || p[1].DDNS.QualifyingSuffix != "pool" {
		t.Errorf("pools: %+v %+v", p[0], p[1])
	}
}

// TestWhole6 looks at what a whole configuration is turned into.
func TestWhole6(t *testing.T) {
	d := mustLoad(t, "testdata/good/isp-edge6.json").Dhcp6
	if diff := cmp.Diff(ServerID{Type: DUIDEN, Identifier: []byte{0x87, 0x65, 0x43}, HType: 6, TimeS: 1000, EnterpriseID: 32473}, d.ServerID); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]uint16{23, 65, 110, 120}, d.RelaySuppliedOptions); diff != "" {
		t.Error(diff)
	}
	if d.MACSources[0] != MACSourceClientLinkAddr || d.MACSources[0].String() != "client-link-addr-option" || len(d.MACSources) != 9 {
		t.Errorf("mac sources %v", d.MACSources)
	}
	if len(d.Interfaces) != 3 || d.Interfaces[1].Addr != netip.MustParseAddr("2001:db8::2") || !d.AllInterfaces {
		t.Errorf("interfaces %v", d.Interfaces)
	}
	s := d.Subnets[0]
	if s.ID != 1 || s.Interface != "eth3" || !s.RapidCommit || s.ReservationsOutOfPool {
		t.Errorf("subnet %+v", s)
	}
	if p := s.Pools; len(p) != 2 || p[0].First != netip.MustParseAddr("2001:db8:1::") || p[0].Last != netip.MustParseAddr("2001:db8:1::ffff:ffff:ffff") ||
		p[1].ID != 7 || !slices.Equal(p[1].ClientClasses, []string{"gold"}) {
		t.Errorf("pools %+v %+v", p[0], p[1])
	}
	if p := s.PDPools; len(p) != 2 || p[0].Prefix != netip.MustParsePrefix("2001:db8:4000::/40") || p[0].Excluded.IsValid() || p[1].DelegatedLen != 56 ||
		p[1].Excluded != netip.MustParsePrefix("2001:db8:8000:0:8000::/72") {
		t.Errorf("pd-pools %+v %+v", p[0], p[1])
	}
	r := s.Reservations[0]
	if r.Type != IdentDUID || len(r.Identifier) != 10 || len(r.Addrs) != 2 || len(r.Prefixes) != 2 ||
		r.Prefixes[0].Excluded != netip.MustParsePrefix("2001:db8:8000:100:8000::/72") || r.Prefixes[1].Excluded.IsValid() || r.Hostname != "cpe.example.org" {
		t.Errorf("reservation %+v", r)
	}
	if g := d.GlobalReservations[0]; g.SubnetID != 0 || len(g.Prefixes) != 1 {
		t.Errorf("global reservation %+v", g)
	}
	if string(d.Subnets[1].InterfaceID) != `port "7"` || !slices.Equal(d.Subnets[1].AdditionalClasses, []string{"late"}) {
		t.Errorf("subnet %+v", d.Subnets[1])
	}
	// Classes: numbers, lifetimes and what templates may spawn.
	for i, n := range []string{"ALL", "KNOWN", "UNKNOWN", "DROP", "REJECT"} {
		if d.ClassNames[i] != n {
			t.Errorf("class number %d is %q", i, d.ClassNames[i])
		}
	}
	if !slices.Contains(d.ClassNames, "SPAWN_per-port_7a") || d.ClassSet == nil || len(d.ClassSet.Classes) != 4 {
		t.Errorf("class names %v", d.ClassNames)
	}
	if c := d.Classes[0]; c.Valid != (ClassLifetime{true, Triplet{9000, 9000, 10000}}) || c.Preferred != (ClassLifetime{true, Triplet{8000, 8000, 8000}}) {
		t.Errorf("class %+v", c)
	}
	if c := d.Classes[1]; c.Valid.Set || c.Preferred.Set {
		t.Errorf("class %+v", c)
	}
	// Options: order, tags, vendors.
	o := &d.Options
	if x := o.Find(3000); len(x) != 1 || !slices.Equal(x[0].ClientClasses, []string{"gold"}) {
		t.Errorf("option 3000: %+v", x)
	}
	if x := o.Find(2001); len(x) != 1 || !x[0].Always || hex.EncodeToString(x[0].Data) != "00036f6e65000374776f" {
		t.Errorf("option 2001: %+v", x)
	}
	if x := o.Find(12); len(x) != 1 || !x[0].Never || len(x[0].Data) != 0 {
		t.Errorf("option 12: %+v", x)
	}
	if o.Find(99) != nil || o.Empty() || !(&Options6{}).Empty() {
		t.Error("options that are not there")
	}
	if v := o.Vendor(32473); v == nil || len(v.Find(7)) != 1 || !v.Find(7)[0].Never || v.Find(8) != nil {
		t.Errorf("vendor options %+v", v)
	}
	if o.Vendor(9) != nil {
		t.Error("options of an unknown vendor")
	}
	if !slices.IsSortedFunc(o.List, func(a, b Option6) int { return int(a.Code) - int(b.Code) }) {
		t.Errorf("options are out of order: %v", o.List)
	}
}

// TestOptionEncoding6 holds what is sent against the documents of each option.
func TestOptionEncoding6(t *testing.T) {
	for _, c := range []struct {
		entries string
		code    uint16
		want    string // hexadecimal
	}{
		{`{"name":"dns-servers","data":"2001:db8::1, 2001:db8::2"}`, 23, "20010db8000000000000000000000001" + "20010db8000000000000000000000002"},
		// RFC 8415 §10: names are not compressed.
		{`{"name":"domain-search","data":"a.example.org, b.example.org"}`, 24, "0161076578616d706c65036f726700" + "0162076578616d706c65036f726700"},
		{`{"name":"preference","data":"255"}`, 7, "ff"},
		{`{"name":"unicast","data":"2001:db8::1"}`, 12, "20010db8000000000000000000000001"},
		{`{"name":"status-code","data":"2, no"}`, 13, "00026e6f"},
		{`{"name":"rapid-commit"}`, 14, ""},
		{`{"name":"information-refresh-time","data":"3600"}`, 32, "00000e10"},
		{`{"name":"geoconf-civic","data":"1, 2, 0a0b"}`, 36, "0100020a0b"},
		{`{"name":"remote-id","data":"32473, 0102"}`, 37, "00007ed90102"},
		{`{"name":"client-fqdn","data":"1, a.example.org"}`, 39, "010161076578616d706c65036f726700"},
		{`{"name":"new-posix-timezone","data":"EST5EDT4\\,M3.2.0/02:00"}`, 41, hex.EncodeToString([]byte("EST5EDT4,M3.2.0/02:00"))},
		{`{"name":"oro","data":"23, 24"}`, 6, "00170018"},
		// RFC 5970 §3.2: each parameter has a length of two octets.
		{`{"name":"bootfile-param","data":"a, bc"}`, 60, "000161" + "00026263"},
		{`{"name":"client-arch-type","data":"7, 9"}`, 61, "00070009"},
		{`{"name":"nii","data":"1, 3, 2"}`, 62, "010302"},
		// RFC 6603 §4.2 and 7598: a prefix is its length and the octets it needs.
		{`{"name":"pd-exclude","data":"2001:db8:0:8000::/49"}`, 67, "3120010db8000080"},
		{`{"name":"rdnss-selection","data":"2001:db8::1, 1, example.org"}`, 74, "20010db800000000000000000000000101" + "076578616d706c65036f726700"},
		{`{"name":"v6-sztp-redirect","data":"https://a, https://b"}`, 136, "0009" + hex.EncodeToString([]byte("https://a")) + "0009" + hex.EncodeToString([]byte("https://b"))},
		{`{"name":"addr-reg-enable"}`, 148, ""},
		// RFC 9463 §4.1.
		{`{"name":"v6-dnr","data":"100, d.example.org, 2001:db8::1, alpn=dot port=853"}`, 144,
			"0064" + "000f" + "0164076578616d706c65036f726700" + "0010" + "20010db8000000000000000000000001" + "0001000403646f74" + "000300020355"},
		{`{"name":"v6-dnr","data":"100, d.example.org"}`, 144, "0064" + "000f" + "0164076578616d706c65036f726700"},
		// RFC 8415 §21.16, given with the length of its class data.
		{`{"name":"vendor-class","data":"32473, 000361626364"}`, 16, ""},
		{`{"name":"vendor-class","data":"32473, 0003616263"}`, 16, "00007ed90003616263"},
		{`{"name":"vendor-opts","data":"4491"}`, 17, "0000118b"},
		{`{"code":23,"csv-format":false,"data":"20010db8000000000000000000000001"}`, 23, "20010db8000000000000000000000001"},
		{`{"code":60000,"csv-format":false,"data":"'text'"}`, 60000, "74657874"},
		// RFC 5908 §4: several servers are several sub-options.
		{`{"name":"ntp-server"},{"space":"v6-ntp-server-suboptions","name":"ntp-server-fqdn","data":"example.org"},
		  {"space":"v6-ntp-server-suboptions","name":"ntp-server-address","data":"2001:db8::1"},
		  {"space":"v6-ntp-server-suboptions","name":"ntp-server-address","data":"2001:db8::2"}`, 56,
			"0001001020010db8000000000000000000000001" + "0001001020010db8000000000000000000000002" + "0003000d076578616d706c65036f726700"},
		// RFC 7598 §5.
		{`{"name":"s46-cont-mape"},{"space":"s46-cont-mape-options","name":"s46-rule","data":"1, 0, 24, 192.0.2.0, 2001:db8:1::/64"},
		  {"space":"s46-rule-options","name":"s46-portparams","data":"2, 3/4"},{"space":"s46-cont-mape-options","name":"s46-br","data":"2001:db8::b"}`, 94,
			"0059" + "0018" + "010018c0000200" + "4020010db800010000" + "005d0004" + "02043000" + "005a0010" + "20010db800000000000000000000000b"},
		// Sub-options in hexadecimal, and one of the same code that then is not used.
		{`{"name":"ntp-server","csv-format":false,"data":"0003000100"},{"space":"v6-ntp-server-suboptions","name":"ntp-server-address","data":"2001:db8::1"}`, 56,
			"0001001020010db8000000000000000000000001" + "0003000100"},
	} {
		s, err := Parse("o", []byte(`{"Dhcp6":{"option-data":[`+c.entries+`]}}`), LoadOptions{})
		if c.code == 16 && c.want == "" {
			if err == nil {
				t.Errorf("%s: accepted", c.entries)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.entries, err)
			continue
		}
		l := s.Dhcp6.Options.Find(c.code)
		if len(l) != 1 || hex.EncodeToString(l[0].Data) != c.want {
			t.Errorf("%s:\n got %+v\nwant %s", c.entries, l, c.want)
		}
	}
}

// TestOptionsOfOneCode6: class tags, and options that a message may have several
// of.
func TestOptionsOfOneCode6(t *testing.T) {
	d := parse6(t, `"option-data":[
		{"name":"preference","data":"1"},{"name":"preference","data":"2","client-classes":["b"]},{"name":"preference","data":"3","client-classes":["a"]},{"name":"preference","data":"4"},
		{"name":"vendor-opts","data":"4491"},{"name":"vendor-opts","data":"32473"},
		{"space":"vendor-4491","name":"config-file","data":"x"},{"space":"vendor-4491","name":"config-file","data":"y","client-classes":["a"]}]`)
	var got []byte
	for _, o := range d.Options.Find(7) {
		got = append(got, o.Data...)
	}
	if string(got) != "\x02\x03\x01" {
		t.Errorf("entries of one code: %x", got)
	}
	if len(d.Options.Find(17)) != 2 {
		t.Errorf("vendor-opts: %v", d.Options.Find(17))
	}
	if v := d.Options.Vendor(4491).Find(33); len(v) != 2 || string(v[0].Data) != "y" || string(v[1].Data) != "x" {
		t.Errorf("vendor's entries: %v", v)
	}
	for _, n := range []string{"a", "b"} {
		if !slices.Contains(d.ClassNames, n) {
			t.Errorf("class tag %q has no number", n)
		}
	}
}

// TestGet6 looks at what config-get says of what Kea fills in.
func TestGet6(t *testing.T) {
	s, err := Parse("g", []byte(`{"Dhcp6":{
		"preferred-lifetime": 100, "server-id": { "type": "EN", "identifier": "0abcde" }, "mac-sources": ["rfc6939"], "relay-supplied-options": ["dns-servers"],
		"subnet6":[
		 {"id":2,"subnet":"2001:db8:2::/48","pools":[{"pool":"2001:db8:2::0 - 2001:db8:2::ff"},{"pool":"2001:db8:2::1:1-2001:db8:2::1:2"}],
		  "pd-pools":[{"prefix":"2001:DB8:8000::","prefix-len":40,"delegated-len":56}],
		  "reservations":[{"duid":"0A0b0C","prefixes":["2001:db8:8001::/48"]},{"flex-id":"'ab'"}]},
		 {"id":1,"subnet":"2001:db8:1::/48"}]}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Dhcp6 map[string]json.RawMessage
	}
	if err := json.Unmarshal(s.Get, &got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{
		"preferred-lifetime": "100", "min-preferred-lifetime": "", "max-valid-lifetime": "", "valid-lifetime": "7200",
		"server-id":   `{"enterprise-id":0,"htype":0,"identifier":"0ABCDE","persist":true,"time":0,"type":"EN"}`,
		"mac-sources": `["client-link-addr-option"]`, "relay-supplied-options": `["23","65"]`, "t2-percent": "0.8", "calculate-tee-times": "true",
		"allow-address-registration": "true", "host-reservation-identifiers": `["hw-address","duid"]`,
	} {
		if string(got.Dhcp6[k]) != want {
			t.Errorf("%s: %s, want %s", k, got.Dhcp6[k], want)
		}
	}
	subnets := string(got.Dhcp6["subnet6"])
	for _, want := range []string{
		`"pool":"2001:db8:2::/120"`, `"pool":"2001:db8:2::1:1-2001:db8:2::1:2"`, `"prefix":"2001:db8:8000::"`, `"duid":"0a:0b:0c"`, `"flex-id":"6162"`,
		`"prefixes":["2001:db8:8001::/48"]`, `"rapid-commit":false`,
	} {
		if !strings.Contains(subnets, want) {
			t.Errorf("no %s in %s", want, subnets)
		}
	}
	if strings.Index(subnets, `"id":1`) > strings.Index(subnets, `"id":2`) {
		t.Error("subnets are not in the order of their ids")
	}
	if strings.Contains(subnets, "excluded") {
		t.Error("an excluded prefix that nobody gave")
	}
}
