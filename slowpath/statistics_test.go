package slowpath

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// The statistics that Kea 3.3.1 documents for its DHCP servers (the tables of
// dhcp4-srv.rst and dhcp6-srv.rst) and those that its code counts beside them,
// with indexes left out. keaGlobals4 and 6 are there from the start (ST-003).
const (
	keaGlobals4 = `pkt4-received pkt4-discover-received pkt4-offer-received pkt4-request-received pkt4-ack-received pkt4-nak-received
		pkt4-release-received pkt4-decline-received pkt4-inform-received pkt4-lease-query-received pkt4-unknown-received
		pkt4-sent pkt4-offer-sent pkt4-ack-sent pkt4-nak-sent pkt4-lease-query-response-unassigned-sent
		pkt4-lease-query-response-unknown-sent pkt4-lease-query-response-active-sent
		pkt4-service-disabled pkt4-parse-failed pkt4-queue-full pkt4-duplicate pkt4-rfc-violation pkt4-admin-filtered pkt4-not-for-us
		pkt4-processing-failed pkt4-limit-exceeded pkt4-receive-drop
		v4-allocation-fail v4-allocation-fail-shared-network v4-allocation-fail-subnet v4-allocation-fail-no-pools v4-allocation-fail-classes
		v4-reservation-conflicts v4-lease-reuses
		assigned-addresses cumulative-assigned-addresses declined-addresses reclaimed-leases reclaimed-declined-addresses`
	keaScoped4 = `subnet[].total-addresses subnet[].assigned-addresses subnet[].cumulative-assigned-addresses subnet[].declined-addresses
		subnet[].reclaimed-leases subnet[].reclaimed-declined-addresses
		subnet[].v4-allocation-fail subnet[].v4-allocation-fail-shared-network subnet[].v4-allocation-fail-subnet
		subnet[].v4-allocation-fail-no-pools subnet[].v4-allocation-fail-classes subnet[].v4-lease-reuses subnet[].v4-reservation-conflicts
		subnet[].pool[].total-addresses subnet[].pool[].assigned-addresses subnet[].pool[].cumulative-assigned-addresses
		subnet[].pool[].declined-addresses subnet[].pool[].reclaimed-leases subnet[].pool[].reclaimed-declined-addresses`

	keaGlobals6 = `pkt6-received pkt6-solicit-received pkt6-advertise-received pkt6-request-received pkt6-reply-received pkt6-renew-received
		pkt6-rebind-received pkt6-decline-received pkt6-release-received pkt6-infrequest-received pkt6-lease-query-received
		pkt6-dhcpv4-query-received pkt6-dhcpv4-response-received pkt6-addr-reg-inform-received pkt6-addr-reg-reply-received
		pkt6-unknown-received pkt6-sent pkt6-advertise-sent pkt6-reply-sent pkt6-lease-query-reply-sent pkt6-dhcpv4-response-sent
		pkt6-addr-reg-reply-sent
		pkt6-service-disabled pkt6-parse-failed pkt6-queue-full pkt6-duplicate pkt6-rfc-violation pkt6-admin-filtered pkt6-not-for-us
		pkt6-processing-failed pkt6-limit-exceeded pkt6-receive-drop
		v6-allocation-fail v6-allocation-fail-shared-network v6-allocation-fail-subnet v6-allocation-fail-no-pools v6-allocation-fail-classes
		v6-ia-na-lease-reuses v6-ia-pd-lease-reuses
		assigned-nas cumulative-assigned-nas assigned-pds cumulative-assigned-pds cumulative-registered-nas declined-addresses
		reclaimed-leases reclaimed-declined-addresses`
	keaScoped6 = `pkt6-confirm-received pkt6-reconfigure-received
		subnet[].total-nas subnet[].assigned-nas subnet[].cumulative-assigned-nas
		subnet[].total-pds subnet[].assigned-pds subnet[].cumulative-assigned-pds
		subnet[].registered-nas subnet[].cumulative-registered-nas
		subnet[].declined-addresses subnet[].reclaimed-leases subnet[].reclaimed-declined-addresses
		subnet[].v6-allocation-fail subnet[].v6-allocation-fail-shared-network subnet[].v6-allocation-fail-subnet
		subnet[].v6-allocation-fail-no-pools subnet[].v6-allocation-fail-classes
		subnet[].v6-ia-na-lease-reuses subnet[].v6-ia-pd-lease-reuses
		subnet[].pool[].total-nas subnet[].pool[].assigned-nas subnet[].pool[].cumulative-assigned-nas
		subnet[].pool[].declined-addresses subnet[].pool[].reclaimed-leases subnet[].pool[].reclaimed-declined-addresses
		subnet[].pd-pool[].total-pds subnet[].pd-pool[].assigned-pds subnet[].pd-pool[].cumulative-assigned-pds
		subnet[].pd-pool[].reclaimed-leases`
)

// still are statistics that never change here, and why.
var still = map[string]string{
	"pkt4-lease-query-response-unassigned-sent": "lease queries are not answered",
	"pkt4-lease-query-response-unknown-sent":    "lease queries are not answered",
	"pkt4-lease-query-response-active-sent":     "lease queries are not answered",
	"pkt6-lease-query-reply-sent":               "lease queries are not answered",
	"pkt6-dhcpv4-response-sent":                 "DHCPv4-over-DHCPv6 is not served",
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// keaStatistics follows statistics through a test.
type keaStatistics struct {
	b       *bed
	f       *family
	last    map[string]string
	changed map[string]bool // names without indexes
}

func newKeaStatistics(b *bed, f *family) *keaStatistics {
	k := &keaStatistics{b: b, f: f, changed: map[string]bool{}}
	k.last = k.values()
	return k
}

func (k *keaStatistics) values() map[string]string {
	k.b.t.Helper()
	_, _, raw, err := k.f.run("statistic-get-all", nil)
	if err != nil {
		k.b.t.Fatal(err)
	}
	var samples map[string][][]json.RawMessage
	if err := json.Unmarshal(raw, &samples); err != nil {
		k.b.t.Fatal(err)
	}
	out := map[string]string{}
	for name, ss := range samples {
		if len(ss) == 0 || len(ss[0]) != 2 {
			k.b.t.Fatalf("%s is %s", name, samples[name])
		}
		out[name] = string(ss[0][0])
	}
	return out
}

// after runs f and wants these statistics, and no others, to change: "NAME+1",
// "NAME-1" or "NAME=VALUE".
func (k *keaStatistics) after(what string, f func(), want string) {
	k.b.t.Helper()
	f()
	now := k.values()
	var got []string
	for name, v := range now {
		was, had := k.last[name]
		if had && was == v || !had && v == "0" {
			continue
		}
		k.changed[indexes.ReplaceAllString(name, "[]")] = true
		var a, b int64
		if _, err := fmt.Sscan(was+" "+v, &a, &b); !had || err != nil {
			got = append(got, name+"="+v)
		} else {
			got = append(got, fmt.Sprintf("%s%+d", name, b-a))
		}
	}
	k.last = now
	slices.Sort(got)
	wanted := strings.Fields(want)
	slices.Sort(wanted)
	if !slices.Equal(got, wanted) {
		k.b.t.Errorf("%s: changed are\n\t%s\nwant\n\t%s", what, strings.Join(got, " "), strings.Join(wanted, " "))
	}
}

func (k *keaStatistics) command(name, args string) {
	k.b.t.Helper()
	r, text, _, err := k.f.run(name, json.RawMessage(args))
	if err != nil || r != control.ResultSuccess {
		k.b.t.Fatalf("%s %s: %d %s %v", name, args, r, text, err)
	}
}

// complete wants every statistic of the lists to have changed, but for those that
// cannot, and no others to be there.
func (k *keaStatistics) complete(globals, scoped string) {
	k.b.t.Helper()
	known := map[string]bool{}
	for name := range strings.FieldsSeq(globals + " " + scoped) {
		known[name] = true
		if why := still[name]; k.changed[name] == (why != "") {
			k.b.t.Errorf("%s: changed %v (%s)", name, k.changed[name], why)
		}
	}
	names := map[string]bool{}
	for name := range k.last {
		names[indexes.ReplaceAllString(name, "[]")] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !known[name] {
			k.b.t.Errorf("%s is there, and Kea has none of that name", name)
		}
	}
}

// atStart wants the global statistics to be there, with value 0.
func (k *keaStatistics) atStart(globals string) {
	k.b.t.Helper()
	for name := range strings.FieldsSeq(globals) {
		if v, there := k.last[name]; !there || v != "0" {
			k.b.t.Errorf("%s is %q at the start, want 0", name, v)
		}
	}
}

// fateLibrary does to a query what the last octet of its client says.
type fateLibrary struct{ parked *hooks.Parking }

const (
	fatePark  = 0xa0 // until the end
	fateLimit = 0xa1
)

func (*fateLibrary) Name() string { return "fate" }
func (*fateLibrary) Close() error { return nil }
func (l *fateLibrary) Load(env *hooks.Env, _ json.RawMessage) error {
	if env.Config6() != nil {
		env.On6(hooks.Subnet6Select, func(q *hooks.Query6) hooks.Status {
			duid := q.Msg.ClientID()
			switch duid[len(duid)-1] {
			case fatePark:
				q.Park(q.NowUnixNs + 1e12)
				return hooks.Park
			case fateLimit:
				q.SetDropReason(hooks.DropLimitExceeded)
				return hooks.Drop
			}
			return hooks.Continue
		})
		return nil
	}
	env.On(hooks.Subnet4Select, func(q *hooks.Query4) hooks.Status {
		switch q.Msg.CHAddr()[5] {
		case fatePark:
			q.Park(q.NowUnixNs + 1e12)
			return hooks.Park
		case fateLimit:
			q.SetDropReason(hooks.DropLimitExceeded)
			return hooks.Drop
		}
		return hooks.Continue
	})
	return nil
}

// libraries are the real ones and one that does what the test says.
func fateOptions() Options {
	o := hookOptions()
	real := o.Hooks
	o.Hooks = func(name string) hooks.Library {
		if name == "fate" {
			return &fateLibrary{}
		}
		return real(name)
	}
	return o
}

// Every statistic that Kea has for DHCPv4 is there under its name, and changes
// when it should, and only then (ST-010 to ST-016).
func TestStatisticsOfKea4(t *testing.T) {
	four := `{ "Dhcp4": { "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": false },
		"valid-lifetime": 4000, "cache-threshold": 0.25, "parked-packet-limit": 1, "authoritative": true, ` + librariesKey("lease_cmds", "subnet_cmds", "host_cmds", "fate") + `
		"client-classes": [ { "name": "DROP", "test": "pkt4.mac == 0x02c1000000dd" } ],
		"shared-networks": [ { "name": "net", "subnet4": [ { "id": 3, "subnet": "10.69.0.0/24", "pools": [ { "pool": "10.69.0.5/32" } ] } ] } ],
		"subnet4": [ { "id": 1, "subnet": "10.67.0.0/16", "pools": [ { "pool": "10.67.1.0/28" } ] },
			{ "id": 2, "subnet": "10.68.0.0/24", "pools": [ { "pool": "10.68.0.5/32", "pool-id": 9 } ] },
			{ "id": 4, "subnet": "10.70.0.0/24" } ] }, "Dataplane": { "lease-directory": "/nowhere" } }`
	b := newBed(t, four, fateOptions())
	defer b.close()
	k := newKeaStatistics(b, b.s.family)
	k.atStart(keaGlobals4)
	mac := func(i byte) netiotest.MAC { return netiotest.MAC{2, 0xc1, 0, 0, 0, i} }
	addr := func(s string) dhcp4.IPv4 { return dhcp4.AddrFromNetip(netip.MustParseAddr(s)) }
	via := func(giaddr string) netiotest.Option { return netiotest.Relayed(addr(giaddr), serverIP) }
	send := func(q *netiotest.Query) func() { return func() { t.Helper(); b.ask(q) } }

	k.after("DISCOVER", send(netiotest.Discover(mac(1))), "pkt4-received+1 pkt4-discover-received+1 pkt4-sent+1 pkt4-offer-sent+1")
	k.after("REQUEST", send(netiotest.Request(mac(1), addr("10.67.1.0"), serverIP)),
		`pkt4-received+1 pkt4-request-received+1 pkt4-sent+1 pkt4-ack-sent+1 assigned-addresses+1 cumulative-assigned-addresses+1
		subnet[1].assigned-addresses+1 subnet[1].cumulative-assigned-addresses+1 subnet[1].pool[0].assigned-addresses+1 subnet[1].pool[0].cumulative-assigned-addresses+1`)
	k.after("a renewal that is answered from the lease", send(netiotest.Renew(mac(1), addr("10.67.1.0"), serverIP)),
		"pkt4-received+1 pkt4-request-received+1 pkt4-sent+1 pkt4-ack-sent+1 v4-lease-reuses+1 subnet[1].v4-lease-reuses+1")
	k.after("REQUEST of another's address", send(netiotest.Request(mac(2), addr("10.67.1.0"), serverIP)),
		"pkt4-received+1 pkt4-request-received+1 pkt4-sent+1 pkt4-nak-sent+1")
	k.after("INFORM", send(netiotest.Inform(mac(3), addr("10.67.9.9"))), "pkt4-received+1 pkt4-inform-received+1 pkt4-sent+1 pkt4-ack-sent+1")
	k.after("DECLINE", send(netiotest.Decline(mac(1), addr("10.67.1.0"), serverIP)),
		"pkt4-received+1 pkt4-decline-received+1 declined-addresses+1 subnet[1].declined-addresses+1 subnet[1].pool[0].declined-addresses+1")
	k.after("a lease by relay", func() { b.lease(mac(4), via("10.68.0.1")) },
		`pkt4-received+2 pkt4-discover-received+1 pkt4-request-received+1 pkt4-sent+2 pkt4-offer-sent+1 pkt4-ack-sent+1
		assigned-addresses+1 cumulative-assigned-addresses+1 subnet[2].assigned-addresses+1 subnet[2].cumulative-assigned-addresses+1
		subnet[2].pool[9].assigned-addresses+1 subnet[2].pool[9].cumulative-assigned-addresses+1`)
	k.after("no address left", send(netiotest.Discover(mac(5), via("10.68.0.1"))),
		`pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 v4-allocation-fail+1 v4-allocation-fail-subnet+1 v4-allocation-fail-classes+1
		subnet[2].v4-allocation-fail+1 subnet[2].v4-allocation-fail-subnet+1 subnet[2].v4-allocation-fail-classes+1`)
	k.after("no pools", send(netiotest.Discover(mac(5), via("10.70.0.1"))),
		`pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 v4-allocation-fail-no-pools+1 v4-allocation-fail-subnet+1 v4-allocation-fail-classes+1
		subnet[4].v4-allocation-fail-no-pools+1 subnet[4].v4-allocation-fail-subnet+1 subnet[4].v4-allocation-fail-classes+1`)
	b.lease(mac(6), via("10.69.0.1"))
	k.last = k.values()
	k.after("no address left in a shared network", send(netiotest.Discover(mac(7), via("10.69.0.1"))),
		`pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 v4-allocation-fail+1 v4-allocation-fail-shared-network+1 v4-allocation-fail-classes+1
		subnet[3].v4-allocation-fail+1 subnet[3].v4-allocation-fail-shared-network+1 subnet[3].v4-allocation-fail-classes+1`)
	k.after("RELEASE", send(netiotest.Release(mac(4), addr("10.68.0.5"), serverIP, via("10.68.0.1"))),
		"pkt4-received+1 pkt4-release-received+1 assigned-addresses-1 subnet[2].assigned-addresses-1 subnet[2].pool[9].assigned-addresses-1")

	taken := b.lease(mac(8))
	k.command("reservation-add", fmt.Sprintf(`{"reservation": {"subnet-id": 1, "hw-address": "02:c1:00:00:00:09", "ip-address": "%v"}, "operation-target": "memory"}`, taken))
	k.last = k.values()
	k.after("a reserved address is somebody else's", send(netiotest.Discover(mac(9))),
		"pkt4-received+1 pkt4-discover-received+1 pkt4-sent+1 pkt4-offer-sent+1 v4-reservation-conflicts+1 subnet[1].v4-reservation-conflicts+1")

	// What expired in 2023: one that was assigned, one that was declined.
	k.command("lease4-add", `{"ip-address": "10.67.1.12", "hw-address": "02:c1:00:00:00:33", "valid-lft": 10, "expire": 1700000000}`)
	k.command("lease4-add", `{"ip-address": "10.67.1.13", "hw-address": "02:c1:00:00:00:34", "valid-lft": 10, "expire": 1700000000, "state": 1}`)
	k.last = k.values()
	k.after("reclamation", func() { k.command("leases-reclaim", `{"remove": true}`) },
		`assigned-addresses-2 declined-addresses-1 reclaimed-leases+2 reclaimed-declined-addresses+1
		subnet[1].assigned-addresses-2 subnet[1].declined-addresses-1 subnet[1].reclaimed-leases+2 subnet[1].reclaimed-declined-addresses+1
		subnet[1].pool[0].assigned-addresses-2 subnet[1].pool[0].declined-addresses-1 subnet[1].pool[0].reclaimed-leases+2 subnet[1].pool[0].reclaimed-declined-addresses+1`)
	k.after("another pool", func() {
		k.command("subnet4-delta-add", `{"subnet4": [{"id": 1, "subnet": "10.67.0.0/16", "pools": [{"pool": "10.67.2.0/28"}]}]}`)
	}, "subnet[1].total-addresses+16 subnet[1].pool[0].total-addresses+16")

	// Messages that are a server's, and unknown ones.
	for typ, name := range map[byte]string{2: "offer", 5: "ack", 6: "nak", 10: "lease-query", 99: "unknown"} {
		q := netiotest.Discover(mac(10), netiotest.With(dhcp4.OptMessageType, typ))
		k.after(name, send(q), "pkt4-received+1 pkt4-receive-drop+1 pkt4-rfc-violation+1 pkt4-"+name+"-received+1")
	}
	k.after("DISCOVER with a server identifier", send(netiotest.Discover(mac(10), netiotest.WithIP(dhcp4.OptServerIdentifier, serverIP))),
		"pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-rfc-violation+1")
	k.after("another server's", send(netiotest.Request(mac(10), addr("10.67.1.9"), addr("192.0.2.1"))),
		"pkt4-received+1 pkt4-request-received+1 pkt4-receive-drop+1 pkt4-not-for-us+1")
	k.after("class DROP", send(netiotest.Discover(mac(0xdd))), "pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-admin-filtered+1")
	k.after("no message", func() {
		f := netiotest.Discover(mac(10)).Frame()
		f[14+20+8+236] ^= 0xff // the cookie
		f[14+20+6], f[14+20+7] = 0, 0
		b.send(f)
	}, "pkt4-received+1 pkt4-receive-drop+1 pkt4-parse-failed+1")
	k.after("a client identifier that is too long", send(netiotest.Discover(mac(10), netiotest.WithClientID(7))),
		"pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-processing-failed+1")
	k.command("dhcp-disable", "{}")
	k.after("service disabled", send(netiotest.Discover(mac(10))), "pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-service-disabled+1")
	k.command("dhcp-enable", "{}")
	k.after("a library's limit", send(netiotest.Discover(mac(fateLimit))), "pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-limit-exceeded+1")
	k.after("a query is parked", send(netiotest.Discover(mac(fatePark))), "pkt4-received+1 pkt4-discover-received+1")
	k.after("the same client meanwhile", send(netiotest.Discover(mac(fatePark))), "pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-duplicate+1")
	k.after("no room to park another one", func() {
		m := mac(fatePark)
		m[4] = 1
		b.ask(netiotest.Discover(m))
	}, "pkt4-received+1 pkt4-discover-received+1 pkt4-receive-drop+1 pkt4-queue-full+1")
	k.after("a subnet is removed", func() { k.command("subnet4-del", `{"id": 1}`) },
		"assigned-addresses-2 declined-addresses-1") // what was assigned in all is not less for it
	k.complete(keaGlobals4, keaScoped4)
}

// The same of DHCPv6 (ST-020 to ST-027).
func TestStatisticsOfKea6(t *testing.T) {
	four := ""
	extra := librariesKey("lease_cmds", "subnet_cmds", "host_cmds", "fate") + `"parked-packet-limit": 1, "cache-threshold": 0.25,
		"client-classes": [ { "name": "DROP", "test": "substring(option[1].hex, 9, 1) == 0xdd" } ],`
	b := newBed(t, testConfig6(t.TempDir(), four, extra, false), fateOptions())
	defer b.close()
	k := newKeaStatistics(b, b.s.six.family)
	k.atStart(keaGlobals6)
	reach := func(c *client6, typ dhcpv6.MessageType, reply *dhcpv6.Message, server bool) func() {
		return func() {
			t.Helper()
			m, err := dhcpv6.NewMessage(dhcpv6.WithClientID(c.duid))
			if err != nil {
				t.Fatal(err)
			}
			m.MessageType = typ
			if server {
				m.AddOption(dhcpv6.OptServerID(reply.Options.ServerID()))
			}
			if reply != nil {
				for _, ia := range reply.Options.IANA() {
					m.AddOption(ia)
				}
				for _, ia := range reply.Options.IAPD() {
					m.AddOption(ia)
				}
			}
			c.ask(m)
		}
	}
	one := newClient6(b, 1)
	var reply *dhcpv6.Message
	k.after("a lease", func() { reply = one.lease() },
		`pkt6-received+2 pkt6-solicit-received+1 pkt6-request-received+1 pkt6-sent+2 pkt6-advertise-sent+1 pkt6-reply-sent+1
		assigned-nas+1 assigned-pds+1 cumulative-assigned-nas+1 cumulative-assigned-pds+1
		subnet[1].assigned-nas+1 subnet[1].assigned-pds+1 subnet[1].cumulative-assigned-nas+1 subnet[1].cumulative-assigned-pds+1
		subnet[1].pool[0].assigned-nas+1 subnet[1].pool[0].cumulative-assigned-nas+1 subnet[1].pd-pool[0].assigned-pds+1 subnet[1].pd-pool[0].cumulative-assigned-pds+1`)
	k.after("RENEW", reach(one, dhcpv6.MessageTypeRenew, reply, true),
		`pkt6-received+1 pkt6-renew-received+1 pkt6-sent+1 pkt6-reply-sent+1 v6-ia-na-lease-reuses+1 v6-ia-pd-lease-reuses+1
		subnet[1].v6-ia-na-lease-reuses+1 subnet[1].v6-ia-pd-lease-reuses+1`)
	k.after("REBIND", reach(one, dhcpv6.MessageTypeRebind, reply, false),
		`pkt6-received+1 pkt6-rebind-received+1 pkt6-sent+1 pkt6-reply-sent+1 v6-ia-na-lease-reuses+1 v6-ia-pd-lease-reuses+1
		subnet[1].v6-ia-na-lease-reuses+1 subnet[1].v6-ia-pd-lease-reuses+1`)
	k.after("CONFIRM", reach(one, dhcpv6.MessageTypeConfirm, reply, false), "pkt6-received+1 pkt6-confirm-received+1 pkt6-sent+1 pkt6-reply-sent+1")
	k.after("INFORMATION-REQUEST", reach(one, dhcpv6.MessageTypeInformationRequest, nil, false), "pkt6-received+1 pkt6-infrequest-received+1 pkt6-sent+1 pkt6-reply-sent+1")
	k.after("DECLINE", reach(one, dhcpv6.MessageTypeDecline, &dhcpv6.Message{Options: onlyNA(reply)}, true),
		`pkt6-received+1 pkt6-decline-received+1 pkt6-sent+1 pkt6-reply-sent+1 declined-addresses+1 subnet[1].declined-addresses+1 subnet[1].pool[0].declined-addresses+1`)
	two := newClient6(b, 2)
	reply = two.lease()
	k.last = k.values()
	k.after("RELEASE", reach(two, dhcpv6.MessageTypeRelease, reply, true),
		`pkt6-received+1 pkt6-release-received+1 pkt6-sent+1 pkt6-reply-sent+1 assigned-nas-1 assigned-pds-1 subnet[1].assigned-nas-1 subnet[1].assigned-pds-1
		subnet[1].pool[0].assigned-nas-1 subnet[1].pd-pool[0].assigned-pds-1`)

	// RFC 9686: a client registers the address that it made itself.
	three := newClient6(b, 3)
	three.src = netip.MustParseAddr("2001:db8:1::77").As16()
	k.after("ADDR-REG-INFORM", func() {
		m, err := dhcpv6.NewMessage(dhcpv6.WithClientID(three.duid))
		if err != nil {
			t.Fatal(err)
		}
		m.MessageType = 36
		m.AddOption(&dhcpv6.OptIAAddress{IPv6Addr: net.IP(three.src[:]), PreferredLifetime: 1e12, ValidLifetime: 2e12})
		three.ask(m)
	}, `pkt6-received+1 pkt6-addr-reg-inform-received+1 pkt6-sent+1 pkt6-addr-reg-reply-sent+1 cumulative-registered-nas+1
		subnet[1].registered-nas+1 subnet[1].cumulative-registered-nas+1`)

	k.after("a pool of 2^64 addresses more", func() {
		k.command("subnet6-delta-add", `{"subnet6": [{"id": 1, "subnet": "2001:db8:1::/64", "pd-pools": [{"prefix": "2001:db8:c000::", "prefix-len": 40, "delegated-len": 56, "pool-id": 5}]}]}`)
	}, "subnet[1].total-pds+65536 subnet[1].pd-pool[5].total-pds=65536")
	k.after("a subnet with all of its addresses in a pool", func() {
		k.command("subnet6-add", `{"subnet6": [{"id": 2, "subnet": "2001:db8:2::/48", "pools": [{"pool": "2001:db8:2::/48"}], "pd-pools": [{"prefix": "2001:db8:d000::", "prefix-len": 36, "delegated-len": 128}]}]}`)
	}, `subnet[2].total-nas=1208925819614629174706176 subnet[2].pool[0].total-nas=1208925819614629174706176
		subnet[2].total-pds=4951760157141521099596496896 subnet[2].pd-pool[0].total-pds=4951760157141521099596496896`)

	k.command("lease6-add", `{"subnet-id": 1, "ip-address": "2001:db8:1::1a0", "duid": "00:03:00:01:02:00:00:00:01:33", "iaid": 1, "valid-lft": 10, "expire": 1700000000}`)
	k.command("lease6-add", `{"subnet-id": 1, "ip-address": "2001:db8:1::1a1", "duid": "00:03:00:01:02:00:00:00:01:34", "iaid": 1, "valid-lft": 10, "expire": 1700000000, "state": 1}`)
	k.command("lease6-add", `{"subnet-id": 1, "type": "IA_PD", "ip-address": "2001:db8:80aa::", "prefix-len": 56, "duid": "00:03:00:01:02:00:00:00:01:35", "iaid": 1, "valid-lft": 10, "expire": 1700000000}`)
	k.last = k.values()
	k.after("reclamation", func() { k.command("leases-reclaim", `{"remove": true}`) },
		`assigned-nas-2 assigned-pds-1 declined-addresses-1 reclaimed-leases+3 reclaimed-declined-addresses+1
		subnet[1].assigned-nas-2 subnet[1].assigned-pds-1 subnet[1].declined-addresses-1 subnet[1].reclaimed-leases+3 subnet[1].reclaimed-declined-addresses+1
		subnet[1].pool[0].assigned-nas-2 subnet[1].pool[0].declined-addresses-1 subnet[1].pool[0].reclaimed-leases+2 subnet[1].pool[0].reclaimed-declined-addresses+1
		subnet[1].pd-pool[0].assigned-pds-1 subnet[1].pd-pool[0].reclaimed-leases+1`)

	// What is not answered. Drops of a message that names no server have no other reason.
	four6 := newClient6(b, 4)
	for typ, name := range map[dhcpv6.MessageType]string{2: "advertise", 7: "reply", 10: "reconfigure", 14: "lease-query", 20: "dhcpv4-query",
		21: "dhcpv4-response", 37: "addr-reg-reply", 99: "unknown"} {
		k.after(name, reach(four6, typ, nil, false), "pkt6-received+1 pkt6-receive-drop+1 pkt6-"+name+"-received+1")
	}
	k.after("REQUEST without a server identifier", reach(four6, dhcpv6.MessageTypeRequest, nil, false),
		"pkt6-received+1 pkt6-request-received+1 pkt6-receive-drop+1 pkt6-rfc-violation+1")
	k.after("another server's", func() {
		other := &dhcpv6.Message{}
		other.AddOption(dhcpv6.OptServerID(four6.duid))
		reach(four6, dhcpv6.MessageTypeRequest, other, true)()
	}, "pkt6-received+1 pkt6-request-received+1 pkt6-receive-drop+1 pkt6-not-for-us+1")
	k.after("class DROP", reach(newClient6(b, 0xdd), dhcpv6.MessageTypeSolicit, nil, false), "pkt6-received+1 pkt6-solicit-received+1 pkt6-receive-drop+1 pkt6-admin-filtered+1")
	k.after("no message", func() { b.send(four6.frame(raw6{1, 0, 0})) }, "pkt6-received+1 pkt6-receive-drop+1 pkt6-parse-failed+1")
	k.command("dhcp-disable", "{}")
	k.after("service disabled", reach(four6, dhcpv6.MessageTypeSolicit, nil, false), "pkt6-received+1 pkt6-solicit-received+1 pkt6-receive-drop+1 pkt6-service-disabled+1")
	k.command("dhcp-enable", "{}")
	k.after("a library's limit", reach(newClient6(b, fateLimit), dhcpv6.MessageTypeSolicit, nil, false),
		"pkt6-received+1 pkt6-solicit-received+1 pkt6-receive-drop+1 pkt6-limit-exceeded+1")
	parked := newClient6(b, fatePark)
	k.after("a query is parked", reach(parked, dhcpv6.MessageTypeSolicit, nil, false), "pkt6-received+1 pkt6-solicit-received+1")
	k.after("the same client meanwhile", reach(parked, dhcpv6.MessageTypeSolicit, nil, false), "pkt6-received+1 pkt6-solicit-received+1 pkt6-receive-drop+1 pkt6-duplicate+1")
	parked.duid.(*dhcpv6.DUIDLL).LinkLayerAddr[0] = 6
	k.after("no room to park another one", reach(parked, dhcpv6.MessageTypeSolicit, nil, false),
		"pkt6-received+1 pkt6-solicit-received+1 pkt6-receive-drop+1 pkt6-queue-full+1")

	// No addresses and no prefixes left, then no pools, then both in a shared network.
	fail := func(what, subnet, where, why string) {
		t.Helper()
		want := "pkt6-received+1 pkt6-solicit-received+1 pkt6-sent+1 pkt6-advertise-sent+1"
		for _, name := range []string{why, where, "v6-allocation-fail-classes"} {
			want += fmt.Sprintf(" %s+2 subnet[%s].%s+2", name, subnet, name)
		}
		k.after(what, func() { four6.ask(four6.solicit()) }, want)
	}
	k.command("subnet6-update", `{"subnet6": [{"id": 1, "subnet": "2001:db8:1::/64", "interface": "dhcp0",
		"pools": [{"pool": "2001:db8:1::1/128"}], "pd-pools": [{"prefix": "2001:db8:f000::", "prefix-len": 56, "delegated-len": 56}]}]}`)
	newClient6(b, 5).lease()
	k.last = k.values()
	fail("no leases left", "1", "v6-allocation-fail-subnet", "v6-allocation-fail")
	k.command("subnet6-update", `{"subnet6": [{"id": 1, "subnet": "2001:db8:1::/64", "interface": "dhcp0"}]}`)
	k.last = k.values()
	fail("no pools", "1", "v6-allocation-fail-subnet", "v6-allocation-fail-no-pools")
	k.command("network6-add", `{"shared-networks": [{"name": "net", "interface": "dhcp0"}]}`)
	k.command("network6-subnet-add", `{"name": "net", "id": 1}`)
	k.last = k.values()
	fail("no pools in a shared network", "1", "v6-allocation-fail-shared-network", "v6-allocation-fail-no-pools")
	k.after("a subnet is removed", func() { k.command("network6-del", `{"name": "net", "subnets-action": "delete"}`) },
		"assigned-nas-2 assigned-pds-2 declined-addresses-1") // what was assigned in all is not less for it
	for name := range k.last {
		if strings.HasPrefix(name, "subnet[1].") {
			t.Errorf("%s is there after its subnet", name)
		}
	}
	k.after("no subnet for a prefix", reach(one, dhcpv6.MessageTypeRebind, reply, false),
		"pkt6-received+1 pkt6-rebind-received+1 pkt6-receive-drop+1 pkt6-processing-failed+1")
	k.after("no subnet", func() { four6.ask(four6.solicit()) }, "pkt6-received+1 pkt6-solicit-received+1 pkt6-sent+1 pkt6-advertise-sent+1")
	k.complete(keaGlobals6, keaScoped6)
}

// onlyNA are the IA_NAs of a message and its server identifier.
func onlyNA(m *dhcpv6.Message) (o dhcpv6.MessageOptions) {
	o.Options.Add(dhcpv6.OptServerID(m.Options.ServerID()))
	for _, ia := range m.Options.IANA() {
		o.Options.Add(ia)
	}
	return o
}
