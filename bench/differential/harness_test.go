package differential

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func mustStep(t *testing.T, line string) *step {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	st, err := parseStep(word, rest, nil, conversationVerbs)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func mustBuild(t *testing.T, line string) *packet {
	t.Helper()
	p, err := build(mustStep(t, line), 7, 0x01020304, serverMAC, newSide().value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBuild(t *testing.T) {
	for _, c := range []struct{ line, opts string }{
		{`DISCOVER`, "\x35\x01\x01\xff"},
		{`DISCOVER prl=1,3 lifetime=600 host="a b"`, "\x35\x01\x01\x37\x02\x01\x03\x33\x04\x00\x00\x02\x58\x0c\x03a b\xff"},
		{`REQUEST sid=$server noend`, "\x35\x01\x03\x36\x04\x0a\x01\x00\x01"},
		{`bootp raw=0x00*3 77=0x01+"b"*2 pad=2`, "\x00\x00\x00\x4d\x03\x01bb\xff\x00\x00"},
		{`DISCOVER rai=1:"p;7";5:10.0.0.1;raw:0x02`, "\x35\x01\x01\x52\x0c\x01\x03p;7\x05\x04\x0a\x00\x00\x01\x02\xff"},
		{`DISCOVER max=1500 61=01:ff`, "\x35\x01\x01\x39\x02\x05\xdc\x3d\x02\x01\xff\xff"},
	} {
		if got := string(mustBuild(t, c.line).msg[headerLen:]); got != c.opts {
			t.Errorf("%s: %x, want %x", c.line, got, c.opts)
		}
	}
	p := mustBuild(t, "DISCOVER giaddr=10.2.0.1 hops=1 bcast")
	if p.src != netip.MustParseAddr("10.2.0.1") || p.dst != serverAddr || p.srcPort != 67 || p.dstMAC != serverMAC || p.srcMAC != relayMAC {
		t.Errorf("relayed: %+v", p)
	}
	if p.msg[offHops] != 1 || p.msg[offFlags] != 0x80 || [4]byte(p.msg[offGIAddr:]) != [4]byte{10, 2, 0, 1} {
		t.Errorf("relayed: %x", p.msg[:headerLen])
	}
	p = mustBuild(t, "DISCOVER client=3")
	if p.src != noAddr || p.dst != broadcastAddr || p.srcPort != 68 || p.dstMAC != broadcastMAC || p.srcMAC != clientMAC(7, 3) {
		t.Errorf("direct: %+v", p)
	}
	if p = mustBuild(t, "DISCOVER cut=241"); len(p.msg) != 241 {
		t.Errorf("cut at %d", len(p.msg))
	}
	for _, bad := range []string{"DISCOVER x=1", "DISCOVER 256=1", "DISCOVER giaddr=x", "DISCOVER prl=256", "DISCOVER max=65536", "DISCOVER hlen=256", "DISCOVER rai=x", "DISCOVER mac=01:02", "DISCOVER req=$yiaddr", "DISCOVER 61=0x1"} {
		if _, err := build(mustStep(t, bad), 7, 1, serverMAC, newSide().value); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func TestScript(t *testing.T) {
	s, err := parseScript([]byte(`
map 10.1.8.0/24
config
{ "valid-lifetime": 7, "loggers": null }
end
conversation one
  DISCOVER
  because this
  != answer: kea NAK, peregrine none
  wait 2s
conversation two
  DISCOVER req=%1 prl=%2
  because that
  != [b] yiaddr: x
  because other
  != siaddr: y
rows
  a | 10.1.8.1 | 1,3
  b | 10.1.8.2 | 6
`))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.dhcp4["loggers"]; ok || s.dhcp4["valid-lifetime"] == nil || s.dhcp4["subnet4"] == nil {
		t.Errorf("configuration %v", s.dhcp4)
	}
	var names []string
	for i, c := range s.convs {
		names = append(names, c.name)
		if c.index != i {
			t.Errorf("%s has index %d", c.name, c.index)
		}
	}
	if !slices.Equal(names, []string{"one", "two/a", "two/b"}) {
		t.Fatalf("conversations %q", names)
	}
	silent := func(st *step) [2]bool {
		kea, ours := st.expectsSilence()
		return [2]bool{kea, ours}
	}
	if st := s.convs[0].steps[0]; silent(st) != [2]bool{false, true} || !slices.Equal(st.known, []known{{"this", "answer: kea NAK, peregrine none"}}) {
		t.Errorf("%+v", st)
	}
	if st := s.convs[1].steps[0]; silent(st) != [2]bool{} || !slices.Equal(st.known, []known{{"other", "siaddr: y"}}) || st.args[0] != (token{"req", "10.1.8.1"}) {
		t.Errorf("%+v", st)
	}
	if st := s.convs[2].steps[0]; !slices.Equal(st.known, []known{{"that", "yiaddr: x"}, {"other", "siaddr: y"}}) {
		t.Errorf("%+v", st)
	}
	for _, bad := range []string{
		"DISCOVER", "config\n{}", "config\n{\nend", "conversation", "conversation a\n  SING", "conversation a\n  because x", "conversation a\n  DISCOVER\n  != x",
		"conversation a\nconversation a", "rows", "conversation a\n  DISCOVER req=%1\nrows\n x", "conversation a\n  DISCOVER\nrows", "map 10.0.0.0/99",
		"conversation a\n  wait 1h", "conversation a\n  DISCOVER 12=\"x", "conversation a\n  DISCOVER\n  because b\n  != [z] x\nrows\n y",
	} {
		if _, err := parseScript([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// sample is a reply with an option of each kind.
func sample(t *testing.T) *reply {
	t.Helper()
	m := mustBuild(t, `bootp raw=0x350105 1=255.255.0.0 3=10.1.0.1 12="box" 51=600 54=10.1.0.1 58=300 yiaddr=10.1.8.5 siaddr=192.0.2.1 file="x"`).msg
	m[0] = 2
	r, err := readReply(m)
	if err != nil {
		t.Fatal(err)
	}
	r.src, r.dst, r.srcPort, r.dstPort = serverAddr, netip.MustParseAddr("10.1.8.5"), 67, 68
	return r
}

// TestCompare changes each octet of a reply and everything around it: nothing
// may go unnoticed but a second of a time.
func TestCompare(t *testing.T) {
	sc := &script{}
	diff := func(k, p *reply) []string { return compare(sc, newSide(), newSide(), k, p) }
	if d := diff(sample(t), sample(t)); len(d) != 0 {
		t.Fatalf("equal replies differ: %v", d)
	}
	whole := sample(t)
	for i := range whole.msg {
		if i >= offCookie && i < headerLen {
			continue // it would not be taken for a reply
		}
		p := sample(t)
		p.msg[i] ^= 0x10
		q, err := readReply(p.msg)
		if err != nil {
			continue // noticed while reading
		}
		q.src, q.dst, q.srcPort, q.dstPort = p.src, p.dst, p.srcPort, p.dstPort
		if len(diff(whole, q)) == 0 {
			t.Errorf("octet %d may change unnoticed", i)
		}
	}
	for name, change := range map[string]func(*reply){
		"source":      func(r *reply) { r.src = noAddr },
		"destination": func(r *reply) { r.dst = noAddr },
		"source port": func(r *reply) { r.srcPort++ },
		"port":        func(r *reply) { r.dstPort++ },
		"station":     func(r *reply) { r.dstMAC[5]++ },
		"own station": func(r *reply) { r.srcMAC[5]++ },
		"no END":      func(r *reply) { r.ended = false },
		"padding":     func(r *reply) { r.rest = []byte{0} },
		"order":       func(r *reply) { r.opts[1], r.opts[2] = r.opts[2], r.opts[1] },
		"less":        func(r *reply) { r.opts = r.opts[:3] },
		"more":        func(r *reply) { r.opts = append(r.opts, option{99, nil}) },
		"twice":       func(r *reply) { r.opts = append(r.opts, r.opts[1]) },
		"time": func(r *reply) {
			b := slices.Clone(r.opts[4].data)
			binary.BigEndian.PutUint32(b, 602)
			r.opts[4].data = b
		},
	} {
		p := sample(t)
		change(p)
		if len(diff(whole, p)) == 0 || len(diff(p, whole)) == 0 {
			t.Errorf("%s: may change unnoticed", name)
		}
	}
	p := sample(t)
	p.opts[4].data = []byte{0, 0, 2, 0x59}
	if d := diff(whole, p); p.opts[4].code != 51 || len(d) != 0 {
		t.Errorf("a second more: %v", d)
	}
	if d := diff(nil, whole); !slices.Equal(d, []string{"answer: kea none, peregrine ACK"}) {
		t.Errorf("%v", d)
	}
	if d := diff(whole, nil); !slices.Equal(d, []string{"answer: kea ACK, peregrine none"}) {
		t.Errorf("%v", d)
	}
	if diff(nil, nil) != nil {
		t.Error("silence differs from silence")
	}
}

// TestMappedAddresses compares what allocators choose by order of appearance.
func TestMappedAddresses(t *testing.T) {
	sc := &script{mapped: []netip.Prefix{netip.MustParsePrefix("10.1.8.0/24")}}
	kea, ours := newSide(), newSide()
	with := func(last byte) *reply {
		r := sample(t)
		r.msg[offYIAddr+3] = last
		r.dst = r.addr(offYIAddr)
		return r
	}
	if d := compare(sc, kea, ours, with(5), with(9)); len(d) != 0 {
		t.Errorf("the first addresses: %v", d)
	}
	if d := compare(sc, kea, ours, with(5), with(9)); len(d) != 0 {
		t.Errorf("the first addresses again: %v", d)
	}
	want := []string{"destination address: kea a2, peregrine a1", "yiaddr: kea a2, peregrine a1"}
	if d := compare(sc, kea, ours, with(6), with(9)); !slices.Equal(d, want) {
		t.Errorf("another address of one: %v", d)
	}
	kea.learn(sc, with(6))
	if v, err := kea.value("a2"); err != nil || v != "10.1.8.6" {
		t.Errorf("$a2 is %s, %v", v, err)
	}
	if v, err := kea.value("yiaddr"); err != nil || v != "10.1.8.6" {
		t.Errorf("$yiaddr is %s, %v", v, err)
	}
}

func TestExplain(t *testing.T) {
	st := &step{known: []known{{"this", "a"}, {"that", "b"}}}
	if s := explain([]string{"b", "a"}, st); s != "" {
		t.Errorf("as expected, but %q", s)
	}
	if s := explain([]string{"a", "c"}, st); s != "  != c\n  no longer (that): b\n" {
		t.Errorf("%q", s)
	}
}
