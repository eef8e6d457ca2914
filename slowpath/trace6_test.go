package slowpath

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// traced6 runs f with a client of a server that logs DHCPv6 from level on, and
// returns the log of f alone.
func traced6(t *testing.T, level slog.Level, f func(c *client6)) string {
	var out bytes.Buffer
	b := newBed(t, testConfig6(t.TempDir(), "", "", false), Options{Log6: slog.New(recorder{out: &out, level: level})})
	defer b.close()
	c := newClient6(b, 1)
	out.Reset()
	f(c)
	return out.String()
}

func message6(t *testing.T, typ dhcpv6.MessageType, from *dhcpv6.Message, mods ...dhcpv6.Modifier) *dhcpv6.Message {
	t.Helper()
	m, err := dhcpv6.NewMessage(mods...)
	if err != nil {
		t.Fatal(err)
	}
	m.MessageType = typ
	for _, o := range from.Options.Options {
		switch o.Code() {
		case dhcpv6.OptionClientID, dhcpv6.OptionServerID, dhcpv6.OptionIANA, dhcpv6.OptionIAPD:
			m.AddOption(o)
		}
	}
	return m
}

// TestDHCPv6IsTracedInKeasWords: see TestPacketsAreTracedInKeasWords.
func TestDHCPv6IsTracedInKeasWords(t *testing.T) {
	log := traced6(t, slog.LevelDebug-99, func(c *client6) {
		rep := c.lease()
		c.ask(message6(t, dhcpv6.MessageTypeRenew, rep))
		other := newClient6(c.b, 2)
		release := message6(t, dhcpv6.MessageTypeRelease, rep)
		release.UpdateOption(dhcpv6.OptClientID(other.duid))
		other.ask(release)
		decline := message6(t, dhcpv6.MessageTypeDecline, rep)
		decline.UpdateOption(dhcpv6.OptClientID(other.duid))
		other.ask(decline)
		c.ask(message6(t, dhcpv6.MessageTypeRelease, rep))
		c.ask(message6(t, dhcpv6.MessageTypeRelease, rep))
	})
	at := 0
	for _, want := range []string{
		"packets: DHCP6_BUFFER_RECEIVED received buffer from fe80::1:1:546 to ff02::1:2:547 over interface dhcp0",
		"options: DHCP6_BUFFER_UNPACK parsing buffer received from fe80::1:1 to ff02::1:2 over interface dhcp0",
		"INFO packets: DHCP6_PACKET_RECEIVED duid=[00:03:00:01:02:00:00:00:01:01], [no hwaddr info], tid=0x",
		": SOLICIT (type 1) received from fe80::1:1 to ff02::1:2 on interface dhcp0",
		"INFO dhcp6: DHCP6_QUERY_LABEL received query: duid=[",
		"packets: DHCP6_SUBNET_SELECTED",
		": the subnet with ID 1 was selected for client assignments",
		"hosts: HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER get one host with IPv6 reservation for subnet id 1, identified by hwaddr=",
		": client packet has been assigned to the following class: UNKNOWN",
		": client packet has been assigned on SOLICIT message to the following classes: ALL, UNKNOWN",
		"leases: DHCP6_PROCESS_IA_NA_SOLICIT",
		": server is processing IA_NA option with iaid=1 and hint=(no hint)",
		"INFO leases: DHCP6_LEASE_ADVERT",
		": lease for address 2001:db8:1::1",
		"INFO leases: DHCP6_PD_LEASE_ADVERT",
		"/56 and iaid=2 will be advertised",
		"INFO packets: DHCP6_PACKET_SEND duid=[00:03:00:01:02:00:00:00:01:01], [no hwaddr info], tid=0x",
		": trying to send packet ADVERTISE (type 2) from [fe80::1]:547 to [fe80::1:1]:546 on interface dhcp0",
		"leases: DHCP6_PROCESS_IA_NA_REQUEST",
		"dhcpsrv: DHCPSRV_MEMFILE_ADD_ADDR6 adding IPv6 lease with address 2001:db8:1::1",
		"INFO leases: DHCP6_LEASE_ALLOC",
		" and iaid=1 has been allocated for 4000 seconds",
		"DHCP6_LEASE_DATA",
		"Hardware addr: 02:00:00:00:01:01, Subnet ID: 1,",
		"DHCP6_PROCESS_IA_NA_EXTEND",
		"INFO leases: DHCP6_LEASE_REUSE",
		"leases: DHCP6_RELEASE_NA_FAIL_WRONG_DUID",
		"leases: DHCP6_DECLINE_FAIL_DUID_MISMATCH",
		"INFO leases: DHCP6_RELEASE_NA duid=[",
		" was released properly",
		"INFO leases: DHCP6_RELEASE_NA_EXPIRED",
		"DHCP6_RELEASE_NA_FAIL_NOT_ASSIGNED",
	} {
		i := strings.Index(log[at:], want)
		if i < 0 {
			t.Fatalf("the log lacks %q after octet %d:\n%s", want, at, log)
		}
		at += i
	}
	if strings.Contains(log, "%!") {
		t.Errorf("a line is malformed:\n%s", log)
	}
}

// TestDHCPv6DropsAreTraced: what a client can cause is named.
func TestDHCPv6DropsAreTraced(t *testing.T) {
	for _, x := range []struct {
		name, want string
		message    func(c *client6) dhcpv6.DHCPv6
	}{
		{"truncated", "bad-packets: DHCP6_PACKET_DROP_PARSE_FAIL", func(*client6) dhcpv6.DHCPv6 { return raw6{1, 2} }},
		{"no client", "Exactly 1 client-id option expected in SOLICIT, but 0 received", func(c *client6) dhcpv6.DHCPv6 {
			m := c.solicit()
			m.Options.Del(dhcpv6.OptionClientID)
			return m
		}},
		{"a server where there must be none", "Server-id option was not expected, but 1 received in SOLICIT", func(c *client6) dhcpv6.DHCPv6 {
			m := c.solicit()
			m.AddOption(dhcpv6.OptServerID(c.b.serverDUID6()))
			return m
		}},
		{"another server", "bad-packets: DHCP6_PACKET_DROP_SERVERID_MISMATCH", func(c *client6) dhcpv6.DHCPv6 {
			m := c.solicit()
			m.AddOption(dhcpv6.OptServerID(c.duid))
			return m
		}},
		{"a server's message", "bad-packets: DHCP6_UNKNOWN_MSG_RECEIVED", func(c *client6) dhcpv6.DHCPv6 {
			m := c.solicit()
			m.MessageType = dhcpv6.MessageTypeAdvertise
			return m
		}},
	} {
		log := traced6(t, slog.LevelDebug-99, func(c *client6) { c.ask(x.message(c)) })
		if !strings.Contains(log, x.want) {
			t.Errorf("%s: the log lacks %q:\n%s", x.name, x.want, log)
		}
	}
}

// serverDUID6 is the server's own.
func (b *bed) serverDUID6() dhcpv6.DUID {
	d, err := dhcpv6.DUIDFromBytes(b.s.six.id)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// TestNoDHCPv6LinesUnasked: at INFO a packet writes nothing.
func TestNoDHCPv6LinesUnasked(t *testing.T) {
	if log := traced6(t, slog.LevelInfo, func(c *client6) { c.lease() }); log != "" {
		t.Errorf("lines that nobody asked for:\n%s", log)
	}
}
