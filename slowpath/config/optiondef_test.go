package config

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/class"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// dhcp4Of loads the inside of a Dhcp4 map.
func dhcp4Of(t *testing.T, body string) *Snapshot {
	t.Helper()
	s, err := Parse("o", []byte(`{"Dhcp4":{`+body+`}}`), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSubOptions: what is put into what when the configuration is read. Each row
// has definitions, entries, and CODE=HEX of options of space dhcp4.
func TestSubOptions(t *testing.T) {
	const box = `{"name":"box","code":222,"type":"uint16","encapsulate":"mine"},{"name":"a","space":"mine","code":1,"type":"uint8"},{"name":"b","space":"mine","code":2,"type":"string"}`
	for _, c := range []struct{ name, defs, data, want string }{
		{"fields first, then by code", box, `{"name":"b","space":"mine","data":"x"},{"name":"a","space":"mine","data":"7"},{"name":"box","data":"258"}`, "222=0102" + "010107" + "020178"},
		{"no sub-options", box, `{"name":"box","data":"258"}`, "222=0102"},
		{"without the option nothing", box, `{"name":"a","space":"mine","data":"7"}`, ""},
		{"the first of a code", box, `{"name":"box","data":"1"},{"name":"a","space":"mine","data":"7"},{"name":"a","space":"mine","data":"8"}`, "222=0001" + "010107"},
		{"what the data gives stays", box, `{"name":"box","csv-format":false,"data":"0001010109"},{"name":"a","space":"mine","data":"7"},{"name":"b","space":"mine","data":"x"}`, "222=0001" + "010109" + "020178"},
		{"pieces are joined", box, `{"name":"box","csv-format":false,"data":"0001020161020162"}`, "222=0001" + "02026162"},
		{"what is cut short ends the list", box, `{"name":"box","csv-format":false,"data":"000101010902"}`, "222=0001" + "010109"},
		{"codes without definition", box, `{"name":"box","data":"1"},{"code":9,"space":"mine","csv-format":false,"data":"0102"},{"code":0,"space":"mine","csv-format":false,"data":""},{"code":255,"space":"mine","csv-format":false,"data":"ff"}`, "222=0001" + "0000" + "09020102" + "ff01ff"},
		{"82 and 255 last", box, `{"name":"box","data":"1"},{"code":82,"space":"mine","csv-format":false,"data":"52"},{"code":83,"space":"mine","csv-format":false,"data":"53"}`, "222=0001" + "530153" + "520152"},
		{"never-send without data is empty", box, `{"name":"box","data":"1"},{"name":"a","space":"mine","never-send":true}`, "222=0001" + "0100"},
		{"three deep", `{"name":"x","code":222,"type":"empty","encapsulate":"m"},{"name":"y","space":"m","code":1,"type":"boolean","encapsulate":"n"},{"name":"z","space":"n","code":1,"type":"empty","encapsulate":"o"},{"name":"w","space":"o","code":3,"type":"int8"}`,
			`{"name":"x"},{"name":"y","space":"m","data":"true"},{"name":"z","space":"n"},{"name":"w","space":"o","data":"-1"}`, "222=0106" + "01" + "0103" + "0301ff"},
		{"one space in two options", `{"name":"x","code":222,"type":"empty","encapsulate":"m"},{"name":"y","code":223,"type":"empty","encapsulate":"m"},{"name":"z","space":"m","code":1,"type":"uint8"}`,
			`{"name":"x"},{"name":"y"},{"name":"z","space":"m","data":"5"}`, "222=010105 223=010105"},

		{"43", "", `{"name":"vendor-encapsulated-options"},{"code":7,"space":"vendor-encapsulated-options-space","csv-format":false,"data":"01"}`, "43=070101"},
		{"43 by code", `{"name":"s","code":1,"space":"vendor-encapsulated-options-space","type":"string"}`, `{"code":43},{"name":"s","space":"vendor-encapsulated-options-space","data":"ab"}`, "43=01026162"},
		{"pad and end in 43", "", `{"code":43,"csv-format":false,"data":"0001010aff020103"}`, "43=01010a"},
		{"defined pad and end in 43", `{"name":"p","code":0,"space":"vendor-encapsulated-options-space","type":"uint8"},{"name":"e","code":255,"space":"vendor-encapsulated-options-space","type":"uint8"}`,
			`{"code":43,"csv-format":false,"data":"000109ff0108"}`, "43=000109ff0108"},
		{"43 defined anew", `{"name":"mine43","code":43,"type":"uint32"}`, `{"name":"mine43","data":"7"}`, "43=00000007"},
		// RFC 3495 §5, RFC 3594, RFC 3634.
		{"122", "", `{"name":"cablelabs-client-conf"},{"name":"tsp-primary-server","space":"cablelabs-client-conf","data":"192.0.2.1"},{"name":"tsp-as-parameters","space":"cablelabs-client-conf","data":"1,2,3"},
			{"code":3,"space":"cablelabs-client-conf","csv-format":false,"data":"00"},{"name":"tsp-realm","space":"cablelabs-client-conf","data":"EX."},{"name":"tsp-use-tgt","space":"cablelabs-client-conf","data":"true"},
			{"name":"tsp-provisioning-timer","space":"cablelabs-client-conf","data":"9"},{"name":"tsp-sct","space":"cablelabs-client-conf","data":"3"},{"name":"kdc-server","space":"cablelabs-client-conf","data":"192.0.2.2,192.0.2.3"}`,
			"122=0104c0000201" + "030100" + "040c000000010000000200000003" + "060402455800" + "070101" + "080109" + "09020003" + "0a08c0000202c0000203"},
		{"82", "", `{"name":"dhcp-agent-options"},{"name":"relay-flags","space":"dhcp-agent-options-space","data":"128"}`, "82=0a0180"},

		// RFC 9463 §5.1.
		{"162", "", `{"name":"v4-dnr","data":"2, Example.some.host.org., 10.0.5.6, alpn=dot\\,doq port=8530"}`,
			"162=0031" + "0002" + "17" + "076578616d706c6504736f6d6504686f7374036f726700" + "04" + "0a000506" + "0001000803646f7403646f71" + "000300022152"},
		{"162 name alone", "", `{"name":"v4-dnr","data":"200, resolver.example."}`, "162=0015" + "00c8" + "12" + hex.EncodeToString([]byte("\x08resolver\x07example\x00"))},
		{"162 twice", "", `{"name":"v4-dnr","data":"1, a., 10.0.0.1 10.0.0.2, port=1 alpn=h2 dohpath=/q{?dns}| 2, b."}`,
			"162=0028" + "0001" + "03016100" + "08" + "0a0000010a000002" + "00010003026832" + "000300020001" + "00070008" + hex.EncodeToString([]byte("/q{?dns}")) + "0006" + "0002" + "03016200"},
		{"162 in hexadecimal", "", `{"name":"v4-dnr","csv-format":false,"data":"0006000203016200"}`, "162=0006000203016200"},
		{"124", "", `{"name":"vivco-suboptions","data":"4491, 03616263"}`, "124=0000118b03616263"},
		{"125", "", `{"name":"vivso-suboptions","data":"4491"}`, "125=0000118b"},
		{"125 of data in hexadecimal only the number", "", `{"name":"vivso-suboptions","csv-format":false,"data":"0000118b03010102"}`, "125=0000118b"},
		{"tuples", `{"name":"t","code":222,"type":"tuple","array":true}`, `{"name":"t","data":"a, bc"}`, "222=0161026263"},
		{"internal", `{"name":"t","code":222,"type":"internal"}`, `{"name":"t","data":"a, b"}`, "222=" + hex.EncodeToString([]byte("a, b"))},
		{"prefixes", `{"name":"t","code":222,"type":"ipv6-prefix","array":true}`, `{"name":"t","data":"2001:db8::ffff/33, ::/0"}`, "222=2120010db80000"},
		{"compressed names are written out", `{"name":"t","code":222,"type":"fqdn","array":true}`, `{"name":"t","csv-format":false,"data":"016100c000"}`, "222=016100016100"},
		{"scalar and more", "", `{"name":"interface-mtu","csv-format":false,"data":"05dc00"}`, "26=05dc"},
		{"trailing zeros of text", "", `{"name":"tcode","csv-format":false,"data":"616200"}`, "101=6162"},
	} {
		s := dhcp4Of(t, `"option-def":[`+c.defs+`],"option-data":[`+c.data+`]`)
		want := strings.Fields(c.want)
		var got []string
		for _, o := range s.Dhcp4.Options.List {
			got = append(got, fmt.Sprintf("%d=%x", o.Code, o.Data))
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
		}
	}
}

// TestLongSubOptions: what does not fit one option tells where its list begins,
// and a long sub-option is split so that it fits.
func TestLongSubOptions(t *testing.T) {
	s := dhcp4Of(t, `"option-def":[{"name":"box","code":222,"type":"uint16","encapsulate":"m"},{"name":"a","space":"m","code":1,"type":"string"}],
		"option-data":[{"name":"box","data":"1"},{"name":"a","space":"m","data":"`+strings.Repeat("x", 300)+`"}]`)
	o := s.Dhcp4.Options.List[0]
	if o.SubOptions != 3 || len(o.Data) != 2+2+251+2+49 || o.Data[3] != 251 || o.Data[2+2+251+1] != 49 {
		t.Errorf("%d %x", o.SubOptions, o.Data)
	}
}

// TestVendorSpaces: options of a vendor are apart, each with the definitions of
// its space.
func TestVendorSpaces(t *testing.T) {
	s := dhcp4Of(t, `"option-def":[{"name":"v","space":"vendor-7","code":1,"type":"uint16","encapsulate":"in"},{"name":"w","space":"in","code":2,"type":"uint8"}],
		"option-data":[{"name":"tftp-servers","space":"vendor-4491","data":"192.0.2.1"},{"name":"v","space":"vendor-7","data":"1","always-send":true,"client-classes":["x"," y ",""]},
		{"name":"w","space":"in","data":"5"},{"code":1,"space":"vendor-7","never-send":true},{"code":1,"space":"vendor-0","csv-format":false,"data":"00"}]`)
	o := s.Dhcp4.Options
	if len(o.List) != 0 || len(o.Vendors) != 2 || o.Empty() {
		t.Fatalf("%+v", o)
	}
	v := o.Vendor(7)
	if v == nil || !v.Always.Has(1) || !v.Never.Has(1) || v.Codes.Has(2) || o.Vendor(8) != nil {
		t.Fatalf("%+v", v)
	}
	l := v.Find(1)
	if len(l) != 2 || fmt.Sprintf("%x %q", l[0].Data, l[0].Classes) != `0001020105 ["x" "y"]` || len(l[1].Data) != 0 || len(v.Find(2)) != 0 {
		t.Errorf("%+v", l)
	}
	if d := o.Vendor(4491).Find(2); len(d) != 1 || fmt.Sprintf("%x", d[0].Data) != "c0000201" {
		t.Errorf("%+v", d)
	}
}

// TestDefinitionsForClasses: what package class asks for.
func TestDefinitionsForClasses(t *testing.T) {
	d := &decoder{fam: family4, r: keajson.NewReport(10)}
	tr, _, err := keajson.ParseTree("t", []byte(`{"option-def":[{"name":"r","code":222,"type":"record","record-types":"uint8,string","encapsulate":"m"},{"name":"q","code":1,"space":"m","type":"fqdn"}]}`), keajson.TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.t = tr
	defs := d.optionDefinitions(tr.Root, false)
	code, def := optiondef.CodeByName(optiondef.V4, defs), optiondef.Describe(optiondef.V4, defs)
	for name, want := range map[string]uint16{"routers": 3, "r": 222, "vendor-encapsulated-options": 43, "dhcp-agent-options": 82} {
		if got, ok := code(name); !ok || got != want {
			t.Errorf("%s: %d %v", name, got, ok)
		}
	}
	if _, ok := code("q"); ok {
		t.Error("q is not in space dhcp4")
	}
	for _, c := range []struct {
		space string
		code  uint16
		want  class.OptionDef
	}{
		{"dhcp4", 3, class.OptionDef{Type: class.TypeIPv4Address, Array: true}},
		{"dhcp4", 43, class.OptionDef{Type: class.TypeEmpty, Encapsulates: "vendor-encapsulated-options-space"}},
		{"dhcp4", 222, class.OptionDef{Type: class.TypeRecord, Fields: []class.OptionType{class.TypeUint8, class.TypeString}, Encapsulates: "m"}},
		{"m", 1, class.OptionDef{Type: class.TypeFQDN}},
		{"dhcp-agent-options-space", 5, class.OptionDef{Type: class.TypeIPv4Address}},
		{"vendor-4491", 1, class.OptionDef{Type: class.TypeUint8, Array: true}},
	} {
		got, ok := def(c.space, c.code)
		if !ok || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s.%d: %+v %v", c.space, c.code, got, ok)
		}
	}
	if _, ok := def("m", 2); ok {
		t.Error("m.2 is defined")
	}
}

// TestOptionConfigGet: as Kea prints them (OP-011).
func TestOptionConfigGet(t *testing.T) {
	s := dhcp4Of(t, `"option-def":[{"name":"r","code":222,"type":"record","record-types":"uint8,string","comment":"c"}],
		"option-data":[{"name":"routers","data":"10.0.0.1"},{"code":222,"data":"1, a","client-classes":["k"]},{"code":240,"data":"ab cd"},{"code":3,"space":"vendor-7","data":"'a'","csv-format":false},
		{"name":"domain-name","never-send":true},{"name":"boot-size","csv-format":false,"data":"0001"}]`)
	var got struct {
		Dhcp4 struct {
			Data []map[string]any `json:"option-data"`
			Def  []map[string]any `json:"option-def"`
		}
	}
	if err := json.Unmarshal(s.Get, &got); err != nil {
		t.Fatal(err)
	}
	text := func(l []map[string]any) string {
		var out []string
		for _, m := range l {
			b, _ := json.Marshal(m) // of what was just unmarshalled
			out = append(out, string(b))
		}
		return strings.Join(out, "\n")
	}
	if g, want := text(got.Dhcp4.Def), `{"array":false,"code":222,"encapsulate":"","name":"r","record-types":"uint8, string","space":"dhcp4","type":"record","user-context":{"comment":"c"}}`; g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
	want := `{"always-send":false,"code":3,"csv-format":true,"data":"10.0.0.1","name":"routers","never-send":false,"space":"dhcp4"}
{"always-send":false,"client-classes":["k"],"code":222,"csv-format":true,"data":"1, a","name":"r","never-send":false,"space":"dhcp4"}
{"always-send":false,"code":240,"csv-format":false,"data":"ABCD","never-send":false,"space":"dhcp4"}
{"always-send":false,"code":15,"name":"domain-name","never-send":true,"space":"dhcp4"}
{"always-send":false,"code":13,"csv-format":false,"data":"0001","name":"boot-size","never-send":false,"space":"dhcp4"}
{"always-send":false,"code":3,"csv-format":false,"data":"61","never-send":false,"space":"vendor-7"}`
	if g := text(got.Dhcp4.Data); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
}
