package config

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// message is a DHCPDISCOVER with these options.
func message(options string) []byte {
	m := make([]byte, dhcp4.HeaderLen)
	m[0], m[1], m[2] = dhcp4.BootRequest, 1, 6
	copy(m[236:], "\x63\x82\x53\x63")
	b, err := hex.DecodeString("350101" + options)
	if err != nil {
		panic(err)
	}
	return append(append(m, b...), 255)
}

// TestReceived: options of option-def in a message, by Kea's factories of options
// (option_definition.cc, option_custom.cc).
func TestReceived(t *testing.T) {
	const good, skip, bad = "good", "skip", "bad"
	one := func(typ string) string { return `{"name":"x","code":130,"type":"` + typ + `"}` }
	arr := func(typ string) string { return `{"name":"x","code":130,"array":true,"type":"` + typ + `"}` }
	rec := func(types, more string) string {
		return `{"name":"x","code":130,"type":"record","record-types":"` + types + `"` + more + `}`
	}
	const box = `{"name":"x","code":130,"type":"uint16","encapsulate":"in"},{"name":"a","space":"in","code":1,"type":"uint8"},` +
		`{"name":"s","space":"in","code":2,"type":"string"},{"name":"d","space":"in","code":3,"type":"empty","encapsulate":"deep"},{"name":"e","space":"deep","code":9,"type":"ipv4-address"}`
	for _, c := range []struct{ name, def, options, strict, lenient string }{
		{"uint32", one("uint32"), "820400000001", good, good},
		{"uint32 short", one("uint32"), "8203000000", bad, bad},
		{"uint32 empty", one("uint32"), "8200", bad, bad},
		{"uint32 long", one("uint32"), "82050000000100", bad, good},
		{"uint32 in pieces", one("uint32"), "82020000" + "82020001", good, good},
		{"uint32 in pieces, too long by a piece that is not", one("uint32"), "820400000001" + "820400000001", good, good},
		{"uint32 in pieces, the last too long", one("uint32"), "820101" + "82050000000100", bad, good},
		{"int8", one("int8"), "8201ff", good, good},
		{"boolean of 2", one("boolean"), "820102", good, good},
		{"boolean empty", one("boolean"), "8200", bad, bad},
		{"boolean long", one("boolean"), "82020000", bad, good},
		{"address", one("ipv4-address"), "8204c0000201", good, good},
		{"address short", one("ipv4-address"), "8203c00002", bad, bad},
		{"psid short", one("psid"), "82020400", bad, bad},
		{"psid of 17 bits", one("psid"), "8203110000", good, good},
		{"prefix of 64, cut", one("ipv6-prefix"), "8203402001", bad, bad},
		{"prefix of 16", one("ipv6-prefix"), "8203102001", good, good},
		{"prefix empty", one("ipv6-prefix"), "8200", bad, bad},
		{"prefix of 129", one("ipv6-prefix"), "820181", bad, bad},
		{"string", one("string"), "82026162", good, good},
		{"string empty", one("string"), "8200", skip, skip},
		{"string of NULs", one("string"), "82020000", skip, skip},
		{"binary empty", one("binary"), "8200", good, good},
		{"empty with octets", one("empty"), "8201ff", good, good},
		{"fqdn", one("fqdn"), "8203016100", good, good},
		{"fqdn without end", one("fqdn"), "82020161", bad, skip},
		{"fqdn label cut", one("fqdn"), "8203056100", bad, skip},
		{"fqdn empty", one("fqdn"), "8200", bad, skip},
		{"tuple", one("tuple"), "82020161", good, good},
		{"tuple cut", one("tuple"), "82020261", bad, bad},
		{"array of uint16", arr("uint16"), "820400010002", good, good},
		{"array of uint16, odd", arr("uint16"), "8203000100", bad, bad},
		{"array of uint16, empty", arr("uint16"), "8200", bad, bad},
		{"array of addresses, empty", arr("ipv4-address"), "8200", good, good},
		{"array of addresses, cut", arr("ipv4-address"), "8205c000020101", bad, bad},
		{"array of booleans", arr("boolean"), "82020001", good, good},
		{"array of booleans, empty", arr("boolean"), "8200", bad, bad},
		{"array of psids, a rest", arr("psid"), "820404000001", good, good},
		{"array of prefixes", arr("ipv6-prefix"), "8204082008fe", good, good},
		{"array of prefixes, cut", arr("ipv6-prefix"), "8203082008", bad, bad},
		{"array of tuples", arr("tuple"), "820401610162", good, good},
		{"array of tuples, cut", arr("tuple"), "820401610262", bad, good},
		{"array of names, compressed", arr("fqdn"), "8205016100c000", good, good},
		{"array of names, forward", arr("fqdn"), "8205016100c003", bad, bad},
		{"array of names, beyond", arr("fqdn"), "8205016100c0ff", bad, bad},
		{"array of names, empty", arr("fqdn"), "8200", bad, bad},
		{"record", rec("uint8, ipv4-address", ""), "820501c0000201", good, good},
		{"record long", rec("uint8, ipv4-address", ""), "820601c0000201ff", good, good},
		{"record short", rec("uint8, ipv4-address", ""), "820401c00002", bad, bad},
		{"record with string, nothing left", rec("uint8, string", ""), "820101", good, good},
		{"record with name", rec("uint8, fqdn", ""), "82020105", bad, skip},
		{"record, array", rec("uint8, uint16", `,"array":true`), "82050100020003", good, good},
		{"record, array cut", rec("uint8, uint16", `,"array":true`), "820401000200", good, good},
		{"record, array of tuples cut", rec("uint8, tuple", `,"array":true`), "82050101610261", bad, bad},
		{"sub-options", box, "82050001010107", good, good},
		{"sub-option short", box, "820400010100", bad, bad},
		{"sub-option long", box, "82060001010207ff", bad, good},
		{"sub-option empty string", box, "820400010200", good, good},
		{"sub-options cut", box, "820500010105ff", good, good},
		{"sub-option in pieces", box, "82070001010001" + "0107", good, good},
		{"sub-option in pieces, the last too long", box, "820800010100" + "01020708", bad, good},
		{"deep sub-option", box, "820a0001" + "0306" + "0904c0000201", good, good},
		{"deep sub-option short", box, "82090001" + "0305" + "0903c00002", bad, bad},
		{"of agents", `{"name":"x","space":"dhcp-agent-options-space","code":200,"type":"uint32"}`, "5206c80400000001", good, good},
		{"of agents, short", `{"name":"x","space":"dhcp-agent-options-space","code":200,"type":"uint32"}`, "5204c8020001", bad, bad},
		{"deferred", `{"name":"x","code":230,"type":"uint32"}`, "e60100", good, good},
		{"another", one("uint32"), "830100", good, good},
	} {
		d := dhcp4Of(t, `"option-def":[`+c.def+`]`).Dhcp4
		for _, lenient := range []bool{false, true} {
			want := c.strict
			if lenient {
				want = c.lenient
			}
			v := dhcp4.View{Lenient: lenient}
			if r := v.Parse(message(c.options)); r != dhcp4.ReasonOK {
				t.Errorf("%s: %v", c.name, r)
				continue
			}
			got := good
			switch had := v.Has(130); {
			case !d.Received.Check(&v):
				got = bad
			case had && !v.Has(130):
				got = skip
			}
			if got != want {
				t.Errorf("%s, lenient %v: %s, want %s", c.name, lenient, got, want)
			}
		}
	}
	if d := dhcp4Of(t, `"option-def":[`+`{"name":"x","code":230,"type":"uint32"}`+`]`).Dhcp4; d.Received != nil {
		t.Error("a definition of a deferred option is held against messages")
	}
}

// TestReceivedHostile: what the definitions are held against is bounded, allocates
// nothing and ends.
func TestReceivedHostile(t *testing.T) {
	const body = `"option-def":[{"name":"a","code":130,"type":"empty","encapsulate":"in"},{"name":"b","space":"in","code":1,"type":"empty","encapsulate":"in2"},
		{"name":"c","space":"in2","code":1,"type":"record","record-types":"uint8, fqdn","array":true},{"name":"n","code":131,"type":"fqdn","array":true},{"name":"p","code":132,"type":"ipv6-prefix","array":true},
		{"name":"t","code":133,"type":"tuple","array":true}]`
	d := dhcp4Of(t, body).Dhcp4
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var v dhcp4.View
	for range 20000 {
		v.Lenient = r.IntN(2) == 0
		m := message("")
		m = m[:len(m)-1]
		for len(m) < 600 {
			n := r.IntN(256)
			m = append(m, byte(128+r.IntN(8)), byte(n))
			for range n {
				m = append(m, []byte{0, 1, 2, 0xc0, 9, byte(r.IntN(256))}[r.IntN(6)])
			}
		}
		if v.Parse(m) == dhcp4.ReasonOK {
			d.Received.Check(&v)
		}
	}
	sub := "0102" + "0900" // pieces of sub-option 1
	many := ""
	for len(many) < 2*240 {
		many += sub
	}
	v.Lenient = false
	if r := v.Parse(message("82f0" + many[:2*240])); r != dhcp4.ReasonOK {
		t.Fatal(r)
	}
	if n := testing.AllocsPerRun(100, func() { d.Received.Check(&v) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
