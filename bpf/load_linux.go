package bpf

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Objects is the loaded program and its maps. Its methods may be called by any
// goroutine at any time, also while the program runs on packets. After Close they
// return errors.
type Objects struct {
	opts Options
	objs dhcpObjects

	mu struct {
		sync.Mutex
		settings dhcpSettings
		ifaces   map[uint32]struct{}
		vlans    map[uint32]map[dhcpVlanKey]uint32 // by the interface below
		addrs4   addrSet[dhcpAddr4Key]
		addrs6   addrSet[dhcpAddr6Key]
		scopes   scopeTable
	}
}

// Load puts the program and its maps into the kernel. The program passes
// everything until an interface is set. The caller must Close the result.
//
// The error says what is missing if the kernel or the process cannot (see Probe);
// one of the verifier wraps *ebpf.VerifierError (errors.As), whose %+v is the
// whole log.
func Load(o Options) (*Objects, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := Probe(); err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("remove memlock limit: %w", err)
	}
	spec, err := loadDhcp()
	if err != nil {
		return nil, fmt.Errorf("read XDP program: %w", err)
	}
	// Sets are replaced by adding before deleting, so these maps hold twice what
	// may be set: a replacement always has room.
	for name, n := range map[string]uint32{
		dhcpMapInterfaces:      opts.MaxInterfaces,
		dhcpMapVlans:           2 * opts.MaxVLANs,
		dhcpMapSockets:         opts.MaxSockets,
		dhcpMapPressures:       opts.MaxSockets,
		dhcpMapClients:         opts.MaxClients,
		dhcpMapRelays:          opts.MaxRelays,
		dhcpMapAddrs4:          2 * opts.MaxAddrs,
		dhcpMapAddrs6:          2 * opts.MaxAddrs,
		dhcpMapScopeRates:      2*opts.MaxScopes + 1,
		dhcpMapScopeBuckets:    2*opts.MaxScopes + 1,
		dhcpMapScopePrefixes4:  2 * opts.MaxScopePrefixes,
		dhcpMapScopeInterfaces: 2 * opts.MaxScopePrefixes,
	} {
		spec.Maps[name].MaxEntries = n
	}

	x := &Objects{opts: opts}
	if err := spec.LoadAndAssign(&x.objs, nil); err != nil {
		return nil, fmt.Errorf("load XDP program: %w", err)
	}
	x.mu.ifaces = make(map[uint32]struct{})
	x.mu.vlans = make(map[uint32]map[dhcpVlanKey]uint32)
	x.mu.addrs4 = make(addrSet[dhcpAddr4Key])
	x.mu.addrs6 = make(addrSet[dhcpAddr6Key])
	x.mu.scopes = newScopeTable(opts.MaxScopes)
	x.mu.settings = dhcpSettings{Seed: opts.Seed, Port4: opts.Port4, Port6: opts.Port6}
	if opts.Seed == ([2]uint64{}) {
		var b [16]byte
		rand.Read(b[:]) // never fails
		x.mu.settings.Seed = [2]uint64{binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:])}
	}
	if err := x.putSettings(); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// Program is the XDP program, for attaching. It belongs to the Objects: closing
// those closes it, which does not detach it from where it is attached.
func (o *Objects) Program() *ebpf.Program { return o.objs.PeregrineDhcp }

// Close gives program and maps back. The kernel keeps them as long as the program
// is attached somewhere.
func (o *Objects) Close() error { return o.objs.Close() }

// putSettings writes the settings. The program may read a mixture of old and new
// for the moment of the copy; each field is right by itself.
func (o *Objects) putSettings() error {
	if err := o.objs.Settings.Put(uint32(0), &o.mu.settings); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// Probe says whether this kernel and process can load the program; the error says
// what is missing. It changes nothing.
func Probe() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("read kernel version: %w", err)
	}
	if err := checkRelease(unix.ByteSliceToString(uts.Release[:])); err != nil {
		return err
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if err := checkCapabilities(uint64(data[0].Effective) | uint64(data[1].Effective)<<32); err != nil {
		return err
	}
	// The kernel may have been built without, or a container may forbid what the
	// capabilities allow.
	if err := features.HaveProgramType(ebpf.XDP); err != nil {
		return fmt.Errorf("needs XDP programs, which the kernel refuses here: %w", err)
	}
	if err := features.HaveMapType(ebpf.XSKMap); err != nil {
		return fmt.Errorf("needs AF_XDP sockets (CONFIG_XDP_SOCKETS), which the kernel refuses here: %w", err)
	}
	return nil
}

// minMajor and minMinor are the oldest kernel served.
const minMajor, minMinor = 5, 15

func checkRelease(release string) error {
	var major, minor int
	if n, err := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return fmt.Errorf("needs kernel %d.%d or newer, this is %q: %w", minMajor, minMinor, release, err)
	}
	if major < minMajor || major == minMajor && minor < minMinor {
		return fmt.Errorf("needs kernel %d.%d or newer, this is %s", minMajor, minMinor, release)
	}
	return nil
}

// checkCapabilities is for a set of effective capabilities, one bit each.
// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON. The last is needed because
// without it the verifier refuses packet pointers with variable offsets, and
// there is no other way to walk options.
func checkCapabilities(effective uint64) error {
	has := func(c uint) bool { return effective&(1<<c) != 0 }
	var missing []string
	for _, c := range []struct {
		name    string
		present bool
	}{
		{"CAP_BPF", has(unix.CAP_BPF) || has(unix.CAP_SYS_ADMIN)},
		{"CAP_PERFMON", has(unix.CAP_PERFMON) || has(unix.CAP_SYS_ADMIN)},
		{"CAP_NET_ADMIN", has(unix.CAP_NET_ADMIN)},
	} {
		if !c.present {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, missing: %s", strings.Join(missing, ", "))
	}
	return nil
}
