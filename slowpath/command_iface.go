package slowpath

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// systemInterface is an interface in Kea's words (CM-016).
type systemInterface struct {
	Name      string   `json:"name"`
	Index     int      `json:"index"`
	MAC       string   `json:"mac"`
	Type      int      `json:"type"` // ARPHRD_*
	Addresses []string `json:"addresses"`
	Loopback  bool     `json:"flag-loopback"`
	Up        bool     `json:"flag-up"`
	Running   bool     `json:"flag-running"`
	Multicast bool     `json:"flag-multicast"`
	Broadcast bool     `json:"flag-broadcast"`
	InUse     bool     `json:"in-use"`
}

// listInterfaces asks the system for its interfaces.
func listInterfaces(inUse func(name string) bool) ([]systemInterface, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	out := make([]systemInterface, 0, len(list))
	for _, n := range list {
		x := systemInterface{
			Name: n.Name, Index: n.Index, MAC: n.HardwareAddr.String(), Addresses: []string{}, InUse: inUse(n.Name),
			Loopback: n.Flags&net.FlagLoopback != 0, Up: n.Flags&net.FlagUp != 0, Running: n.Flags&net.FlagRunning != 0,
			Multicast: n.Flags&net.FlagMulticast != 0, Broadcast: n.Flags&net.FlagBroadcast != 0,
		}
		if b, err := os.ReadFile("/sys/class/net/" + n.Name + "/type"); err == nil {
			x.Type, _ = strconv.Atoi(strings.TrimSpace(string(b))) // 0 where the system does not say
		}
		addrs, err := n.Addrs()
		if err != nil {
			continue // it has gone meanwhile
		}
		for _, a := range addrs {
			if p, ok := a.(*net.IPNet); ok {
				x.Addresses = append(x.Addresses, p.IP.String())
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// usesInterface says whether a family of the configuration serves an interface.
func (f *family) usesInterface(snap *config.Snapshot, name string) bool {
	return usesInterface(f.v, snap, name)
}

func usesInterface(v stat.Family, snap *config.Snapshot, name string) bool {
	if v == stat.V6 {
		if d := snap.Dhcp6; d != nil {
			for _, i := range d.Interfaces {
				if i.Name == name {
					return true
				}
			}
			return d.AllInterfaces
		}
		return false
	}
	if d := snap.Dhcp4; d != nil {
		for _, i := range d.Interfaces {
			if i.Name == name {
				return true
			}
		}
		return d.AllInterfaces
	}
	return false
}

// interfaceList answers interface-list, and interface-redetect: interfaces are
// followed all the time, so there is nothing to detect.
func (f *family) interfaceList(args json.RawMessage) control.Response {
	if err := decode(args, &struct{}{}); err != nil {
		return fail("%v", err)
	}
	snap := f.s.Snapshot()
	list, err := listInterfaces(func(name string) bool { return f.usesInterface(snap, name) })
	if err != nil {
		return fail("Unexpected error while retrieving the list of detected interfaces: %v", err)
	}
	return ok(fmt.Sprintf("%d interfaces detected.", len(list)), map[string]any{"interfaces": list})
}

// interfaceAdd adds interfaces to those served; it changes the running
// configuration, not the file (config-write does).
func (f *family) interfaceAdd(_ context.Context, args json.RawMessage) control.Response {
	if len(args) == 0 {
		return fail("Missing mandatory 'arguments' parameter.")
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(args, &m); err != nil {
		return fail("arguments for the 'interface-add' command must be a map")
	}
	for k := range m {
		if k != "interfaces" {
			return fail("Unsupported '%s' map parameter in 'arguments'.", k)
		}
	}
	if _, has := m["interfaces"]; !has {
		return fail("Missing mandatory 'interfaces' map parameter in 'arguments'.")
	}
	var names []string
	if err := json.Unmarshal(m["interfaces"], &names); err != nil {
		return fail("'interfaces' must be a list of strings")
	}
	if err := f.addInterfaces(names); err != nil {
		return fail("Unexpected error while updating interface configuration: %v", err)
	}
	return ok("Interface configuration successfully updated.", nil)
}

func (f *family) addInterfaces(names []string) error {
	s := f.s
	if len(names) == 0 {
		return nil
	}
	if s.opt.FromJSON == nil {
		return errors.New("this server cannot change its configuration")
	}
	s.reload.Lock() // nobody else changes the configuration that this is a change of
	defer s.reload.Unlock()
	e, err := keajson.NewEdit(s.Snapshot().Given)
	if err != nil {
		return err
	}
	if e.At(f.part(), "interfaces-config") == nil {
		if err := e.Set([]byte("{}"), f.part(), "interfaces-config"); err != nil {
			return err
		}
	}
	have := map[string]bool{}
	n := 0
	if l := e.At(f.part(), "interfaces-config", "interfaces"); l != nil {
		n = len(l.Kids)
		for i := range l.Kids {
			have[l.Kids[i].Str] = true
		}
	}
	for _, name := range names {
		if have[name] {
			continue
		}
		have[name] = true
		text, err := json.Marshal(name)
		if err != nil {
			return err
		}
		if err := e.Set(text, f.part(), "interfaces-config", "interfaces", n); err != nil {
			return err
		}
		n++
	}
	snap, err := s.opt.FromJSON(e.JSON())
	if err != nil {
		return err
	}
	return s.applyLocked(snap)
}

// configBackendPull: there is no configuration backend.
func (f *family) configBackendPull(context.Context, json.RawMessage) control.Response {
	return control.Response{Result: control.ResultEmpty, Text: "No config backend."}
}
