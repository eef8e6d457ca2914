package config

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	insomniac "github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// listed are the options of a scope that has these in space dhcp4.
func listed(l ...Option) Options {
	o := Options{List: l}
	for _, x := range l {
		o.Codes.Add(x.Code)
		if x.Always {
			o.Always.Add(x.Code)
		}
		if x.Never {
			o.Never.Add(x.Code)
		}
	}
	return o
}

// optionOf loads one global option-data entry.
func optionOf(t *testing.T, entry string) (Option, error) {
	t.Helper()
	s, err := Parse("o", []byte(`{"Dhcp4":{"option-data":[`+entry+`]}}`), LoadOptions{})
	if err != nil {
		return Option{}, err
	}
	if len(s.Dhcp4.Options.List) != 1 {
		t.Fatalf("%d options", len(s.Dhcp4.Options.List))
	}
	return s.Dhcp4.Options.List[0], nil
}

// TestOptionEncoding has at least one row for every type, written by hand from
// the RFC that defines the option.
func TestOptionEncoding(t *testing.T) {
	for _, c := range []struct {
		entry string // members beside code
		code  uint8
		want  string // hex
	}{
		{`"data": "255.255.255.0"`, 1, "ffffff00"},
		{`"data": "-25200"`, 2, "ffff9d90"},
		{`"data": "192.0.2.2, 192.0.2.3"`, 3, "c0000202c0000203"},
		{`"data": " 192.0.2.2 ,, 192.0.2.3 ,"`, 3, "c0000202c0000203"},
		{`"data": ""`, 3, ""},
		{`"data": "host"`, 12, "686f7374"},
		{`"data": "1024"`, 13, "0400"},
		{`"data": "0x400"`, 13, "0400"},
		{`"data": "TRUE"`, 19, "01"},
		{`"data": "0"`, 20, "00"},
		{`"data": "248"`, 23, "f8"},
		{`"data": "131072"`, 24, "00020000"},
		{`"data": "3072,4096"`, 25, "0c001000"},
		{`"data": "4294967295"`, 51, "ffffffff"},
		{`"data": "1, 3, 6"`, 55, "010306"},
		{`"data": "ABCDEF"`, 61, "abcdef"},
		{`"data": "1A BB"`, 77, "1abb"},
		{`"data": "true, 10.0.0.1, 10.0.0.2"`, 78, "010a0000010a000002"},
		{`"data": "false, a\\,b"`, 79, "00612c62"},
		{`"data": "1, 2, 3, a.example"`, 81, "0102030161076578616d706c6500"},
		{`"data": "a.example, b."`, 88, "0161076578616d706c65000162" + "00"},
		{`"data": "0, 1"`, 93, "00000001"},
		{`"data": "1, 2, 3"`, 94, "010203"},
		{`"data": "0, 0102"`, 97, "000102"},
		{`"data": "1800"`, 108, "00000708"},
		{`"data": "https://example.org/portal"`, 114, hex.EncodeToString([]byte("https://example.org/portal"))},
		// RFC 3397 §3: two names with a common suffix.
		{`"data": "eng.apple.com., marketing.apple.com."`, 119, "03656e67056170706c6503636f6d00096d61726b6574696e67c004"},
		{`"data": "a.b, b, a.b"`, 119, "0161016200c002c000"},
		{`"data": "."`, 119, "00"},
		// RFC 3442: descriptor with significant octets only.
		{`"data": "10.0.0.0/8 - 192.0.2.1, 10.17.0.0/16-192.0.2.2, 10.27.129.0/24 - 192.0.2.3, 10.229.0.128/25 - 192.0.2.4, 0.0.0.0/0 - 192.0.2.5"`, 121,
			"080ac0000201" + "100a11c0000202" + "180a1b81c0000203" + "190ae50080c0000204" + "00c0000205"},
		{`"data": "lost.example"`, 137, "046c6f7374076578616d706c6500"},
		{`"data": "https://a, https://b"`, 143, "000968747470733a2f2f61" + "000968747470733a2f2f62"},
		{`"data": "1, 10.0.0.1, 10.0.0.2, a."`, 146, "010a0000010a000002016100"},
		{`"data": "3, no"`, 151, "036e6f"},
		{`"data": "0, 3/4"`, 159, "00" + "04" + "3000"},
		{`"data": "0, 0/0"`, 159, "00" + "00" + "0000"},
		{`"data": "12, 32, 3000::1, 192.0.2.1"`, 212, "0c20" + "30000000000000000000000000000001" + "c0000201"},
		{`"data": "ac.example."`, 213, "026163076578616d706c6500"},
		{`"data": ""`, 43, ""},
		{`"csv-format": false, "data": "0x0104c0000201"`, 43, "0104c0000201"},
		{`"csv-format": false, "data": "C0 00 2 1"`, 1, "c0000201"},
		{`"csv-format": false, "data": "c0:0:2:1"`, 1, "c0000201"},
		{`"csv-format": false, "data": "abc"`, 230, "0abc"},
		{`"csv-format": false, "data": "'a b'"`, 230, "612062"},
		{`"data": "'0102'"`, 230, "30313032"},
		{`"never-send": true`, 42, ""},
	} {
		o, err := optionOf(t, fmt.Sprintf(`{"code": %d, %s}`, c.code, c.entry))
		if err != nil {
			t.Errorf("option %d %s: %v", c.code, c.entry, err)
			continue
		}
		if got := hex.EncodeToString(o.Data); got != c.want || o.Code != c.code {
			t.Errorf("option %d %s\ngot  %s\nwant %s", c.code, c.entry, got, c.want)
		}
	}
}

// TestOptionOracle compares with an independent codec.
func TestOptionOracle(t *testing.T) {
	_, n1, _ := net.ParseCIDR("10.0.0.0/8")
	_, n2, _ := net.ParseCIDR("0.0.0.0/0")
	for _, c := range []struct {
		entry string
		want  insomniac.OptionValue
	}{
		{`{"name":"routers","data":"192.0.2.1,192.0.2.2"}`, insomniac.IPs{net.IPv4(192, 0, 2, 1).To4(), net.IPv4(192, 0, 2, 2).To4()}},
		{`{"name":"interface-mtu","data":"1500"}`, insomniac.Uint16(1500)},
		{`{"name":"domain-name","data":"example.org"}`, insomniac.String("example.org")},
		{`{"name":"classless-static-route","data":"10.0.0.0/8-192.0.2.1,0.0.0.0/0-192.0.2.2"}`,
			insomniac.Routes{{Dest: n1, Router: net.IPv4(192, 0, 2, 1)}, {Dest: n2, Router: net.IPv4(192, 0, 2, 2)}}},
	} {
		o, err := optionOf(t, c.entry)
		if err != nil {
			t.Fatal(err)
		}
		if want := c.want.ToBytes(); !bytes.Equal(o.Data, want) {
			t.Errorf("%s\ngot  %x\nwant %x", c.entry, o.Data, want)
		}
	}
	// Compression differs between encoders; what it decodes to does not.
	names := []string{"a.example.net", "b.example.net", "example.net", "net", "other.example.org", "x.a.example.net"}
	o, err := optionOf(t, `{"name":"domain-search","data":"`+strings.Join(names, ",")+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	l, err := rfc1035label.FromBytes(o.Data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names, l.Labels); diff != "" {
		t.Error(diff)
	}
	if plain := 0; true {
		for _, n := range names {
			plain += len(n) + 2
		}
		if len(o.Data) >= plain {
			t.Errorf("%d bytes are not compressed (plain: %d)", len(o.Data), plain)
		}
	}
}

func TestOptionsSorted(t *testing.T) {
	s, err := Parse("o", []byte(`{"Dhcp4":{"option-data":[
		{"code":42,"data":"192.0.2.1"},{"code":3,"data":"192.0.2.2","always-send":true},{"code":3,"data":"192.0.2.3"},{"code":1,"data":"255.0.0.0","never-send":true}]}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := listed(Option{Code: 1, Never: true, Data: []byte{255, 0, 0, 0}}, Option{Code: 3, Always: true, Data: []byte{192, 0, 2, 2}}, Option{Code: 42, Data: []byte{192, 0, 2, 1}})
	if diff := cmp.Diff(want, s.Dhcp4.Options); diff != "" {
		t.Error(diff)
	}
	if o := s.Dhcp4.Options.Find(3); len(o) != 1 || !o[0].Always {
		t.Error("Find(3)")
	}
	if o := s.Dhcp4.Options.Find(4); o != nil {
		t.Error("Find(4)")
	}
}
