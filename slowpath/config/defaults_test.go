package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hostname"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

func mustLoad(t *testing.T, path string) *Snapshot {
	t.Helper()
	s, err := Load(path, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plainDDNS are the parameters of a configuration that gives none of them.
func plainDDNS(t *testing.T) DDNS {
	t.Helper()
	d := ddnsDefaults()
	d.Enabled = false // no dhcp-ddns.enable-updates
	var err error
	if d.Sanitizer, err = hostname.NewSanitizer(d.charSet, ""); err != nil {
		t.Fatal(err)
	}
	return d
}

func mustAddr(t *testing.T, s string) dhcp4.IPv4 {
	t.Helper()
	a, err := parseIPv4(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestDefaults: the effective values of a configuration that says nothing are
// Kea's (inventory: V4-075, V4-076, V4-121, V4-133, LS-008, LS-018, OP-030).
func TestDefaults(t *testing.T) {
	s, err := Parse("d", []byte(`{"Dhcp4":{"subnet4":[{"id":1,"subnet":"192.0.2.0/24"}]}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := s.Dhcp4
	want := Params{
		Valid:                Triplet{7200, 7200, 7200},
		T1Percent:            0.5,
		T2Percent:            0.875,
		MatchClientID:        true,
		CacheThreshold:       0.25,
		CacheMaxAgeS:         -1,
		ReservationsInSubnet: true,
		Allocator:            "iterative",
		DDNS:                 plainDDNS(t),
	}
	if diff := cmp.Diff(want, d.Subnets[0].Params, cmp.AllowUnexported(Params{}, DDNS{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ExpiredProcessing{10, 25, 3600, 100, 250, 5}, d.Expired); diff != "" {
		t.Error(diff)
	}
	if !d.Expired.Affinity() {
		t.Error("affinity is on by default")
	}
	if diff := cmp.Diff(LeaseDatabase{Persist: true, LFCIntervalS: 3600}, d.LeaseDatabase); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(MultiThreading{true, 0, 64}, d.MultiThreading); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]IdentifierType{IdentHWAddr, IdentDUID, IdentCircuitID, IdentClientID}, d.HostIdentifiers); diff != "" {
		t.Error(diff)
	}
	if d.DeclineProbationS != 86400 || d.ParkedPacketLimit != 256 || !d.EchoClientID || d.Authoritative || d.SampleCount != 20 || d.SampleAge != 0 || d.SocketUDP || !d.ReDetect {
		t.Errorf("globals: %+v", d)
	}
	wantDP := Dataplane{Mode: ModeAuto, SpinUs: 20, Sync: SyncGroup, SnapshotIntervalS: 3600, JournalSizeMB: 1024, OfferHoldS: 10, LeaseDirectory: DefaultLeaseDirectory}
	if diff := cmp.Diff(wantDP, s.Dataplane); diff != "" {
		t.Error(diff)
	}
}

// TestConfigGetDefaults: config-get prints every default, under Kea's name.
func TestConfigGetDefaults(t *testing.T) {
	s, err := Parse("d", []byte(`{"Dhcp4":{"subnet4":[{"id":1,"subnet":"192.0.2.0/24","pools":[{"pool":"192.0.2.1 - 192.0.2.9"}],"option-data":[{"code":3,"data":"192.0.2.1"}],"reservations":[{"hw-address":"02:00:00:00:00:01"}]}]}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Dhcp4 map[string]any
	}
	if err := json.Unmarshal(s.Get, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"valid-lifetime": "7200", "decline-probation-period": "86400", "dhcp4o6-port": "0",
		"echo-client-id": "true", "match-client-id": "true", "authoritative": "false", "next-server": `"0.0.0.0"`,
		"t1-percent": "0.5", "t2-percent": "0.875", "cache-threshold": "0.25", "allocator": `"iterative"`,
		"ddns-conflict-resolution-mode": `"check-with-dhcid"`, "statistic-default-sample-count": "20", "parked-packet-limit": "256",
		"shared-networks": "[]", "option-def": "[]", "hooks-libraries": "[]", "interfaces-config": `{"interfaces":[],"re-detect":true}`, "lease-database": `{"type":"memfile"}`,
		"host-reservation-identifiers": `["hw-address","duid","circuit-id","client-id"]`,
		"multi-threading":              `{"enable-multi-threading":true,"packet-queue-size":64,"thread-pool-size":0}`,
		"sanity-checks":                `{"extended-info-checks":"fix","lease-checks":"warn"}`,
		"dhcp-queue-control":           `{"capacity":64,"enable-queue":false,"queue-type":"kea-ring4"}`,
		"expired-leases-processing":    `{"flush-reclaimed-timer-wait-time":25,"hold-reclaimed-time":3600,"max-reclaim-leases":100,"max-reclaim-time":250,"reclaim-timer-wait-time":10,"unwarned-reclaim-cycles":5}`,
		"subnet4": `[{"4o6-interface":"","4o6-interface-id":"","4o6-subnet":"","allocator":"iterative","cache-threshold":0.25,"calculate-tee-times":false,"id":1,"interface":"",` +
			`"max-valid-lifetime":7200,"min-valid-lifetime":7200,"option-data":[{"always-send":false,"code":3,"csv-format":true,"data":"192.0.2.1","name":"routers","never-send":false,"space":"dhcp4"}],` +
			`"pools":[{"option-data":[],"pool":"192.0.2.1-192.0.2.9"}],"relay":{"ip-addresses":[]},` +
			`"reservations":[{"boot-file-name":"","client-classes":[],"hostname":"","hw-address":"02:00:00:00:00:01","next-server":"0.0.0.0","option-data":[],"server-hostname":""}],` +
			`"store-extended-info":false,"subnet":"192.0.2.0/24","t1-percent":0.5,"t2-percent":0.875,"valid-lifetime":7200}]`,
	} {
		js, _ := json.Marshal(got.Dhcp4[key])
		if string(js) != want {
			t.Errorf("%s\ngot  %s\nwant %s", key, js, want)
		}
	}
	for _, key := range []string{"renew-timer", "comment", "user-context", "control-socket", "loggers", "cache-max-age", "min-valid-lifetime", "max-valid-lifetime", "client-classes", "reservations", "hosts-databases"} {
		if v, ok := got.Dhcp4[key]; ok {
			t.Errorf("%s is printed as %v", key, v)
		}
	}
}

// TestConfigGetAsKea: forms that Kea's config-get has and the file need not have
// (cfg_iface.cc, host.cc).
func TestConfigGetAsKea(t *testing.T) {
	s, err := Parse("d", []byte(`{"Dhcp4":{"host-reservation-identifiers":["flex-id","hw-address","duid","client-id","circuit-id"],
		"interfaces-config":{"interfaces":["eth0"],"dhcp-socket-type":"udp","service-sockets-max-retries":2,"service-sockets-require-all":true},
		"lease-database":{"type":"memfile","lfc-interval":60},"min-valid-lifetime":60,
		"reservations":[{"hw-address":"02000A0b0c0d"},{"duid":"010203"},{"client-id":"01:0a:B"},{"circuit-id":"'ab'"},{"flex-id":"0x01fF"}]}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"interfaces-config":{"dhcp-socket-type":"udp","interfaces":["eth0"],"re-detect":true,"service-sockets-max-retries":2,"service-sockets-require-all":true,"service-sockets-retry-wait-time":5000}`,
		`"lease-database":{"lfc-interval":60,"type":"memfile"}`, `"min-valid-lifetime":60`,
		`"hw-address":"02:00:0a:0b:0c:0d"`, `"duid":"01:02:03"`, `"client-id":"010A0B"`, `"circuit-id":"6162"`, `"flex-id":"01FF"`,
	} {
		if !strings.Contains(string(s.Get), want) {
			t.Errorf("config-get has no %s:\n%s", want, s.Get)
		}
	}
}

// TestInheritance walks global → subnet for every inherited parameter.
func TestInheritance(t *testing.T) {
	d := mustLoad(t, "testdata/good/isp-edge.json").Dhcp4
	if len(d.Subnets) != 2 || d.Subnets[0].ID != 10 || d.Subnets[1].ID != 20 {
		t.Fatal("subnets must be in the order of their ids")
	}
	global := Params{
		Valid: Triplet{1000, 4000, 8000}, RenewTimerS: 1000, RebindTimerS: 2000, CalculateTee: true, T1Percent: 0.4, T2Percent: 0.8,
		Authoritative: true, NextServer: mustAddr(t, "192.0.2.10"), ServerHostname: "tftp", BootFileName: "/boot/x",
		CacheThreshold: 0.5, CacheMaxAgeS: 600, ReservationsGlobal: true, ReservationsInSubnet: true, ReservationsOutOfPool: true, Allocator: "random", DDNS: plainDDNS(t),
		renewSet: true, rebindSet: true, minSet: true, maxSet: true,
	}
	global.DDNS.GeneratedPrefix = "cust"
	if diff := cmp.Diff(global, d.Subnets[0].Params, cmp.AllowUnexported(Params{}, DDNS{})); diff != "" {
		t.Errorf("subnet 10:\n%s", diff)
	}
	own := global
	own.Valid.Default, own.RenewTimerS, own.T1Percent, own.MatchClientID, own.Authoritative = 2000, 100, 0.3, true, false
	own.NextServer, own.BootFileName, own.CacheThreshold, own.ReservationsOutOfPool, own.Allocator = 0, "/boot/y", 0, false, "iterative"
	if diff := cmp.Diff(own, d.Subnets[1].Params, cmp.AllowUnexported(Params{}, DDNS{})); diff != "" {
		t.Errorf("subnet 20:\n%s", diff)
	}
}

// TestDecoded holds the rest of a snapshot against its file.
func TestDecoded(t *testing.T) {
	s := mustLoad(t, "testdata/good/isp-edge.json")
	d := s.Dhcp4
	a := func(x string) dhcp4.IPv4 { return mustAddr(t, x) }
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(DDNS{}), cmpopts.IgnoreTypes(keajson.Position{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if !d.AllInterfaces || !d.SocketUDP || d.ReDetect {
		t.Error("interfaces-config")
	}
	check("interfaces", d.Interfaces, []Interface{{"eth1.100", a("192.0.2.1")}, {"eth1.100", a("192.0.2.2")}})
	check("service sockets", d.ServiceSockets, ServiceSockets{MaxRetries: 3, RetryWaitTimeMs: 5000})
	check("sockets", d.ControlSockets, []ControlSocket{{Type: "unix", SocketName: "/run/kea/dhcp4.sock"}})
	check("loggers", d.Loggers, []Logger{{Name: "kea-dhcp4", Severity: "INFO", Outputs: []LogOutput{{Output: "/var/log/kea/dhcp4.log", Flush: true, MaxSize: 10240000, MaxVer: 10}}}})
	check("hooks", d.HooksLibraries, []HooksLibrary{
		{Library: "/usr/lib/x86_64-linux-gnu/kea/hooks/libdhcp_limits.so", Name: "limits"},
		{Library: "/usr/lib/x86_64-linux-gnu/kea/hooks/libdhcp_lease_cmds.so", Name: "lease_cmds", Parameters: json.RawMessage(`{"x":"y"}`)}})
	check("user-context", string(d.UserContext), `{"comment":"edge 7","site":"edge-7","racks":[1,2.5,null,true]}`)
	check("classes", d.Classes, []Class{
		{Name: "gold", Options: listed(Option{Code: 15, Data: []byte("gold.example")}), UserContext: json.RawMessage(`{"limits":{"rate-limit":"10 packets per second"}}`)},
		{Name: "VENDOR_CLASS_docsis3.0", UserContext: json.RawMessage(`{"comment":"cable modems"}`)}})
	check("options", d.Options, listed(Option{Code: 6, Always: true, Data: []byte{192, 0, 2, 53, 192, 0, 2, 54}}, Option{Code: 66, Data: []byte("tftp.example")}, Option{Code: 224, Data: []byte{1, 2}}))
	check("global reservations", d.GlobalReservations, []*Reservation4{
		{Type: IdentHWAddr, Identifier: []byte{2, 0, 0, 0, 0, 1}, ClientClasses: []string{"gold"}},
		{Type: IdentDUID, Identifier: []byte{1, 2, 3, 4}, Addr: a("203.0.113.5"), Options: new(listed(Option{Code: 3, Never: true, Data: []byte{}}))}})
	check("sample age", d.SampleAge, time.Minute)

	n := d.Subnets[1]
	if n.Text != "203.0.113.0/24" || n.First != a("203.0.113.0") || n.Last != a("203.0.113.255") || n.Mask != a("255.255.255.0") || n.Interface != "eth1.100" {
		t.Errorf("subnet 20: %+v", n)
	}
	check("guard", n.ClientClasses, []string{"gold", "KNOWN"})
	ddns := n.DDNS
	ddns.GeneratedPrefix = "p"
	check("pools", n.Pools, []*Pool4{
		{First: a("203.0.113.10"), Last: a("203.0.113.20"), DDNS: &ddns, UserContext: json.RawMessage(`{"comment":"small"}`)},
		{First: a("203.0.113.128"), Last: a("203.0.113.255"), ID: 2, ClientClasses: []string{"gold"}, Options: listed(Option{Code: 42, Data: []byte{192, 0, 2, 1}})}})
	check("reservations", n.Reservations, []*Reservation4{
		{SubnetID: 20, Type: IdentCircuitID, Identifier: []byte("olt1/1/1"), Addr: a("203.0.113.7"), Hostname: "a.example", UserContext: json.RawMessage(`{"id":1}`)},
		{SubnetID: 20, Type: IdentFlexID, Identifier: []byte{10, 11}, Addr: a("203.0.113.200"), NextServer: a("192.0.2.9"), ServerHostname: "s", BootFileName: "b"}})
	m := d.Subnets[0]
	if m.Text != "198.51.100.7/24" || m.Prefix.String() != "198.51.100.0/24" || m.First != a("198.51.100.0") {
		t.Errorf("subnet 10: %+v", m)
	}
	check("relay", m.RelayAddrs, []dhcp4.IPv4{a("192.0.2.254"), a("192.0.2.253")})
	check("dataplane", s.Dataplane, Dataplane{Mode: ModeGeneric, SpinUs: 20, Sync: SyncNone, SnapshotIntervalS: 1800, JournalSizeMB: 1024, OfferHoldS: 10,
		LeaseDirectory: "/var/lib/kea", Limits: Limits{ClientPerS: 10, ClientBurst: 10, RelayPerS: 1000, RelayBurst: 5000}})
}

func TestWholeIPv4(t *testing.T) {
	s, err := Parse("d", []byte(`{"Dhcp4":{"subnet4":[{"id":1,"subnet":"0.0.0.0/0","pools":[{"pool":"0.0.0.0 - 255.255.255.255"}]},{"id":2,"subnet":"192.0.2.1/32","pools":[{"pool":"192.0.2.1/32"}]}]}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := s.Dhcp4.Subnets[0], s.Dhcp4.Subnets[1]
	if a.First != 0 || a.Last != dhcp4.Broadcast || a.Mask != 0 || a.Pools[0].Last != dhcp4.Broadcast {
		t.Errorf("/0: %+v", a)
	}
	if b.First != b.Last || b.Mask != dhcp4.Broadcast || b.Pools[0].First != b.Pools[0].Last {
		t.Errorf("/32: %+v", b)
	}
}

func TestLenient(t *testing.T) {
	text := []byte(`{"Dhcp4":{"control-sockets":[{"socket-type":"http","socket-address":"0.0.0.0"}]}}`)
	if _, err := Parse("l", text, LoadOptions{}); err == nil {
		t.Error("open http control must be refused")
	}
	s, err := Parse("l", text, LoadOptions{Lenient: true})
	if err != nil || len(s.Warnings) != 1 {
		t.Error(err, s)
	}
}

// TestKnownKeys: every key of Kea's DHCPv4 scopes (V4-140 … V4-144) is in the
// tables: served, accepted where it asks for nothing, or refused by name.
func TestKnownKeys(t *testing.T) {
	ddns := ` ddns-send-updates ddns-override-no-update ddns-override-client-update ddns-replace-client-name ddns-generated-prefix ddns-qualifying-suffix
		ddns-update-on-renew ddns-conflict-resolution-mode ddns-use-conflict-resolution ddns-ttl ddns-ttl-percent ddns-ttl-min ddns-ttl-max hostname-char-set hostname-char-replacement user-context comment`
	network := ` valid-lifetime min-valid-lifetime max-valid-lifetime renew-timer rebind-timer option-data match-client-id authoritative next-server server-hostname
		boot-file-name reservations-global reservations-in-subnet reservations-out-of-pool calculate-tee-times t1-percent t2-percent store-extended-info
		cache-threshold cache-max-age allocator offer-lifetime adaptive-lease-time-threshold` + ddns
	for _, c := range []struct {
		s    *scope
		keys string
	}{
		{scopeDhcp4, `decline-probation-period subnet4 shared-networks interfaces-config lease-database hosts-database hosts-databases host-reservation-identifiers
			client-classes option-def hooks-libraries expired-leases-processing dhcp4o6-port control-socket control-sockets dhcp-queue-control dhcp-ddns echo-client-id
			sanity-checks reservations config-control server-tag loggers statistic-default-sample-count statistic-default-sample-age multi-threading
			early-global-reservations-lookup ip-reservations-unique reservations-lookup-first compatibility parked-packet-limit stash-agent-options` + network},
		{scopeSubnet, `subnet id pools reservations 4o6-interface 4o6-interface-id 4o6-subnet interface relay client-class client-classes
			require-client-classes evaluate-additional-classes metadata` + network},
		{scopePool, `pool pool-id option-data client-class client-classes require-client-classes evaluate-additional-classes metadata` + ddns},
		{scopeCompatibility, `lenient-option-parsing ignore-dhcp-server-identifier ignore-rai-link-selection exclude-first-last-24`},
		{scopeReservation, `hw-address duid circuit-id client-id flex-id ip-address hostname option-data next-server server-hostname boot-file-name client-classes user-context comment`},
		{scopeOption, `name code space csv-format data always-send never-send client-classes user-context comment metadata`},
		{scopeClass, `name test template-test option-data option-def next-server server-hostname boot-file-name only-if-required only-in-additional-list
			valid-lifetime min-valid-lifetime max-valid-lifetime offer-lifetime user-context comment`},
		{scopeDDNS, `enable-updates server-ip server-port sender-ip sender-port max-queue-size ncr-protocol ncr-format user-context comment`},
	} {
		for _, k := range strings.Fields(c.keys) {
			if c.s.key(k) == nil {
				t.Errorf("%s has no key %q", c.s.name, k)
			}
		}
	}
}

// TestSanitizersAreShared: ten thousand subnets with one set have one automaton.
func TestSanitizersAreShared(t *testing.T) {
	const sub = `{"id":%,"subnet":"10.%.0.0/16","hostname-char-set":"(_|-)+","hostname-char-replacement":"x"}`
	d := dhcp4Of(t, `"subnet4":[`+strings.ReplaceAll(sub, "%", "1")+","+strings.ReplaceAll(sub, "%", "2")+`]`).Dhcp4
	if a, b := d.Subnets[0].DDNS.Sanitizer, d.Subnets[1].DDNS.Sanitizer; a == nil || a != b {
		t.Errorf("two sanitizers %p and %p", a, b)
	}
}
