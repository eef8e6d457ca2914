package slowpath

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// A change by command that leaves subnets, pools and reserved addresses alone keeps
// the allocator, whose making takes as long as there are leases; any other has a
// new one, which knows of the leases.
func TestEditKeepsAllocator(t *testing.T) {
	four := `{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, ` + librariesKey("subnet_cmds") + ` "subnet4": [ { "id": 1, "subnet": "10.67.0.0/16", "pools": [ { "pool": "10.67.1.0 - 10.67.1.255" } ] } ] }`
	b := newBed(t, testConfig6(t.TempDir(), four, librariesKey("subnet_cmds"), true), hookOptions())
	defer b.close()
	newClient6(b, 1).lease()
	b.lease([6]byte{2, 0, 0, 0, 0, 9})
	for _, c := range []struct {
		command, args string
		kept          bool
	}{
		{"subnetN-delta-add", `{"subnetN": [ {"id": 1, "subnet": "PREFIX", "valid-lifetime": 5000} ]}`, true},
		{"subnetN-delta-add", `{"subnetN": [ {"id": 1, "subnet": "PREFIX", "option-data": [ {"code": 222, "data": "01", "csv-format": false} ]} ]}`, true},
		{"subnetN-delta-add", `{"subnetN": [ {"id": 1, "subnet": "PREFIX", "pools": [ {"pool": "SECOND"} ]} ]}`, false},
		{"subnetN-delta-add", `{"subnetN": [ {"id": 1, "subnet": "PREFIX", "valid-lifetime": 6000} ]}`, true},
		{"subnetN-add", `{"subnetN": [ {"id": 2, "subnet": "OTHER"} ]}`, false},
		{"networkN-add", `{"shared-networks": [ {"name": "n"} ]}`, true},
		{"subnetN-delta-add", `{"subnetN": [ {"id": 2, "subnet": "OTHER", "reservations-out-of-pool": true} ]}`, false},
		{"subnetN-del", `{"id": 2}`, false},
	} {
		for _, f := range []struct {
			n, prefix, second, other string
			registry                 *control.Registry
		}{
			{"4", "10.67.0.0/16", "10.67.2.0/24", "10.68.0.0/16", b.s.registry},
			{"6", "2001:db8:1::/64", "2001:db8:1::1:0/112", "2001:db8:2::/64", b.s.six.registry},
		} {
			if f.n == "4" && c.command == "networkN-add" {
				continue // an allocator of DHCPv4 knows the networks
			}
			before4, before6 := b.s.engine.Config().Alloc, b.s.six.engine.Config().Alloc
			r := strings.NewReplacer("subnetN", "subnet"+f.n, "networkN", "network"+f.n, "PREFIX", f.prefix, "SECOND", f.second, "OTHER", f.other)
			answer := f.registry.Run(context.Background(), &control.Call{Command: r.Replace(c.command), Arguments: json.RawMessage(r.Replace(c.args))})
			if answer.Result != control.ResultSuccess {
				t.Errorf("%s: %d %s", r.Replace(c.command+" "+c.args), answer.Result, answer.Text)
				continue
			}
			kept4, kept6 := b.s.engine.Config().Alloc == before4, b.s.six.engine.Config().Alloc == before6
			if f.n == "4" && (kept4 != c.kept || !kept6) || f.n == "6" && (kept6 != c.kept || !kept4) {
				t.Errorf("%s: DHCPv4's allocator was kept %v, DHCPv6's %v", r.Replace(c.command+" "+c.args), kept4, kept6)
			}
		}
	}
	newClient6(b, 2).lease()
	b.lease([6]byte{2, 0, 0, 0, 0, 10})
}
