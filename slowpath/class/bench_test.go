package class

import (
	"fmt"
	"testing"
)

// benchMembers is a bit set, as the engine has one.
type benchMembers struct {
	*Message4
	bits    [8]uint64
	spawned int
}

func (m *benchMembers) InClass(i uint32) bool     { return m.bits[i/64]&(1<<(i%64)) != 0 }
func (m *benchMembers) AddClass(i uint32)         { m.bits[i/64] |= 1 << (i % 64) }
func (m *benchMembers) AddSpawned(*Class, []byte) { m.spawned++ }

func benchMessage(t testing.TB) *benchMembers {
	return &benchMembers{Message4: message4(t, "350101 3d0701020000000a0b 3c0a646f63736973332e303a 0c06466f6f426172 5208 0104 61626364 0200 7d09 0000118b 04 0102 4142")}
}

var benchExprs = []struct {
	name, expr string
	kind       Kind
}{
	{"option", `option[12].hex == 'FooBar'`, Bool},
	{"exists", `option[82].exists`, Bool},
	{"member", `member('a')`, Bool},
	{"substring", `substring(option[60].hex, 0, 9) == 'docsis3.0'`, Bool},
	{"and", `option[12].exists and substring(option[61].hex, 1, 3) == 0x020000 and not member('a')`, Bool},
	{"relay4", `relay4[1].hex == 'abcd'`, Bool},
	{"vendor", `vendor[4491].option[1].hex == 'AB'`, Bool},
	{"msgtype", `pkt4.msgtype == 1`, Bool},
	{"match", `match('docsis[0-9]\.[0-9].*', option[60].hex)`, Bool},
	{"iface", `pkt.iface == 'eth0'`, Bool},
	{"hexstring", `hexstring(pkt4.mac, ':')`, String},
	{"concat", `relay4[1].hex + '.' + lcase(option[12].text) + '.' + addrtotext(pkt4.giaddr)`, String},
	{"text", `option[82].text`, String},
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	q := benchMessage(t)
	var s Scratch
	buf := make([]byte, 0, 512)
	for _, tt := range benchExprs {
		e := compile(t, tt.expr, tt.kind, testEnv())
		f := func() { e.Test(q, &s) }
		if tt.kind == String {
			f = func() { buf = e.AppendString(buf[:0], q, &s) }
		}
		f()
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", tt.expr, n)
		}
	}
	set := benchSet(t)
	f := func() {
		q.bits = [8]uint64{}
		set.EvaluateFirst(q, q, &s)
		set.EvaluateSecond(q, q, &s)
		set.EvaluateAdditional([]uint32{0, 1, 2}, q, q, &s)
	}
	f()
	if n := testing.AllocsPerRun(200, f); n != 0 {
		t.Errorf("set: %v allocations", n)
	}
}

func BenchmarkExpr(b *testing.B) {
	q := benchMessage(b)
	for _, tt := range benchExprs {
		b.Run(tt.name, func(b *testing.B) {
			e := compile(b, tt.expr, tt.kind, testEnv())
			var s Scratch
			buf := make([]byte, 0, 512)
			b.ReportAllocs()
			for b.Loop() {
				if tt.kind == Bool {
					e.Test(q, &s)
				} else {
					buf = e.AppendString(buf[:0], q, &s)
				}
			}
		})
	}
}

// benchSet has 40 classes as an ISP's configuration might.
func benchSet(t testing.TB) *Set {
	var defs []Def
	for i := range 36 {
		switch i % 4 {
		case 0:
			defs = append(defs, def(fmt.Sprint("vendor", i), fmt.Sprintf(`substring(option[60].hex, 0, 9) == 'docsis%d.0'`, i)))
		case 1:
			defs = append(defs, def(fmt.Sprint("circuit", i), fmt.Sprintf(`relay4[1].hex == 'abc%d'`, i)))
		case 2:
			defs = append(defs, def(fmt.Sprint("mac", i), fmt.Sprintf(`substring(pkt4.mac, 0, 3) == 0x0200%02x`, i)))
		case 3:
			defs = append(defs, def(fmt.Sprint("both", i), fmt.Sprintf(`member('vendor%d') and not member('mac%d')`, i-3, i-1)))
		}
	}
	defs = append(defs, Def{Name: "t", TemplateTest: str(`option[12].hex`)}, def("known", `member('KNOWN')`),
		def("SPAWN_t_FooBar", `'a' == 'b'`), def("spawned", `member('SPAWN_t_FooBar')`))
	env := testEnv()
	n := numbers{}
	env.ClassIndex = n.index
	set, err := NewSet(defs, env)
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range n {
		set.AddSpawned(name, i)
	}
	return set
}

// BenchmarkSet40 evaluates 40 classes for one query.
func BenchmarkSet40(b *testing.B) {
	q := benchMessage(b)
	set := benchSet(b)
	var s Scratch
	b.ReportAllocs()
	for b.Loop() {
		q.bits = [8]uint64{}
		set.EvaluateFirst(q, q, &s)
		set.EvaluateSecond(q, q, &s)
	}
}

func BenchmarkCompile(b *testing.B) {
	env := testEnv()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(`option[12].exists and substring(option[61].hex, 1, 3) == 0x020000 and not member('a')`, Bool, env); err != nil {
			b.Fatal(err)
		}
	}
}
