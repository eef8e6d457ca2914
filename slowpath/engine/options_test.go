package engine

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// scoped is a configuration with entries of many kinds in every scope.
const scoped = `
	"valid-lifetime": 3600,
	"option-def": [
	  { "name": "inner", "space": "box", "code": 1, "type": "uint8" },
	  { "name": "box", "code": 222, "type": "uint16", "encapsulate": "box" } ],
	"client-classes": [
	  { "name": "VENDOR_CLASS_a", "option-data": [ { "name": "ntp-servers", "data": "192.0.2.1" }, { "name": "tcode", "data": "class" } ] },
	  { "name": "VENDOR_CLASS_own",
	    "option-def": [ { "name": "vendor-encapsulated-options", "code": 43, "type": "string" } ],
	    "option-data": [ { "name": "vendor-encapsulated-options", "data": "own" } ] } ],
	"option-data": [
	  { "name": "tcode", "data": "global" },
	  { "name": "pcode", "data": "for a", "client-classes": [ "VENDOR_CLASS_b", "VENDOR_CLASS_a" ] },
	  { "name": "pcode", "data": "for all" },
	  { "name": "pcode", "data": "for b", "client-classes": [ "VENDOR_CLASS_b" ] },
	  { "name": "log-servers", "data": "192.0.2.7", "client-classes": [ "VENDOR_CLASS_b" ], "always-send": true },
	  { "name": "nis-domain", "data": "never", "never-send": true, "always-send": true },
	  { "name": "nisplus-domain-name", "data": "cancelled by the subnet" },
	  { "name": "domain-name-servers", "data": "192.0.2.53", "client-classes": [ "VENDOR_CLASS_a" ] },
	  { "name": "box", "data": "258" }, { "name": "inner", "space": "box", "data": "3" },
	  { "name": "boot-size", "data": "7", "always-send": true },
	  { "name": "vivso-suboptions", "data": "1" },
	  { "name": "vivso-suboptions", "data": "9", "client-classes": [ "VENDOR_CLASS_nine" ] },
	  { "name": "vivco-suboptions", "data": "1, 026f6e" }, { "name": "vivco-suboptions", "data": "2, 0374776f" },
	  { "code": 5, "space": "vendor-1", "csv-format": false, "data": "05" },
	  { "code": 6, "space": "vendor-1", "csv-format": false, "data": "06", "always-send": true },
	  { "code": 7, "space": "vendor-1", "csv-format": false, "data": "07", "always-send": true, "never-send": true },
	  { "code": 8, "space": "vendor-1", "csv-format": false, "data": "08", "always-send": true, "client-classes": [ "VENDOR_CLASS_a" ] },
	  { "code": 1, "space": "vendor-9", "csv-format": false, "data": "99", "always-send": true },
	  { "name": "tftp-servers", "space": "vendor-4491", "data": "192.0.2.2" },
	  { "code": 4, "space": "vendor-4491", "csv-format": false, "data": "0404" } ],
	"subnet4": [ { "id": 1, "subnet": "192.0.2.0/24",
	  "option-data": [
	    { "name": "tcode", "data": "subnet for b", "client-classes": [ "VENDOR_CLASS_b" ] },
	    { "name": "nisplus-domain-name", "never-send": true },
	    { "code": 6, "space": "vendor-1", "csv-format": false, "data": "66" } ],
	  "pools": [ { "pool": "192.0.2.10 - 192.0.2.19", "option-data": [ { "name": "boot-size", "data": "8" } ] } ],
	  "reservations": [ { "hw-address": "02:c1:00:00:00:63", "option-data": [
	    { "name": "tcode", "data": "host" }, { "name": "box", "data": "1" },
	    { "code": 6, "space": "vendor-1", "csv-format": false, "data": "" } ] } ] } ]`

// TestOptionScopes: V4-093 to V4-099.
func TestOptionScopes(t *testing.T) {
	l := newLab(t, scoped)
	text := func(s string) string { return hex.EncodeToString([]byte(s)) }
	vivso := func(b ...byte) nt.Option { return nt.With(125, b...) }
	cable := func(codes ...byte) []byte {
		return append([]byte{0, 0, 0x11, 0x8b, byte(len(codes) + 2), 1, byte(len(codes))}, codes...)
	}
	for _, c := range []struct {
		name   string
		client int
		vendor string
		opts   []nt.Option
		prl    []byte
		want   string // CODE=HEX; -CODE is absent
	}{
		{"class before global", 1, "a", nil, []byte{42, 101}, "42=c0000201 101=" + text("class")},
		{"no class", 1, "", nil, []byte{42, 101}, "-42 101=" + text("global")},
		{"subnet for another class", 1, "b", nil, []byte{101}, "101=" + text("subnet for b")},
		{"host first", 99, "b", nil, []byte{101, 222}, "101=" + text("host") + " 222=0001"},
		{"the tagged entry before the other", 1, "a", nil, []byte{100}, "100=" + text("for a")},
		{"the first tagged entry", 1, "b", nil, []byte{100}, "100=" + text("for a")},
		{"the untagged entry is the default", 1, "x", nil, []byte{100}, "100=" + text("for all")},
		{"always sent, but tagged", 1, "a", nil, nil, "-7"},
		{"always sent to a class", 1, "b", nil, nil, "7=c0000207"},
		{"basic, but tagged", 1, "b", nil, nil, "-6"},
		{"basic to a class", 1, "a", nil, nil, "6=c0000235"},
		{"never beats always and the list", 1, "", nil, []byte{40}, "-40"},
		{"never in one scope is never in all", 1, "", nil, []byte{64}, "-64"},
		{"always in one scope, the value of another", 1, "", nil, nil, "13=0008"},
		{"sub-options", 1, "", nil, []byte{222}, "222=0102010103"},
		{"43 without a value", 1, "", nil, []byte{43}, "-43"},
		{"43 as the class defines it", 1, "own", nil, []byte{43}, "43=" + text("own")},

		{"vendor classes", 1, "", nil, []byte{124}, "124=00000001026f6e" + "000000020374776f"},
		{"vendor of the configuration", 1, "", nil, []byte{125}, "125=0000000103060166"},
		{"host's value", 99, "", nil, []byte{125}, "125=00000001020600"},
		{"tagged sub-option", 1, "a", nil, []byte{125}, "125=0000000106060166080108"},
		{"tagged vendor", 1, "nine", nil, []byte{125}, "125=0000000903010199" + "0000000103060166"},
		{"nothing asked, nobody named", 1, "nine", nil, nil, "-124 -125"},
		{"named in 125", 1, "", []nt.Option{vivso(0, 0, 0, 9, 0)}, nil, "125=0000000903010199"},
		{"named without length", 1, "", []nt.Option{vivso(0, 0, 0, 9)}, nil, "125=0000000903010199"},
		{"named second", 1, "", []nt.Option{vivso(0, 0, 0, 8, 2, 1, 0, 0, 0, 0, 9, 0)}, nil, "125=0000000903010199"},
		{"named in 124", 1, "", []nt.Option{nt.With(124, 0, 0, 0, 8, 0, 0, 0, 0, 9, 1, 'x')}, nil, "125=0000000903010199"},
		{"124 cut short", 1, "", []nt.Option{nt.With(124, 0, 0, 0, 9, 2, 'x')}, nil, "-125"},
		{"125 cut short", 1, "", []nt.Option{vivso(0, 0, 0, 9, 0, 0, 0)}, nil, "-125"},
		{"125 cut short inside", 1, "", []nt.Option{vivso(0, 0, 0, 9, 2, 1, 7)}, nil, "-125"},
		{"ascending after those of the configuration", 1, "", []nt.Option{vivso(append(cable(2, 4), 0, 0, 0, 9, 0)...)}, []byte{125},
			"125=0000000103060166" + "0000000903010199" + "0000118b0a0204c0000202" + "04020404"},
		{"what is not configured", 1, "", []nt.Option{vivso(cable(200)...)}, nil, "-125"},
		{"the vendor's own list", 1, "", []nt.Option{vivso(cable(4)...)}, nil, "125=0000118b0404020404"},
		{"the first of two lists", 1, "", []nt.Option{vivso(0, 0, 0x11, 0x8b, 6, 1, 1, 2, 1, 1, 4)}, nil, "125=0000118b060204c0000202"},
		{"another vendor has no list", 1, "", []nt.Option{vivso(0, 0, 0, 1, 3, 1, 1, 5)}, nil, "125=0000000103060166"},
	} {
		opts := append([]nt.Option{nt.With(55, append([]byte{1}, c.prl...)...)}, c.opts...)
		if c.vendor != "" {
			opts = append(opts, nt.With(60, []byte(c.vendor)...))
		}
		l.want(dhcp4.MsgOffer, nt.Discover(mac(c.client), opts...))
		for _, w := range strings.Fields(c.want) {
			var code uint8
			if n, _ := fmt.Sscanf(w, "-%d", &code); n == 1 {
				if l.answer.Has(code) {
					t.Errorf("%s: option %d is there: %x", c.name, code, l.answer.Option(code))
				}
				continue
			}
			_, val, _ := strings.Cut(w, "=")
			fmt.Sscanf(w, "%d=", &code)
			if got := hex.EncodeToString(l.answer.Option(code)); got != val {
				t.Errorf("%s: option %d\ngot  %s\nwant %s", c.name, code, got, val)
			}
		}
	}
}

// TestLongVendorOptions: what the length octet of a vendor's block cannot count
// is in another block of the vendor.
func TestLongVendorOptions(t *testing.T) {
	var b strings.Builder
	for code := 1; code <= 4; code++ {
		fmt.Fprintf(&b, `{ "code": %d, "space": "vendor-7", "csv-format": false, "always-send": true, "data": "%s" },`, code, strings.Repeat("ab", 100*code))
	}
	l := newLab(t, `"option-data": [`+b.String()+` { "name": "vivso-suboptions", "data": "7", "always-send": true } ],`+simple)
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(57, 5, 220)))
	v := l.answer.Option(125)
	got := map[byte]int{}
	for len(v) > 0 {
		if !bytes.Equal(v[:4], []byte{0, 0, 0, 7}) {
			t.Fatalf("a block of %x", v[:4])
		}
		n := 5 + int(v[4])
		for sub := v[5:n]; len(sub) > 0; sub = sub[2+int(sub[1]):] {
			got[sub[0]] += int(sub[1])
		}
		v = v[n:]
	}
	for code := 1; code <= 4; code++ {
		if got[byte(code)] != 100*code {
			t.Errorf("sub-option %d has %d octets, want %d", code, got[byte(code)], 100*code)
		}
	}
}

// TestOptionsTwin compares setOptions with what V4-094 and V4-095 say in as many
// words, over random scopes and requests.
func TestOptionsTwin(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	classes := []string{"VENDOR_CLASS_a", "VENDOR_CLASS_b"}
	type item struct {
		code          byte
		class         string
		always, never bool
		data          byte
	}
	for round := range 200 {
		var scopes [3][]item // pool, subnet, global
		text := func(s []item) string {
			var l []string
			for _, i := range s {
				e := fmt.Sprintf(`{ "code": %d, "csv-format": false, "data": "%02x", "always-send": %v, "never-send": %v`, i.code, i.data, i.always, i.never)
				if i.class != "" {
					e += fmt.Sprintf(`, "client-classes": [ %q ]`, i.class)
				}
				l = append(l, e+" }")
			}
			return strings.Join(l, ",")
		}
		for s := range scopes {
			for range r.IntN(12) {
				i := item{code: byte(224 + r.IntN(6)), always: r.IntN(4) == 0, never: r.IntN(8) == 0, data: byte(r.IntN(256))}
				if r.IntN(2) == 0 {
					i.class = classes[r.IntN(2)]
				}
				scopes[s] = append(scopes[s], i)
			}
		}
		l := newLab(t, fmt.Sprintf(`"option-data": [ %s ], "subnet4": [ { "id": 1, "subnet": "192.0.2.0/24", "option-data": [ %s ],
			"pools": [ { "pool": "192.0.2.10 - 192.0.2.19", "option-data": [ %s ] } ] } ]`, text(scopes[2]), text(scopes[1]), text(scopes[0])))
		for client, vendor := range []string{"a", "b", "c"} {
			prl := []byte{1}
			for range r.IntN(5) {
				prl = append(prl, byte(224+r.IntN(6)))
			}
			l.want(dhcp4.MsgOffer, nt.Discover(mac(client), nt.With(55, prl...), nt.With(60, vendor[0])))
			for code := byte(224); code < 230; code++ {
				asked, never := bytes.IndexByte(prl, code) >= 0, false
				want := -1
				for _, s := range scopes {
					tagged, all := -1, -1
					for _, i := range s {
						if i.code != code {
							continue
						}
						asked, never = asked || i.always, never || i.never
						if i.class == "" && all < 0 {
							all = int(i.data)
						}
						if i.class == "VENDOR_CLASS_"+vendor && tagged < 0 {
							tagged = int(i.data)
						}
					}
					if want < 0 {
						if want = tagged; want < 0 {
							want = all
						}
					}
				}
				got := -1
				if b := l.answer.Option(code); len(b) == 1 {
					got = int(b[0])
				}
				if !asked || never {
					want = -1
				}
				if got != want {
					t.Fatalf("seed %d, round %d: option %d for %s with list %d: got %d, want %d\n%v", seed, round, code, vendor, prl, got, want, scopes)
				}
			}
		}
	}
}

// TestVendorOptionsAllocateNothing: nor do tagged entries.
func TestVendorOptionsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := newLab(t, scoped)
	q := prepare(nt.Discover(mac(1), nt.With(55, 1, 100, 101, 124, 125, 222), nt.With(60, 'b'),
		nt.With(125, 0, 0, 0x11, 0x8b, 4, 1, 2, 2, 4, 0, 0, 0, 9, 0)))
	l.run(&q, dhcp4.MsgOffer)
	if n := testing.AllocsPerRun(100, func() { l.run(&q, dhcp4.MsgOffer) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if !l.r.Has(124) || !l.r.Has(125) {
		t.Error("no vendor options")
	}
}

// FuzzVendorOptions: whatever clients send in options 124 and 125.
func FuzzVendorOptions(f *testing.F) {
	for _, s := range []string{"", "\x00\x00\x11\x8b\x03\x01\x01\x02", "\x00\x00\x00\x09\x00", "\x00\x00\x00\x09", "\x00\x00\x11\x8b\xff\x01\x01\x02", "\x00\x00\x11\x8b\x02\x01\xff"} {
		f.Add([]byte(s), []byte(s))
	}
	l := newLab(f, scoped)
	f.Fuzz(func(t *testing.T, viv, cls []byte) {
		if len(viv)+len(cls) > 1000 {
			return
		}
		l.t = t
		l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(125, viv...), nt.With(124, cls...)))
		v := l.answer.Option(125)
		if v != nil && !vendorsWellFormed(v) {
			t.Errorf("%x is not well-formed", v)
		}
	})
}
