package class

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// members is a Members and the classes of a fake at once.
type members struct {
	*fake
	names numbers
	log   []string
}

func (m *members) AddClass(i uint32) {
	if m.classes[i] {
		return
	}
	m.classes[i] = true
	for n, j := range m.names {
		if i == j {
			m.log = append(m.log, n)
		}
	}
}

func (m *members) AddSpawned(c *Class, escaped []byte) {
	m.log = append(m.log, "("+SpawnPrefix+c.Name+"_"+string(escaped)+")")
}

func (m *members) take() string {
	s := strings.Join(m.log, " ")
	m.log = nil
	return s
}

func str(s string) *string { return &s }

func def(name, test string) Def { return Def{Name: name, Test: &test} }

func newSet(t testing.TB, n numbers, defs ...Def) (*Set, *members) {
	t.Helper()
	env := testEnv()
	env.ClassIndex = n.index
	set, err := NewSet(defs, env)
	if err != nil {
		t.Fatal(err)
	}
	for name, i := range n {
		set.AddSpawned(name, i)
	}
	q := testPacket()
	q.classes = map[uint32]bool{}
	return set, &members{fake: q, names: n}
}

// TestPasses: what depends on KNOWN waits for the second pass, also through
// other classes (CL-009, CL-047).
func TestPasses(t *testing.T) {
	n := numbers{}
	set, m := newSet(t, n,
		def("yes", `'a' == 'a'`),
		def("no", `'a' == 'b'`),
		Def{Name: "bare"},
		Def{Name: "KNOWN"},
		def("k1", `member('KNOWN')`),
		def("k2", `member('k1') or member('yes')`),
		def("u", `not member('UNKNOWN')`),
		Def{Name: "t", TemplateTest: str(`ifelse(member('k2'), 'x', 'y')`)}, // only directly
		Def{Name: "tk", TemplateTest: str(`ifelse(member('KNOWN'), 'x', 'y')`)},
		def("t2", `member('tk')`),
		def("after", `member('yes') and not member('no')`),
		Def{Name: "more", Test: str(`'a' == 'a'`), OnlyInAdditionalList: true},
		def("v", `member('VENDOR_CLASS_x') or member('HA_s1') or member('AFTER_a') or member('EXTERNAL_e') or member('BOOTP') or member('ALL')`),
	)
	var depends []string
	for _, c := range set.Classes {
		if c.DependsOnKnown {
			depends = append(depends, c.Name)
		}
	}
	if got := strings.Join(depends, " "); got != "k1 k2 u tk t2" {
		t.Errorf("dependent on KNOWN: %s", got)
	}
	var s Scratch
	m.classes[n.index("ALL")] = true
	set.EvaluateFirst(m, m, &s)
	if got, want := m.take(), "yes (SPAWN_t_y) t after v"; got != want {
		t.Errorf("first pass: %s, want %s", got, want)
	}
	m.classes[n.index("KNOWN")] = true
	set.EvaluateSecond(m, m, &s)
	if got, want := m.take(), "k1 k2 u (SPAWN_tk_x) tk t2"; got != want {
		t.Errorf("second pass: %s, want %s", got, want)
	}
	var evaluated []string
	for _, i := range set.Evaluated {
		evaluated = append(evaluated, set.Lookup(i).Name)
	}
	if got, want := strings.Join(evaluated, " "), "yes no k1 k2 u t tk t2 after more v"; got != want {
		t.Errorf("evaluated: %s, want %s", got, want)
	}
	if set.Lookup(n.index("ALL")) != nil || set.Lookup(12345) != nil {
		t.Error("a class without definition has one")
	}
	if set.Lookup(n.index("bare")).Test != nil {
		t.Error("a class without test has one")
	}
	for name, want := range map[string]string{"yes": "k2", "k1": "k2", "k2": "t", "tk": "t2", "no": "after", "v": "", "never": "", "KNOWN": "k1"} {
		if got, ok := set.Dependent(name); got != want || ok != (want != "") {
			t.Errorf("first dependent of %s: %q, want %q", name, got, want)
		}
	}
}

// TestSpawn: spawned classes come before their template, with escaped values,
// and are tested by later ones under their number (CL-045, CL-046).
func TestSpawn(t *testing.T) {
	n := numbers{}
	n.index("SPAWN_A_B_c")    // of A with B_c, and of A_B with c
	n.index("SPAWN_A_%20%%x") // as a guard would mention it
	n.index("SPAWN_A_")
	n.index("SPAWN_A")
	n.index("SPAWN_Z_x")
	set, m := newSet(t, n,
		Def{Name: "A", TemplateTest: str(`option[12].hex`)},
		Def{Name: "A_B", TemplateTest: str(`option[60].hex`)},
		Def{Name: "SPAWN_A_B_c"},
		def("later", `member('SPAWN_A_B_c')`),
	)
	for _, tt := range []struct{ host, vendor, want string }{
		{"", "", ""},
		{"B_c", "", "SPAWN_A_B_c A later"},
		{"", "c", "SPAWN_A_B_c A_B later"},
		{"B_c", "c", "SPAWN_A_B_c A A_B later"},
		{" %x", "", "SPAWN_A_%20%%x A"},
		{"\x00\xff\"'(),;<=>[\\]`{}\x7f", "", "(SPAWN_A_%00%ff%22%27%28%29%2c%3b%3c%3d%3e%5b%5c%5d%60%7b%7d%7f) A"},
		{"!#$&*+-./:?@^_|~09azAZ", "", "(SPAWN_A_!#$&*+-./:?@^_|~09azAZ) A"},
	} {
		m.classes = map[uint32]bool{}
		m.options = map[uint16][]byte{12: []byte(tt.host), 60: []byte(tt.vendor)}
		var s Scratch
		if r := set.EvaluateFirst(m, m, &s); r.Failures != 0 {
			t.Errorf("%q, %q: %d failures", tt.host, tt.vendor, r.Failures)
		}
		if got := m.take(); got != tt.want {
			t.Errorf("%q, %q: %s, want %s", tt.host, tt.vendor, got, tt.want)
		}
	}
}

func TestAdditional(t *testing.T) {
	n := numbers{}
	set, m := newSet(t, n,
		Def{Name: "only", Test: str(`'a' == 'a'`), OnlyInAdditionalList: true},
		def("not", `'a' == 'b'`),
		Def{Name: "bare"},
		Def{Name: "bare only", OnlyInAdditionalList: true},
		def("fails", `not int8totext('xx') == ''`),
		def("known", `member('KNOWN')`),
		Def{Name: "template", TemplateTest: str(`'true'`)},
		Def{Name: "false", TemplateTest: str(`'false'`)},
		Def{Name: "neither", TemplateTest: str(`'x'`)},
		def("sees", `member('only')`),
	)
	n.index("undefined")
	var list []uint32
	for _, name := range strings.Split("sees,undefined,template,neither,false,only,not,bare,bare only,fails,known,sees", ",") {
		list = append(list, n.index(name))
	}
	var s Scratch
	set.EvaluateFirst(m, m, &s)
	if got, want := m.take(), "(SPAWN_template_true) template (SPAWN_false_false) false (SPAWN_neither_x) neither"; got != want {
		t.Errorf("first pass: %s, want %s", got, want)
	}
	m.classes = map[uint32]bool{n.index("KNOWN"): true}
	r := set.EvaluateAdditional(list, m, m, &s)
	if got, want := m.take(), "template only bare bare only known sees"; got != want {
		t.Errorf("added %s, want %s", got, want)
	}
	if r.Failures != 2 || r.Failed.Name != "neither" || r.Reason != FailBool {
		t.Errorf("%d failures, first %+v, %v", r.Failures, r.Failed, r.Reason)
	}
}

// TestSetFailures: a class whose expression fails is left out, and the others
// are not.
func TestSetFailures(t *testing.T) {
	set, m := newSet(t, numbers{},
		def("a", `int8totext(option[12].hex) == ''`),
		Def{Name: "t", TemplateTest: str(`addrtotext(option[12].hex)`)},
		Def{Name: "long", TemplateTest: str(strings.Repeat(`hexstring(`, 9) + `option[12].hex` + strings.Repeat(`, ':')`, 9))},
		Def{Name: "escape", TemplateTest: str(`option[13].hex`)},
		def("b", `'a' == 'a'`),
	)
	m.options[13] = make([]byte, MaxValueLen/3+1)
	var s Scratch
	r := set.EvaluateFirst(m, m, &s)
	if got := m.take(); got != "b" || r.Failures != 4 || r.Failed.Name != "a" || r.Reason != FailLength {
		t.Errorf("in %s; %d failures, first %+v, %v", got, r.Failures, r.Failed, r.Reason)
	}
	if cap(s.buf) > MaxValueLen {
		t.Errorf("scratch has %d octets", cap(s.buf))
	}
}

func TestSetErrors(t *testing.T) {
	for _, tt := range []struct {
		defs   []Def
		def    int
		key    string
		column int
		msg    string
	}{
		{[]Def{{}}, 0, "name", 0, "needs a name"},
		{[]Def{def("a", `'a' == 'a'`), def("a", `'a' == 'a'`)}, 1, "name", 0, "number 1 of the list"},
		{[]Def{{Name: "a", Test: str(`'a' == 'a'`), TemplateTest: str(`'a'`)}}, 0, "template-test", 0, "both"},
		{[]Def{def("a", ``)}, 0, "test", 1, "empty"},
		{[]Def{{Name: "a", TemplateTest: str(``)}}, 0, "template-test", 1, "empty"},
		{[]Def{def("a", `'a'`)}, 0, "test", 4, "expected =="},
		{[]Def{{Name: "a", TemplateTest: str(`'a' == 'a'`)}}, 0, "template-test", 5, "got =="},
		{[]Def{{Name: "x"}, def("a", `member('b')`), {Name: "b"}}, 1, "test", 8, `class "b" is not defined`},
		{[]Def{def("a", `member('a')`)}, 0, "test", 8, `class "a" is not defined`},
		{[]Def{def("a", `member('SPAWN_b_c')`)}, 0, "test", 8, "is not defined"},
		{[]Def{def("a", `member('DROP')`)}, 0, "test", 8, "is not defined"},
		{[]Def{def("a", `member('VENDOR_CLASS_')`)}, 0, "test", 8, "is not defined"},
		{[]Def{def("KNOWN", `'a' == 'a'`)}, 0, "test", 0, "must not have an expression"},
		{[]Def{{Name: "BOOTP", TemplateTest: str(`'a'`)}}, 0, "template-test", 0, "must not have an expression"},
		{[]Def{{Name: "ALL", OnlyInAdditionalList: true}}, 0, "only-in-additional-list", 0, "built-in"},
		{[]Def{{Name: "DROP", OnlyInAdditionalList: true}}, 0, "only-in-additional-list", 0, "special"},
		{[]Def{{Name: "REJECT", OnlyInAdditionalList: true}}, 0, "only-in-additional-list", 0, "special"},
	} {
		env := testEnv()
		_, err := NewSet(tt.defs, env)
		var d *DefError
		if !errors.As(err, &d) || d.Def != tt.def || d.Key != tt.key || !strings.Contains(err.Error(), tt.msg) {
			t.Errorf("%+v: %v, want definition %d, %s: … %s …", tt.defs, err, tt.def, tt.key, tt.msg)
			continue
		}
		e, ok := AsError(err)
		if ok != (tt.column > 0) || ok && e.Column != tt.column {
			t.Errorf("%+v: %v, want column %d", tt.defs, err, tt.column)
		}
	}
	// A template may mention what is not defined (CL-009), DROP may have a test
	// and depend on KNOWN, SKIP_DDNS is a class like others.
	if _, err := NewSet([]Def{
		{Name: "t", TemplateTest: str(`ifelse(member('SPAWN_x_y'), 'a', 'b')`)},
		def("DROP", `member('KNOWN')`),
		def("REJECT", `member('DROP')`),
		def("SKIP_DDNS", `'a' == 'a'`),
		{Name: "ALL"},
	}, testEnv()); err != nil {
		t.Error(err)
	}
	many := make([]Def, 0x10001)
	for i := range many {
		many[i].Name = fmt.Sprint("c", i)
	}
	if _, err := NewSet(many, testEnv()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("65537 classes: %v", err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"ALL": true, "KNOWN": true, "UNKNOWN": true, "BOOTP": true,
		"DROP": false, "REJECT": false, "SKIP_DDNS": false, "all": false, "": false,
		"VENDOR_CLASS_": false, "VENDOR_CLASS_x": true, "HA_s": true, "HA_": false,
		"AFTER_x": true, "EXTERNAL_x": true, "SPAWN_a_b": false, "XHA_s": false,
	} {
		if Builtin(name) != want {
			t.Errorf("Builtin(%q) is %v", name, !want)
		}
	}
	for name, want := range map[string]string{"plain-1.2": "plain-1.2", "100%": "100%", "two words": "two%20words", "ä": "%c3%a4"} {
		if got, ok := CheckName(name); got != want || ok != (name == want) {
			t.Errorf("CheckName(%q) = %q, %v", name, got, ok)
		}
	}
	// The doubled mark makes escaping one to one.
	seen := map[string]string{}
	for _, v := range []string{"a", "%", "%%", "%20", " ", "%%20", "\xff", "%ff", "%25"} {
		e := string(AppendEscaped(nil, []byte(v)))
		if other, ok := seen[e]; ok {
			t.Errorf("%q and %q are both %q", v, other, e)
		}
		seen[e] = v
		for i := range len(e) {
			if !validNameByte(e[i]) {
				t.Errorf("%q is escaped to %q", v, e)
			}
		}
	}
	if got := AppendEscaped([]byte("x"), []byte("50% off")); string(got) != "x50%%%20off" {
		t.Errorf("escaped: %s", got)
	}
}

func TestOptionTypes(t *testing.T) {
	for i := range optionTypes {
		got, ok := ParseOptionType(OptionType(i).String())
		if !ok || got != OptionType(i) {
			t.Errorf("type %d: %v, %v", i, got, ok)
		}
	}
	if _, ok := ParseOptionType("int64"); ok {
		t.Error("int64 is a type")
	}
	if !slices.Equal([]string{Bool.String(), String.String()}, []string{"true or false", "a string"}) {
		t.Error("kinds")
	}
}
