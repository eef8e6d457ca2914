package class

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

var fuzzSeeds = []string{
	``, `'`, `'a' == 'a'`, `not ('a' == 'b') and option[12].exists or member('x')`,
	`substring(option[61].hex, -3, all) == 0x0a0b0c`, `split(option[60].text, ':.', 2) + '-' + hexstring(pkt4.mac, ':')`,
	`match('^docsis[0-9]\.[0-9].*$', option[60].text)`, `relay4[1].option[2].hex == relay4[host-name].text`,
	`ifelse(vendor[4491].option[1].exists, vendor-class[*].data[3], lcase(ucase('x')))`,
	`addrtotext(2001:db8::) + uint16totext(0xffff) + int8totext(option[53].hex)`,
	`relay6[-1].option[18].option[preference].hex + relay6[0].peeraddr`, `pkt6.transid == 12345 sor pkt.len == 0`,
	`((((`, `option[170].option[2].option[1].text`, `substring('a', 99999999999, 1) == sifelse('a'=='a', pkt.src, pkt.dst)`,
	"option[\n82\t] . option [1].hex == 1:2::", `vendor.enterprise == vendor-class.enterprise`,
}

// FuzzCompile: any text compiles or has a column, and what compiles can be
// evaluated, twice with the same result, over packets with and without options.
func FuzzCompile(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, v6 bool) {
		env, full := testEnv(), testPacket()
		if v6 {
			env, full = testEnv6(), testPacket6()
		}
		empty := &fake{header: full.header}
		for _, kind := range []Kind{Bool, String} {
			e, err := Compile(text, kind, env)
			if err != nil {
				var ce *Error
				if !errors.As(err, &ce) || ce.Column < 1 || ce.Column > len(text)+1 || ce.Msg == "" {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			if _, err := Compile("("+text+"\n)", kind, env); err != nil && len(text) < MaxTextLen-4 && !strings.Contains(err.Error(), "nested deeper") {
				t.Fatalf("in brackets: %q: %v", text, err)
			}
			for _, q := range []Packet{full, empty} {
				for _, unpacked := range []bool{false, true} {
					s := Scratch{Unpacked: unpacked}
					if kind == Bool {
						if e.Test(q, &s) != e.Test(q, &s) {
							t.Fatalf("%q: two results", text)
						}
					} else {
						a := e.AppendString(nil, q, &s)
						if len(a) > MaxValueLen || !bytes.Equal(a, e.AppendString(nil, q, &s)) {
							t.Fatalf("%q: two results", text)
						}
					}
					if cap(s.buf) > MaxValueLen {
						t.Fatalf("%q: scratch has %d octets", text, cap(s.buf))
					}
				}
			}
		}
	})
}

// FuzzEvaluate: no packet makes an expression crash, write to the packet, or
// give different results.
func FuzzEvaluate(f *testing.F) {
	msg := append([]byte(nil), message4(f, "350101 0c03666f6f 52080104 61626364 0200 2b06 0001 61 03 0163 7d0c0000118b07 01 0141 02 0155 05 7c080000118b03616263").View.Raw()...)
	f.Add(msg)
	f.Add(msg[:300])
	var exprs []*Expr
	env := testEnv()
	for _, s := range append(fuzzSeeds,
		`option[43].option[1].hex + option[43].option[3].text + option[82].text + option[3].text + option[88].text`,
		`option[78].text + option[79].text + option[159].text + option[170].text + option[171].text + option[172].text + option[2].text`,
		`vendor[4491].option[1].text + vendor[*].option[2].hex + vendor-class[*].data[1] + vendor.enterprise`,
		`option[170].option[1].hex + option[170].option[2].option[2].option[2].text + relay4[5].text`,
		`option[82].hex + option[43].hex + option[125].hex + option[124].hex + option[170].hex`,
		`uint32totext(pkt.len) + pkt.iface + addrtotext(pkt.src) + addrtotext(option[50].hex)`,
	) {
		for _, kind := range []Kind{Bool, String} {
			if e, err := Compile(s, kind, env); err == nil {
				exprs = append(exprs, e)
			}
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var v dhcp4.View
		before := bytes.Clone(msg)
		if v.Parse(msg) != dhcp4.ReasonOK {
			return
		}
		q := &Message4{View: &v, Interface: "eth0", From: 1, To: 2}
		s := Scratch{Unpacked: true}
		for _, e := range exprs {
			if e.Kind() == Bool {
				if e.Test(q, &s) != e.Test(q, &s) {
					t.Fatalf("%s: two results", e.Text())
				}
				continue
			}
			a := e.AppendString(nil, q, &s)
			if !bytes.Equal(a, e.AppendString(nil, q, &s)) {
				t.Fatalf("%s: two results", e.Text())
			}
		}
		if !bytes.Equal(before, msg) {
			t.Fatal("the message was written to")
		}
	})
}

// FuzzRegexp: what is translated compiles or has a place.
func FuzzRegexp(f *testing.F) {
	for _, s := range []string{``, `a*b`, `[^\]a-z[:alpha:]]{2,3}?`, `(a|(?:b))+`, `\x41\s\S\bé`, `[]`, `[^]`, `a**`, `((`, `[[.a.]-z]`} {
		f.Add(s, "subject")
	}
	f.Fuzz(func(t *testing.T, re, subject string) {
		r, err := compileRegexp(re)
		if err != nil {
			if err.pos < 0 || err.pos > len(re) || err.msg == "" {
				t.Fatalf("%q: %+v", re, err)
			}
			return
		}
		var s Scratch
		matchBytes(r, []byte(subject), &s)
	})
}
