package leasefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func randomLease6(r *rand.Rand, n int) *lease6.Lease6 {
	l := &lease6.Lease6{Addr: lease6.IPv6{0x20, 1, 0xD, 0xB8, 12: 1, 14: byte(n >> 8), 15: byte(n)}, PrefixLen: 128, IAID: r.Uint32(),
		SubnetID: r.Uint32() >> r.IntN(32), PoolID: r.Uint32() >> r.IntN(32), CLTTUnixS: 1_700_000_000 + int64(r.IntN(1e8)),
		PreferredLifetimeS: r.Uint32(), ValidLifetimeS: 1 + r.Uint32N(1e6), State: lease.State(r.IntN(5)), FQDNFwd: r.IntN(2) == 0, FQDNRev: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		l.Type, l.PrefixLen = lease6.TypePD, uint8(1+r.IntN(128))
	}
	if r.IntN(10) == 0 {
		l.ValidLifetimeS = lease.InfiniteLifetime
	}
	octets := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	if l.State != lease.StateDeclined {
		l.SetID(append([]byte{0, 1}, octets(1+r.IntN(lease6.MaxDUIDLen-2))...))
	}
	if r.IntN(2) == 0 {
		l.SetHW(uint16(1+r.IntN(300)), octets(1+r.IntN(lease6.MaxHWAddrLen)), lease6.HWSource(1<<r.IntN(8)))
	}
	if r.IntN(2) == 0 {
		l.SetHost(octets(r.IntN(256)))
	}
	if r.IntN(3) == 0 {
		l.UserContext = fmt.Sprintf(`{"a":"x,y","n":[%d]}`, r.IntN(100))
	}
	if r.IntN(3) == 0 {
		relay := lease6.Relay{Hop: byte(r.IntN(32)), Link: l.Addr, Peer: lease6.IPv6{0xFE, 0x80, 15: 9}, Options: append([]byte{0, 37, 0, 6, 0, 0, 1, 2, 3, 4, 0, 53, 0, 3}, octets(3)...)}
		info := lease6.AppendRelay(nil, &relay)
		l.SetRelays(lease6.AppendRelay(info, &lease6.Relay{Hop: 1}))
	}
	return l
}

// TestRows6 pins rows and headers (LS-002).
func TestRows6(t *testing.T) {
	if Header6 != "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id" {
		t.Error(Header6)
	}
	l := &lease6.Lease6{Addr: lease6.IPv6{0x20, 1, 0xD, 0xB8, 15: 1}, PrefixLen: 128, IAID: 7, SubnetID: 8, PoolID: 3, CLTTUnixS: 1000, PreferredLifetimeS: 20, ValidLifetimeS: 40, FQDNFwd: true, UserContext: `{"a":1}`}
	l.SetID([]byte{0, 1, 2, 3})
	l.SetHost([]byte("a,b"))
	l.SetHW(6, []byte{1, 0xAB}, lease6.HWSourceDUID)
	pd := &lease6.Lease6{Addr: lease6.IPv6{0x3F, 0xFE, 4: 1}, Type: lease6.TypePD, PrefixLen: 56, State: lease.StateDeclined, ValidLifetimeS: 1, UserContext: "no map"}
	relayed := *l
	relayed.SetRelays(lease6.AppendRelay(nil, &lease6.Relay{Hop: 1, Link: l.Addr, Options: []byte{0, 37, 0, 5, 0, 0, 0, 9, 0xAB, 0, 53, 0, 1, 0xCD}}))
	for _, c := range []struct {
		l    *lease6.Lease6
		want string
	}{
		{l, "2001:db8::1,00:01:02:03,40,1040,8,20,0,7,128,1,0,a&#x2cb,01:ab,0,{\"a\":1},6,2,3\n"},
		{pd, "3ffe:0:100::,00:00:00,1,1,0,0,2,0,56,0,0,,,1,,0,0,0\n"},
		{&relayed, "2001:db8::1,00:01:02:03,40,1040,8,20,0,7,128,1,0,a&#x2cb,01:ab,0," +
			strings.ReplaceAll(`{"ISC":{"relay-info":[{"hop":1,"link":"2001:db8::1","options":"0x0025000500000009AB00350001CD","peer":"::","relay-id":"CD","remote-id":"00000009AB"}]},"a":1}`, ",", "&#x2c") + ",6,2,3\n"},
	} {
		if got := string(AppendRow6(nil, c.l)); got != c.want {
			t.Errorf("got  %swant %s", got, c.want)
		}
	}
	if got := string(AppendDeletion6(nil, pd)); !strings.Contains(got, ",0,0,0,") {
		t.Error(got)
	}
	if Writable6(&lease6.Lease6{}) || !Writable6(l) || !Writable6(pd) || Writable6(&lease6.Lease6{State: lease.StateOffered, DUIDLen: 9}) {
		t.Error("Writable6")
	}
}

// TestRoundTrip6: what is written reads back equal, octet by octet.
func TestRoundTrip6(t *testing.T) {
	r := newRand(t)
	text := AppendHeader6(nil)
	var want []lease6.Lease6
	for n := range 2000 {
		l := randomLease6(r, n)
		want = append(want, *l)
		text = AppendRow6(text, l)
	}
	in, err := NewReader6(bytes.NewReader(text), "f")
	if err != nil || in.Schema() != SchemaCurrent {
		t.Fatal(err)
	}
	for i := range want {
		var got lease6.Lease6
		if err := in.Next(&got); err != nil || got != want[i] {
			t.Fatalf("row %d: %v: %+v, want %+v", i, err, got, want[i])
		}
	}
	var l lease6.Lease6
	if err := in.Next(&l); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestReader6 reads rows of every schema, and bad ones, one after the other.
func TestReader6(t *testing.T) {
	columns := strings.Split(Header6, ",")
	row := "2001:db8::1,00:01:02,40,1040,8,20,0,7,64,0,1,Host,01:02,1,{},5,2,9"
	for n := minColumns6; n <= numColumns6; n++ {
		fields := strings.Split(row, ",")[:n]
		in, err := NewReader6(strings.NewReader(strings.Join(columns[:n], ",")+"\n"+strings.Join(fields, ",")), "f")
		if err != nil {
			t.Fatal(err)
		}
		var l lease6.Lease6
		if err := in.Next(&l); err != nil || l.CLTTUnixS != 1000 || l.PrefixLen != 128 || string(l.Host()) != "Host" || in.Schema() == SchemaOlder != (n < numColumns6) {
			t.Errorf("%d columns: %+v, %v", n, l, err)
		}
		// What a file has not has its default (Kea's upgrade).
		if hw := n > col6HWAddr; (l.HWLen == 2) != hw || hw && n <= col6HWType && l.HWType != 1 || (l.State == lease.StateDeclined) != (n > col6State) ||
			n > col6HWAddrSource && (l.HWType != 5 || l.HWSource != 2) || (l.PoolID == 9) != (n > col6PoolID) {
			t.Errorf("%d columns: %+v", n, l)
		}
	}
	for _, c := range []struct{ row, want string }{
		{"2001:db8::1,00:01:02,40,1040,8,20,2,7,129,0,1,,,0,,,,0", "prefix_len"},
		{"2001:db8::1,00:01:02,40,1040,8,20,1,7,128,0,1,,,0,,,,0", "lease_type: 1"},
		{"192.0.2.1,00:01:02,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "address"},
		{"fe80::1%eth0,00:01:02,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "address"},
		{"::,00:01:02,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "address"},
		{"2001:db8::1,,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "no duid"},
		{"2001:db8::1,00:00:00,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "no duid"},
		{"2001:db8::1,01:02,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "at least 3"},
		{"2001:db8::1,01:02:0x,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "duid"},
		{"2001:db8::1," + strings.Repeat("01:", 130) + "01,40,1040,8,20,0,7,128,0,1,,,0,,,,0", "too many octets"},
		{"2001:db8::1,00:01:02,40,1040,8,20,0,-7,128,0,1,,,0,,,,0", "iaid"},
		{"2001:db8::1,00:01:02,40,1040,8,20,0,7,128,2,1,,,0,,,,", "fqdn_fwd"},
		{"2001:db8::1,00:01:02,40,1040,8,20,0,7,128,0,1,,,5,,,,0", "state"},
		{"2001:db8::1,00:01:02,40,1040,8,20,0,7,128,0,1,,,0,[],,,0", "JSON map"},
		{"2001:db8::1,00:01:02,40,1040,8,20,0,7,128,0,1,,,0,,70000,,0", "hwtype"},
		{"2001:db8::1,00:01:02,40,1040,8,20,0,7,128,0,1,,,0,,,,x", "pool_id"},
		{"2001:db8::1,00:01:02,40", "columns"},
	} {
		in, err := NewReader6(strings.NewReader(Header6+"\n"+c.row+"\n"+row+"\n"), "f")
		if err != nil {
			t.Fatal(err)
		}
		var l lease6.Lease6
		var bad *RowError
		if err := in.Next(&l); !errors.As(err, &bad) || bad.Line != 2 || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.row, err)
		}
		if err := in.Next(&l); err != nil {
			t.Errorf("behind %s: %v", c.row, err)
		}
	}
	for _, c := range []struct{ row, want string }{ // taken as Kea takes them
		{"2001:db8::1,00:01:02,40,1040,8,20,0,7,128,0,1,,zz:01,0,,5,2,0", ""},
		{"2001:db8::1,00,40,1040,8,20,0,7,128,0,1,,,1,,,,0", ""},
	} {
		in, _ := NewReader6(strings.NewReader(Header6+"\n"+c.row+"\n"), "f")
		var l lease6.Lease6
		if err := in.Next(&l); err != nil || l.HWLen != 0 || l.HWType != 0 || l.State == lease.StateDeclined && l.DUIDLen != 0 {
			t.Errorf("%s: %+v, %v", c.row, l, err)
		}
	}
	for _, head := range []string{Header4, "address,duid", "duid"} {
		if _, err := NewReader6(strings.NewReader(head+"\n"), "f"); err == nil || head == Header4 && !strings.Contains(err.Error(), "DHCPv4") {
			t.Errorf("header %s: %v", head, err)
		}
	}
}

func FuzzReader6(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 5 {
		f.Add(string(AppendRow6(nil, randomLease6(r, n))))
	}
	f.Add("2001:db8::1,00,40,1040,8,20,2,7,129,0,1,,,0,{\"ISC\":{\"relay-info\":[{\"hop\":1}]}},,,")
	f.Fuzz(func(t *testing.T, rows string) {
		in, err := NewReader6(strings.NewReader(Header6+"\n"+rows), "f")
		if err != nil {
			t.Fatal(err)
		}
		for {
			var l, again lease6.Lease6
			err := in.Next(&l)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil || l.CLTTUnixS < 0 {
				continue
			}
			back, _ := NewReader6(bytes.NewReader(AppendRow6(AppendHeader6(nil), &l)), "again")
			if err := back.Next(&again); err != nil {
				t.Fatalf("%+v cannot be read again: %v", l, err)
			}
			a, b := asRow(&l), asRow(&again)
			if a != b {
				t.Fatalf("got  %s\nwant %s", b, a)
			}
		}
	})
}

// asRow is a lease as text; contexts are JSON and may be spaced otherwise.
func asRow(l *lease6.Lease6) string {
	c := *l
	c.UserContext, c.RelayInfoLen = "", 0
	return string(AppendRow6(nil, &c)) + canonical([]byte(context6(l)))
}
