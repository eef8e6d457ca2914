package slowpath

import (
	"encoding/json"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/peregrine-dhcp/peregrine/hooks"
)

// parkFirst6 parks the first query at subnet6_select.
type parkFirst6 struct{ parked *hooks.Parked6 }

func (*parkFirst6) Name() string { return "parkfirst" }
func (*parkFirst6) Close() error { return nil }
func (p *parkFirst6) Load(env *hooks.Env, _ json.RawMessage) error {
	env.On6(hooks.Subnet6Select, func(q *hooks.Query6) hooks.Status {
		if p.parked != nil {
			return hooks.Continue
		}
		p.parked = q.Park(q.NowUnixNs + 1e9)
		return hooks.Park
	})
	return nil
}

// Clients that do not name themselves are not one client: while a library has
// the query of one, the others are served.
func TestAnonymousClientsAreNotOne(t *testing.T) {
	lib := &parkFirst6{}
	b := newBed(t, testConfig6(t.TempDir(), "", `"hooks-libraries": [ { "library": "/x/libdhcp_parkfirst.so" } ],`, false), Options{
		Hooks: func(string) hooks.Library { return lib },
	})
	defer b.close()
	ask := func(c *client6) dhcpv6.DHCPv6 {
		m, err := dhcpv6.NewMessage()
		if err != nil {
			t.Fatal(err)
		}
		m.MessageType = dhcpv6.MessageTypeInformationRequest
		return c.ask(m)
	}
	one, other := newClient6(b, 1), newClient6(b, 2)
	if a := ask(one); a != nil || lib.parked == nil {
		t.Fatalf("the first query was to be parked, and was answered by %v", a)
	}
	if ask(one) != nil {
		t.Error("a client was served while its query is parked")
	}
	if ask(other) == nil {
		t.Errorf("a client has to wait for another's query: %s", b.drops())
	}
}
