package leasefile

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

var seedFlag = flag.Uint64("seed", 0, "seed of random tests; 0 is a new one")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func addr(a, b, c, d byte) dhcp4.IPv4 { return dhcp4.AddrFrom4([4]byte{a, b, c, d}) }

// plain is what a row of l reads back as: octets behind the lengths do not count.
func plain(l *lease.Lease4) string {
	return fmt.Sprintf("%v subnet %d pool %d cltt %d valid %d state %d fwd %v rev %v hw %d/%x cid %x host %q ctx %q",
		l.Addr, l.SubnetID, l.PoolID, l.CLTTUnixS, l.ValidLifetimeS, l.State, l.FQDNFwd, l.FQDNRev, l.HWType, l.HW(), l.CID(), l.Host(), l.UserContext)
}

func randomLease(r *rand.Rand, a dhcp4.IPv4) *lease.Lease4 {
	l := &lease.Lease4{
		Addr: a, SubnetID: r.Uint32() >> r.IntN(32), PoolID: r.Uint32() >> r.IntN(32) & 0xFF, CLTTUnixS: 1_700_000_000 + int64(r.IntN(1e8)),
		ValidLifetimeS: 1 + r.Uint32N(100000), State: lease.State(r.IntN(4)), FQDNFwd: r.IntN(2) == 0, FQDNRev: r.IntN(2) == 0,
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
		l.SetHW(1, octets(1+r.IntN(lease.MaxHWAddrLen)))
		switch r.IntN(3) {
		case 0:
			l.SetCID(octets(2 + r.IntN(lease.MaxClientIDLen-1)))
		case 1:
			l.SetCID(octets(7))
		}
		if l.ClientIDLen > 0 && r.IntN(4) == 0 {
			l.SetHW(0, nil)
		}
	}
	if r.IntN(2) == 0 {
		host := octets(r.IntN(40))
		for i, c := range host {
			if c >= 'A' && c <= 'Z' {
				host[i] = 'x'
			}
		}
		l.SetHost(host)
	}
	if r.IntN(4) == 0 {
		l.UserContext = fmt.Sprintf(`{ "a": "x,y&\u00e9é", "n": [ %d, { "ISC": "&#x2c" } ] }`, r.IntN(1000))
	}
	return l
}

func TestRows(t *testing.T) {
	full := &lease.Lease4{Addr: addr(192, 0, 2, 10), SubnetID: 7, PoolID: 3, CLTTUnixS: 1700000000, ValidLifetimeS: 3600, FQDNFwd: true, FQDNRev: false,
		UserContext: `{ "a": 1, "b": "x&y" }`}
	full.SetHW(1, []byte{2, 0, 0, 0xAB, 0xCD, 0xEF})
	full.SetCID([]byte{1, 2, 0, 0, 0xAB, 0xCD, 0xEF})
	full.SetHost([]byte("a,b\x00&é.example"))
	infinite := &lease.Lease4{Addr: addr(10, 0, 0, 1), SubnetID: 1, CLTTUnixS: 1700000000, ValidLifetimeS: lease.InfiniteLifetime, FQDNRev: true}
	infinite.SetCID([]byte{0xFF, 0})
	declined := &lease.Lease4{Addr: addr(10, 0, 0, 255), SubnetID: 1, CLTTUnixS: 1700000000, ValidLifetimeS: 86400, State: lease.StateDeclined}
	short := &lease.Lease4{Addr: addr(1, 2, 3, 4), SubnetID: 1, CLTTUnixS: 100, ValidLifetimeS: 1}
	short.SetHW(1, []byte{0xA})
	short.SetCID([]byte{9})
	short.UserContext = `"no map"`

	for _, c := range []struct {
		l    *lease.Lease4
		want string
	}{
		{full, `192.0.2.10,02:00:00:ab:cd:ef,01:02:00:00:ab:cd:ef,3600,1700003600,7,1,0,a&#x2cb&#x00&#x26&#xc3&#xa9.example,0,{ "a": 1&#x2c "b": "x&#x26y" },3`},
		{infinite, `10.0.0.1,,ff:00,4294967295,5994967295,1,0,1,,0,,0`},
		{declined, `10.0.0.255,,,86400,1700086400,1,0,0,,1,,0`},
		{short, `1.2.3.4,0a,,1,101,1,0,0,,0,,0`},
	} {
		if got := string(AppendRow4(nil, c.l)); got != c.want+"\n" {
			t.Errorf("row\n%swant\n%s", got, c.want)
		}
		if !Writable4(c.l) {
			t.Errorf("%s is not writable", c.want)
		}
	}
	if got, want := string(AppendDeletion4(nil, infinite)), "10.0.0.1,,ff:00,0,1700000000,1,0,1,,0,,0\n"; got != want {
		t.Errorf("deletion %q, want %q", got, want)
	}
	if got, want := string(AppendHeader4(nil)), "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n"; got != want {
		t.Errorf("header %q, want %q", got, want)
	}
	none := &lease.Lease4{Addr: 1}
	offered := *full
	offered.State = lease.StateOffered
	single := &lease.Lease4{Addr: 1}
	single.SetCID([]byte{1})
	for i, l := range []*lease.Lease4{none, &offered, single} {
		if Writable4(l) {
			t.Errorf("lease %d is writable", i)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	r := newRand(t)
	file := AppendHeader4(nil)
	var want []string
	for i := range 2000 {
		l := randomLease(r, dhcp4.IPv4(1+r.Uint32N(1<<32-1)))
		if i%7 == 0 {
			file = AppendDeletion4(file, l)
			l.ValidLifetimeS = 0
		} else {
			file = AppendRow4(file, l)
		}
		want = append(want, plain(l))
	}
	rd, err := NewReader4(bytes.NewReader(file), "f")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		var l lease.Lease4
		if err := rd.Next(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, plain(&l))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if rd.Line() != 2001 {
		t.Errorf("line %d", rd.Line())
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "plain": "plain", "a&#x2Cb&#x2c": "a,b,", "&#x26#x26": "&#x26", "&#x": "&#x", "&#x4": "&#x4", "&#xg1": "&#xg1",
		"&#&#x41": "&#A", "&#x00": "\x00", "x&": "x&", "&#x&#x7a": "&#xz",
	} {
		if got := string(unescape([]byte(in))); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
	r := newRand(t)
	for range 1000 {
		b := make([]byte, r.IntN(20))
		for i := range b {
			b[i] = "&#x,2c\n\xffz"[r.IntN(9)]
		}
		e := appendEscaped(nil, b)
		if strings.ContainsAny(string(e), ",\n\xff") {
			t.Fatalf("escape %q is %q", b, e)
		}
		if got := unescape(e); !bytes.Equal(got, b) {
			t.Fatalf("%q came back as %q", b, got)
		}
	}
}
