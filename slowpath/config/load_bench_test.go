package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
)

// manyReservations is a configuration with n reservations in subnets of /16,
// about 1,000 bytes each as they are found in provisioned files.
func manyReservations(n int) string {
	var b strings.Builder
	b.WriteString("// generated\n{\n  \"Dhcp4\": {\n    \"subnet4\": [\n")
	const perSubnet = 50000
	for s := 0; s*perSubnet < n; s++ {
		if s > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "      {\n        \"id\": %d,\n        \"subnet\": \"10.%d.0.0/16\",\n        \"pools\": [ { \"pool\": \"10.%d.255.0/24\" } ],\n        \"reservations\": [\n", s+1, s, s)
		for i := s * perSubnet; i < min(n, (s+1)*perSubnet); i++ {
			if i > s*perSubnet {
				b.WriteString(",\n")
			}
			k := i%perSubnet + 1
			fmt.Fprintf(&b, `          {
            // subscriber %d
            "hw-address": "02:00:%02x:%02x:%02x:%02x",
            "ip-address": "10.%d.%d.%d",
            "hostname": "subscriber-%d.access.example.net",
            "client-classes": [ "gold", "region-%d" ],
            "option-data": [
              { "name": "domain-name-servers", "data": "192.0.2.53, 198.51.100.53" },
              { "name": "classless-static-route", "data": "10.0.0.0/8 - 192.0.2.1" },
              { "code": 43, "csv-format": false, "data": "0104c0000201" }
            ],
            "user-context": { "contract": "C-%08d", "port": "olt%d/slot%d/port%d", "note": "%s" }
          }`, i, i>>24&255, i>>16&255, i>>8&255, i&255, s, k>>8, k&255, i, i%7, i, i%40, i%16, i%8, strings.Repeat("x", 200))
		}
		b.WriteString("\n        ]\n      }")
	}
	b.WriteString("\n    ]\n  }\n}\n")
	return b.String()
}

// TestLoadScales: the work grows with the text, not faster. Allocations stand
// for it, since time on a shared machine says little.
func TestLoadScales(t *testing.T) {
	allocs := func(n int) float64 {
		text := []byte(manyReservations(n))
		return testing.AllocsPerRun(1, func() {
			if _, err := Parse("big.json", text, LoadOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	a, b := allocs(1000), allocs(8000)
	if b > 8.5*a {
		t.Errorf("8 times the reservations cost %.1f times the allocations", b/a)
	}
	if per := b / 8000; per > 130 {
		t.Errorf("%.0f allocations a reservation", per)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1000, 100000} {
		b.Run(fmt.Sprintf("reservations=%d", n), func(b *testing.B) {
			text := []byte(manyReservations(n))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("big.json", text, LoadOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseTree(b *testing.B) {
	text := []byte(manyReservations(100000))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := keajson.ParseTree("big.json", text, keajson.TreeOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
