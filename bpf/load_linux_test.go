package bpf

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestCheckRelease(t *testing.T) {
	for release, want := range map[string]string{
		"5.15.0":                "",
		"5.15.0-91-generic":     "",
		"5.16":                  "",
		"6.1.0-18-amd64":        "",
		"10.0.0":                "",
		"5.10.0":                "needs kernel 5.15 or newer, this is 5.10.0",
		"5.14.0-362.el9.x86_64": "needs kernel 5.15 or newer, this is 5.14.0-362.el9.x86_64",
		"4.19.0":                "needs kernel 5.15 or newer, this is 4.19.0",
		"":                      `needs kernel 5.15 or newer, this is "": EOF`,
		"linux":                 `needs kernel 5.15 or newer, this is "linux": expected integer`,
	} {
		got := ""
		if err := checkRelease(release); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", release, got, want)
		}
	}
}

func TestCheckCapabilities(t *testing.T) {
	bits := func(caps ...int) (set uint64) {
		for _, c := range caps {
			set |= 1 << c
		}
		return set
	}
	const all = "needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, missing: "
	for _, tt := range []struct {
		set  uint64
		want string
	}{
		{bits(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN), ""},
		{bits(unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN), ""},
		{^uint64(0), ""},
		{bits(unix.CAP_SYS_ADMIN), all + "CAP_NET_ADMIN"},
		{bits(unix.CAP_NET_ADMIN), all + "CAP_BPF, CAP_PERFMON"},
		{bits(unix.CAP_BPF, unix.CAP_NET_ADMIN), all + "CAP_PERFMON"},
		{0, all + "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN"},
	} {
		got := ""
		if err := checkCapabilities(tt.set); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%#x: %q, want %q", tt.set, got, tt.want)
		}
	}
}

// onThread runs f on a thread of its own, which ends with it: f may change what
// belongs to the thread.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// What Probe asks for is enough, and without it Probe says so.
func TestLoadWithFewCapabilities(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skipf("cannot load XDP programs here: %v", err)
	}
	set := func(caps ...int) error {
		var data [2]unix.CapUserData
		for _, c := range caps {
			data[c/32].Effective |= 1 << (c % 32)
			data[c/32].Permitted |= 1 << (c % 32)
		}
		return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	}
	if err := onThread(func() error {
		if err := set(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN); err != nil {
			return err
		}
		x, err := Load(Options{})
		if err != nil {
			return err
		}
		defer x.Close()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := x.SetSocket(0, fd); err == nil {
			return errors.New("a UDP socket is taken for an AF_XDP socket")
		}
		return errors.Join(
			x.SetInterface(1, InterfaceConfig{Queues: 1, SocketsPerQueue: 1, Enabled4: true}),
			x.SetLimits(Limits{Client: fast}),
			x.SetScopes([]Scope{{ID: 1, Family: FamilyIPv4, Rate: fast, Global: true, IfIndexes: []uint32{1}}}),
		)
	}); err != nil {
		t.Errorf("%+v", err)
	}
	if err := onThread(func() error {
		if err := set(unix.CAP_NET_ADMIN); err != nil {
			return err
		}
		_, err := Load(Options{})
		return err
	}); err == nil || !strings.Contains(err.Error(), "missing: CAP_BPF, CAP_PERFMON") {
		t.Errorf("error %v, want one that names what is missing", err)
	}
}

func TestLoadInNetworkNamespace(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skipf("cannot load XDP programs here: %v", err)
	}
	if err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		x, err := Load(Options{})
		if err != nil {
			return err
		}
		return x.Close()
	}); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	p := load(t, Options{MaxInterfaces: 2, MaxSockets: 8, MaxAddrs: 3})
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"sockets", p.SetInterface(2, InterfaceConfig{Base: 1, Queues: 2, SocketsPerQueue: 4}),
			"set interface 2: 2 queues of 4 sockets from index 1 need a socket table of 9, MaxSockets is 8"},
		{"no sockets", p.SetInterface(2, InterfaceConfig{Queues: 2}), "set interface 2: 2 queues have 0 sockets each"},
		{"overflow", p.SetInterface(2, InterfaceConfig{Queues: 1 << 31, SocketsPerQueue: 1 << 31}), "more than a device has"},
		{"fits", p.SetInterface(2, InterfaceConfig{Queues: 2, SocketsPerQueue: 4}), ""},
		{"again", p.SetInterface(2, InterfaceConfig{Queues: 2, SocketsPerQueue: 4}), ""},
		{"third interface", p.SetInterface(3, InterfaceConfig{}), "set interface 3: 2 are set, MaxInterfaces is 2"},
		{"less one", p.DeleteInterface(2), ""},
		{"third interface now", p.SetInterface(3, InterfaceConfig{}), ""},
		{"socket index", p.SetSocket(8, 0), "set socket 8: MaxSockets is 8"},
		{"file descriptor", p.SetSocket(7, -1), "set socket 7: bad file descriptor -1"},
		{"not a socket", p.SetSocket(7, 0), "set socket 7: "},
		{"delete socket", p.DeleteSocket(8), "delete socket 8: MaxSockets is 8"},
		{"addresses", p.SetAddrs4(testIf, [][4]byte{{1}, {2}, {3}, {4}}), "set IPv4 addresses of interface 1: 4 addresses with those of other interfaces, MaxAddrs is 3"},
		{"addresses twice", p.SetAddrs4(testIf, [][4]byte{{1}, {2}, {3}, {3}}), ""},
		{"other addresses", p.SetAddrs4(testIf, [][4]byte{{4}, {5}, {6}}), ""},
		{"another interface's", p.SetAddrs4(2, [][4]byte{{4}}), "4 addresses with"},
		{"IPv6 addresses", p.SetAddrs6(testIf, make([][16]byte, 9)), ""},
		{"more IPv6 addresses", p.SetAddrs6(testIf, [][16]byte{{1}, {2}, {3}, {4}}), "set IPv6 addresses of interface 1: 4 addresses with"},
	} {
		if tt.want == "" && tt.err != nil || tt.want != "" && (tt.err == nil || !strings.Contains(tt.err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, tt.err, tt.want)
		}
	}
	if _, err := Load(Options{MaxClients: 1 << 30}); err == nil || !strings.Contains(err.Error(), "MaxClients is 1073741824") {
		t.Errorf("error %v, want one of MaxClients", err)
	}
	// The flags are C's.
	src, err := os.ReadFile("consts.h")
	p.check(err)
	for name, want := range map[string]int{"IFACE_ENABLED4": ifaceEnabled4, "IFACE_ENABLED6": ifaceEnabled6, "IFACE_TAGGED": ifaceTagged} {
		m := regexp.MustCompile(`#define ` + name + ` (\d+)\n`).FindSubmatch(src)
		if m == nil || string(m[1]) != strconv.Itoa(want) {
			t.Errorf("%s is not %d in consts.h", name, want)
		}
	}
}

// The secret of the hash is another in each load.
func TestSeedIsRandom(t *testing.T) {
	if err := Probe(); err != nil {
		t.Skipf("cannot load XDP programs here: %v", err)
	}
	var seeds [2][2]uint64
	for i := range seeds {
		x, err := Load(Options{})
		if err != nil {
			t.Fatal(err)
		}
		var s dhcpSettings
		if err := x.objs.Settings.Lookup(uint32(0), &s); err != nil {
			t.Fatal(err)
		}
		seeds[i] = s.Seed
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if err := x.SetInterface(1, InterfaceConfig{}); err == nil {
			t.Error("a closed program takes an interface")
		}
		if err := x.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
	}
	if seeds[0] == seeds[1] || seeds[0] == [2]uint64{} {
		t.Errorf("seeds %x", seeds)
	}
}

// While sets and limits are replaced, an address that stays is always ours and a
// scope that stays is always found.
func TestReplaceWithoutWindow(t *testing.T) {
	p := load(t, Options{})
	none := Rate{Per: time.Second}
	scope := Scope{ID: 1, Family: FamilyIPv4, Rate: none, IfIndexes: []uint32{testIf}}
	p.check(p.SetScopes([]Scope{scope}))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	errs := make(chan error, 1)
	wg.Go(func() {
		for n := 0; ; n++ {
			i := byte(n % 200)
			select {
			case <-stop:
				return
			default:
			}
			err := errors.Join(
				p.SetAddrs4(testIf, [][4]byte{{10, 0, 0, i}, serverAddr4, {10, 0, 1, i}}),
				p.SetScopes([]Scope{{ID: 2 + uint64(i), Family: FamilyIPv4, Rate: fast, IfIndexes: []uint32{100 + uint32(i)}}, scope}),
				p.SetInterface(testIf, InterfaceConfig{Queues: 1, SocketsPerQueue: 1 + uint32(i), Enabled4: true}),
			)
			if err != nil {
				errs <- err
				return
			}
		}
	})
	q := discover()
	q.dst = serverAddr4
	b := q.bytes()
	for range 20000 {
		verdict, err := p.Program().Run(&ebpf.RunOptions{Data: b})
		p.check(err)
		if verdict != uint32(ActionDrop) {
			c, _ := p.Counters(nil)
			t.Errorf("%v, want it dropped by its scope: %v", Action(verdict), c)
			break
		}
	}
	close(stop)
	wg.Wait()
	select {
	case err := <-errs:
		t.Error(err)
	default:
	}
}

func TestCounters(t *testing.T) {
	p := load(t, Options{})
	for range 3 {
		p.run(discover().bytes())
	}
	p.run(packet6{msg: msg6(typeInf6)}.bytes())
	counters, err := p.Counters(nil)
	p.check(err)
	if len(counters) != 2 || counters[0] != (Counter{FamilyIPv4, ActionPass, ReasonNoSocket, 3}) || counters[1] != (Counter{FamilyIPv6, ActionPass, ReasonNoSocket, 1}) {
		t.Errorf("counters %v", counters)
	}
	messages, err := p.MessageCounters(nil)
	p.check(err)
	if len(messages) != 2 || messages[0] != (MessageCounter{FamilyIPv4, typeDisc, 3}) || messages[1] != (MessageCounter{FamilyIPv6, typeInf6, 1}) {
		t.Errorf("messages %v", messages)
	}
	notes, err := p.NoteCounters(nil)
	p.check(err)
	if len(notes) != int(dhcpNoteNOTE_COUNT) || notes[0] != (NoteCounter{NoteScopeUnknown, 0}) {
		t.Errorf("notes %v", notes)
	}
}
