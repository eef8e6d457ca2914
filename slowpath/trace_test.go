package slowpath

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// recorder is a log handler that keeps lines as "logger: message".
type recorder struct {
	out   *bytes.Buffer
	name  string
	level slog.Level
}

func (r recorder) Enabled(_ context.Context, l slog.Level) bool { return l >= r.level }
func (r recorder) WithAttrs([]slog.Attr) slog.Handler           { return r }
func (r recorder) WithGroup(n string) slog.Handler              { r.name = n; return r }
func (r recorder) Handle(_ context.Context, x slog.Record) error {
	r.out.WriteString(x.Level.String() + " " + r.name + ": " + x.Message + "\n")
	return nil
}

// traced runs f with a server that logs from level on, and returns the log of f
// alone.
func traced(t *testing.T, level slog.Level, extra string, f func(b *bed)) string {
	var out bytes.Buffer
	b := newBed(t, testConfig("", extra, ""), Options{Log: slog.New(recorder{out: &out, level: level})})
	defer b.close()
	out.Reset()
	f(b)
	return out.String()
}

// TestPacketsAreTracedInKeasWords: what operators look for when a client has
// trouble, at the debug levels of Kea's.
func TestPacketsAreTracedInKeasWords(t *testing.T) {
	mac := netiotest.ClientMAC(1)
	log := traced(t, slog.LevelDebug-99, "", func(b *bed) {
		a := b.lease(mac)
		b.ask(netiotest.Renew(mac, a, serverIP))
		b.ask(netiotest.Request(mac, a+1000, serverIP))
		b.send(netiotest.Release(netiotest.ClientMAC(2), a, serverIP).Frame())
		b.send(netiotest.Decline(netiotest.ClientMAC(2), a, serverIP).Frame())
		b.send(netiotest.Decline(mac, a+7, serverIP).Frame())
		b.send(netiotest.Release(mac, a, serverIP).Frame())
	})
	at := 0
	for _, want := range []string{
		"packets: DHCP4_BUFFER_RECEIVED received buffer from 0.0.0.0:68 to 255.255.255.255:67 over interface dhcp0",
		"options: DHCP4_BUFFER_UNPACK parsing buffer received from 0.0.0.0 to 255.255.255.255 over interface dhcp0",
		"INFO dhcp4: DHCP4_QUERY_LABEL received query: [hwtype=1 ",
		"INFO packets: DHCP4_PACKET_RECEIVED [hwtype=1 ",
		": DHCPDISCOVER (type 1) received from 0.0.0.0 to 255.255.255.255 on interface dhcp0",
		"packets: DHCP4_SUBNET_SELECTED",
		": the subnet with ID 1 was selected for client assignments",
		"hosts: HOSTS_CFG_GET_ONE_SUBNET_ID_IDENTIFIER get one host with IPv4 reservation for subnet id 1, identified by hwaddr=",
		": client packet has been assigned to the following classes: ALL, UNKNOWN",
		": server is processing DHCPDISCOVER with hint=(no hint)",
		"alloc-engine: ALLOC_ENGINE_V4_OFFER_NEW_LEASE",
		"INFO leases: DHCP4_LEASE_OFFER",
		": trying to send packet DHCPOFFER (type 2) from 10.67.0.1:67 to ",
		": server is processing DHCPREQUEST with hint=10.67.1.",
		"dhcpsrv: DHCPSRV_MEMFILE_ADD_ADDR4 adding IPv4 lease with address 10.67.1.",
		"INFO leases: DHCP4_LEASE_ALLOC",
		" has been allocated for 3600 seconds",
		": trying to send packet DHCPACK (type 5) from ",
		"ALLOC_ENGINE_V4_REQUEST_EXTEND_LEASE",
		"INFO leases: DHCP4_LEASE_REUSE",
		"DHCP4_UNKNOWN_ADDRESS_REQUESTED",
		"leases: DHCP4_RELEASE_FAIL_WRONG_CLIENT",
		"WARN dhcp4: DHCP4_DECLINE_LEASE_MISMATCH Received DHCPDECLINE for addr 10.67.1.",
		", but the data doesn't match: received hwaddr: ",
		"WARN dhcp4: DHCP4_DECLINE_LEASE_NOT_FOUND",
		"INFO leases: DHCP4_RELEASE [hwtype=1 ",
		" was released properly.",
		"INFO leases: DHCP4_RELEASE_",
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

// TestDropsAreTraced: every reason that a client can cause is named.
func TestDropsAreTraced(t *testing.T) {
	mac := netiotest.ClientMAC(1)
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"another server", netiotest.Request(mac, serverIP+500, serverIP+77).Frame(), "bad-packets: DHCP4_PACKET_DROP_0003"},
		{"a server's message", netiotest.Discover(mac, netiotest.With(dhcp4.OptMessageType, byte(dhcp4.MsgAck))).Frame(), "bad-packets: DHCP4_PACKET_DROP_0006"},
		{"an unknown type", netiotest.Discover(mac, netiotest.With(dhcp4.OptMessageType, 77)).Frame(), "bad-packets: DHCP4_PACKET_DROP_0005"},
		{"a decline of nothing", netiotest.Decline(mac, 0, serverIP, netiotest.Without(dhcp4.OptRequestedIPAddress)).Frame(),
			"failed to process packet: Mandatory 'Requested IP address' option missing in DHCPDECLINE"},
		{"no subnet", netiotest.Discover(mac, netiotest.Relayed(relayIP+1<<24, serverIP)).Frame(), "packets: DHCP4_SUBNET_SELECTION_FAILED"},
		{"an unknown lease", netiotest.Release(mac, serverIP+500, serverIP).Frame(), "leases: DHCP4_RELEASE_FAIL_NO_LEASE"},
	} {
		log := traced(t, slog.LevelDebug-99, "", func(b *bed) { b.send(c.frame) })
		if !strings.Contains(log, c.want) {
			t.Errorf("%s: the log lacks %q:\n%s", c.name, c.want, log)
		}
	}
}

// TestNoLinesUnasked: at INFO a packet writes nothing, and a flood that Kea warns
// of one line a second.
func TestNoLinesUnasked(t *testing.T) {
	log := traced(t, slog.LevelInfo, "", func(b *bed) {
		b.lease(netiotest.ClientMAC(1))
		for i := range uint32(100) {
			b.send(netiotest.Decline(netiotest.ClientMAC(2+i), serverIP+500, serverIP).Frame())
		}
	})
	if n := strings.Count(log, "\n"); n != 1 || !strings.Contains(log, "DHCP4_DECLINE_LEASE_NOT_FOUND") {
		t.Errorf("%d lines, want one warning:\n%s", n, log)
	}
}
