package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// objects reads the objects of both byte orders.
func objects(t *testing.T) map[string]*ebpf.CollectionSpec {
	t.Helper()
	specs := make(map[string]*ebpf.CollectionSpec)
	for _, name := range []string{"dhcp_bpfel.o", "dhcp_bpfeb.o"} {
		spec, err := ebpf.LoadCollectionSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		specs[name] = spec
	}
	return specs
}

// The helpers, map types and instructions of the objects are all in Linux 5.15.
func TestObjectNeedsOnly515(t *testing.T) {
	helpers := []asm.BuiltinFunc{
		asm.FnMapLookupElem, asm.FnMapUpdateElem, // 3.18
		asm.FnKtimeGetNs, asm.FnGetPrandomU32, // 4.1
		asm.FnRedirectMap,                // 4.14; flags as the action to fall back on: 5.3
		asm.FnSpinLock, asm.FnSpinUnlock, // 5.1
	}
	maps := []ebpf.MapType{
		ebpf.Hash, ebpf.Array, // 3.19
		ebpf.PerCPUArray, // 4.6
		ebpf.LRUHash,     // 4.10
		ebpf.LPMTrie,     // 4.11
		ebpf.XSKMap,      // 4.18; look-up from a program: 5.3
	}
	for name, spec := range objects(t) {
		for _, m := range spec.Maps {
			if !slices.Contains(maps, m.Type) {
				t.Errorf("%s: map %s is a %v", name, m.Name, m.Type)
			}
			if m.Type == ebpf.LPMTrie && m.Flags != 1 {
				t.Errorf("%s: map %s has flags %#x, an LPM trie must not be preallocated", name, m.Name, m.Flags)
			}
		}
		if len(spec.Programs) != 1 || len(spec.Variables) != 0 {
			t.Errorf("%s: %d programs and %d variables, want one program", name, len(spec.Programs), len(spec.Variables))
		}
		used := make(map[asm.BuiltinFunc]bool)
		for _, p := range spec.Programs {
			if p.License != "Dual BSD/GPL" {
				t.Errorf("%s: licence %q", name, p.License)
			}
			for i, ins := range p.Instructions {
				if ins.IsBuiltinCall() {
					used[asm.BuiltinFunc(ins.Constant)] = true
				}
				switch c := ins.OpCode; {
				case ins.IsKfuncCall():
					t.Errorf("%s: instruction %d calls a kfunc: %v", name, i, ins)
				case c.Class() == asm.StXClass && c.Mode() == asm.AtomicMode && ins.Constant != 0:
					// Only plain atomic add: the JITs of some machines learned
					// the others after 5.15.
					t.Errorf("%s: instruction %d is an atomic other than add: %v", name, i, ins)
				case c.Class() == asm.LdXClass && c.Mode() == asm.MemSXMode,
					c.Class().IsALU() && c.ALUOp() == asm.Mov && ins.Offset != 0,
					c.Class().IsALU() && (c.ALUOp() == asm.Div || c.ALUOp() == asm.Mod) && ins.Offset != 0,
					c.Class() == asm.Jump32Class && c.JumpOp() == asm.Ja:
					t.Errorf("%s: instruction %d is of BPF v4: %v", name, i, ins)
				}
			}
		}
		for h := range used {
			if !slices.Contains(helpers, h) {
				t.Errorf("%s calls helper %v", name, h)
			}
		}
		if len(used) != len(helpers) {
			t.Errorf("%s calls %d helpers, %d are listed: %v", name, len(used), len(helpers), used)
		}
	}
}

// The objects name no file of the machine they were built on.
func TestObjectHasNoPaths(t *testing.T) {
	path := regexp.MustCompile(`(^|\x00)/[a-zA-Z]+/[^\x00]*`)
	for _, name := range []string{"dhcp_bpfel.o", "dhcp_bpfeb.o"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if p := path.Find(b); p != nil {
			t.Errorf("%s holds the path %q", name, p)
		}
		if bytes.Contains(b, []byte("clang version")) {
			t.Errorf("%s names its compiler", name)
		}
	}
}

// Where the pinned compiler is, what is checked in is what it makes.
func TestObjectIsCurrent(t *testing.T) {
	for _, tool := range []string{"clang-14", "llvm-strip-14"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("cannot rebuild the objects: %v", err)
		}
	}
	gen, err := os.ReadFile("gen.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^//go:generate go tool bpf2go (.*)$`).FindSubmatch(gen)
	if line == nil {
		t.Fatal("gen.go has no bpf2go line")
	}
	dir := t.TempDir()
	args := []string{"tool", "bpf2go", "-output-dir", dir, "-go-package", "bpf"}
	for _, a := range bytes.Fields(line[1]) {
		args = append(args, string(a))
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("generate: %v\n%s", err, out)
	}
	for _, name := range []string{"dhcp_bpfel.go", "dhcp_bpfel.o", "dhcp_bpfeb.go", "dhcp_bpfeb.o"} {
		have, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what the source makes: run go generate ./bpf", name)
		}
	}
}

func size[T any]() uintptr { return reflect.TypeFor[T]().Size() }

// offset is of the named field; an unknown name is nowhere.
func offset[T any](name string) uintptr {
	f, ok := reflect.TypeFor[T]().FieldByName(name)
	if !ok {
		return ^uintptr(0)
	}
	return f.Offset
}

// structs.h asserts the same sizes and offsets.
func TestStructLayout(t *testing.T) {
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"rate", size[dhcpRate](), 16},
		{"rate.cost_ns", offset[dhcpRate]("CostNs"), 0},
		{"rate.burst_ns", offset[dhcpRate]("BurstNs"), 8},
		{"bucket", size[dhcpBucket](), 8},
		{"shared_bucket", size[dhcpSharedBucket](), 16},
		{"shared_bucket.lock", offset[dhcpSharedBucket]("Lock"), 0},
		{"shared_bucket.full_boot_ns", offset[dhcpSharedBucket]("FullBootNs"), 8},
		{"settings", size[dhcpSettings](), 104},
		{"settings.seed", offset[dhcpSettings]("Seed"), 0},
		{"settings.client", offset[dhcpSettings]("Client"), 16},
		{"settings.relay", offset[dhcpSettings]("Relay"), 32},
		{"settings.new_clients", offset[dhcpSettings]("NewClients"), 48},
		{"settings.discover", offset[dhcpSettings]("Discover"), 64},
		{"settings.scope_global", offset[dhcpSettings]("ScopeGlobal"), 80},
		{"settings.port4", offset[dhcpSettings]("Port4"), 92},
		{"settings.port6", offset[dhcpSettings]("Port6"), 94},
		{"settings.limited", offset[dhcpSettings]("Limited"), 96},
		{"settings.scopes", offset[dhcpSettings]("Scopes"), 100},
		{"iface", size[dhcpIface](), 16},
		{"iface.base", offset[dhcpIface]("Base"), 0},
		{"iface.queues", offset[dhcpIface]("Queues"), 4},
		{"iface.sockets_per_queue", offset[dhcpIface]("SocketsPerQueue"), 8},
		{"iface.flags", offset[dhcpIface]("Flags"), 12},
		{"vlan_key", size[dhcpVlanKey](), 12},
		{"vlan_key.tpid", offset[dhcpVlanKey]("Tpid"), 4},
		{"vlan_key.vid", offset[dhcpVlanKey]("Vid"), 8},
		{"addr4_key", size[dhcpAddr4Key](), 8},
		{"addr4_key.addr", offset[dhcpAddr4Key]("Addr"), 4},
		{"addr6_key", size[dhcpAddr6Key](), 20},
		{"addr6_key.addr", offset[dhcpAddr6Key]("Addr"), 4},
		{"client_key", size[dhcpClientKey](), 20},
		{"client_key.kind", offset[dhcpClientKey]("Kind"), 16},
		{"relay_key", size[dhcpRelayKey](), 16},
		{"scope4_key", size[dhcpScope4Key](), 8},
		{"scope4_key.addr", offset[dhcpScope4Key]("Addr"), 4},
		{"scope_iface_key", size[dhcpScopeIfaceKey](), 8},
		{"scope_iface_key.family", offset[dhcpScopeIfaceKey]("Family"), 4},
		{"counters", size[dhcpCounters](), 8 * (3*5*uintptr(dhcpReasonREASON_COUNT) + 3*64 + uintptr(dhcpNoteNOTE_COUNT))},
		{"counters.received", offset[dhcpCounters]("Received"), 8 * 3 * 5 * uintptr(dhcpReasonREASON_COUNT)},
		{"counters.notes", offset[dhcpCounters]("Notes"), 8 * (3*5*uintptr(dhcpReasonREASON_COUNT) + 3*64)},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, tt.got, tt.want)
		}
	}
	// And the maps hold just these structs.
	for name, spec := range objects(t) {
		for _, tt := range []struct {
			m          string
			key, value uintptr
		}{
			{dhcpMapSettings, 4, size[dhcpSettings]()},
			{dhcpMapInterfaces, 4, size[dhcpIface]()},
			{dhcpMapVlans, size[dhcpVlanKey](), 4},
			{dhcpMapAddrs4, size[dhcpAddr4Key](), 4},
			{dhcpMapAddrs6, size[dhcpAddr6Key](), 4},
			{dhcpMapSockets, 4, 4},
			{dhcpMapScopeRates, 4, size[dhcpRate]()},
			{dhcpMapScopePrefixes4, size[dhcpScope4Key](), 4},
			{dhcpMapScopeInterfaces, size[dhcpScopeIfaceKey](), 4},
			{dhcpMapClients, size[dhcpClientKey](), size[dhcpBucket]()},
			{dhcpMapRelays, size[dhcpRelayKey](), size[dhcpBucket]()},
			{dhcpMapNewClients, 4, size[dhcpSharedBucket]()},
			{dhcpMapDiscovers, 4, size[dhcpBucket]()},
			{dhcpMapScopeBuckets, 4, size[dhcpSharedBucket]()},
			{dhcpMapCounters, 4, size[dhcpCounters]()},
		} {
			m := spec.Maps[tt.m]
			if uintptr(m.KeySize) != tt.key || uintptr(m.ValueSize) != tt.value {
				t.Errorf("%s: map %s has keys of %d and values of %d, want %d and %d", name, tt.m, m.KeySize, m.ValueSize, tt.key, tt.value)
			}
		}
	}
}

// Every number of the C enums has a label and every label a number.
func TestLabels(t *testing.T) {
	for _, tt := range []struct {
		name   string
		labels []string
		count  int
	}{
		{"family", familyLabels[:], int(dhcpFamilyFAMILY_COUNT)},
		{"action", actionLabels[:], int(dhcpActionACTION_COUNT)},
		{"reason", reasonLabels[:], int(dhcpReasonREASON_COUNT)},
		{"note", noteLabels[:], int(dhcpNoteNOTE_COUNT)},
	} {
		if len(tt.labels) != tt.count {
			t.Errorf("%d labels for %d values of enum %s", len(tt.labels), tt.count, tt.name)
		}
		seen := make(map[string]bool)
		for i, l := range tt.labels {
			if l == "" || seen[l] {
				t.Errorf("%s %d has the label %q: empty or another's", tt.name, i, l)
			}
			seen[l] = true
		}
	}
	// The labels are the C names, in lower case and with dashes.
	src, err := os.ReadFile("consts.h")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^\t(FAMILY|ACTION|REASON|NOTE)_(\w+) = (\d+),`).FindAllSubmatch(src, -1) {
		i, err := strconv.Atoi(string(m[3]))
		if err != nil {
			t.Fatal(err)
		}
		want := string(bytes.ReplaceAll(bytes.ToLower(m[2]), []byte("_"), []byte("-")))
		if want == "count" {
			continue
		}
		got := map[string][]string{"FAMILY": familyLabels[:], "ACTION": actionLabels[:], "REASON": reasonLabels[:], "NOTE": noteLabels[:]}[string(m[1])][i]
		if got != want {
			t.Errorf("%s_%s has the label %q, want %q", m[1], m[2], got, want)
		}
		n++
	}
	if want := len(familyLabels) + len(actionLabels) + len(reasonLabels) + len(noteLabels); n != want {
		t.Errorf("consts.h has %d values, want %d", n, want)
	}
	if got := Reason(200).String(); got != "200" {
		t.Errorf("a reason without a label is %q", got)
	}
}
