package slowpath

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// Both families' commands may come at the same time, and each keeps the other's
// part as it is in force: one that comes while the other's is being read must not
// be undone by it.
func TestConfigSetOfBothFamiliesAtOnce(t *testing.T) {
	const four = `{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": false },
		"valid-lifetime": %d, "subnet4": [ { "id": 1, "subnet": "10.67.0.0/16", "pools": [ { "pool": "10.67.1.0/24" } ] } ] }`
	const six = `{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": false },
		"valid-lifetime": %d, "subnet6": [ { "id": 1, "subnet": "2001:db8:1::/64", "interface": "dhcp0" } ] }`
	var b *bed
	var calls atomic.Int32
	answer := make(chan control.Response, 1)
	o := hookOptions()
	o.FromJSON = func(raw []byte) (*config.Snapshot, error) {
		if calls.Add(1) == 1 {
			done := make(chan struct{})
			go func() {
				defer close(done)
				answer <- b.s.six.registry.Run(context.Background(), &control.Call{Command: "config-set",
					Arguments: json.RawMessage(`{"Dhcp6":` + fmt.Sprintf(six, 7777) + `}`)})
			}()
			// Where nothing keeps the other command waiting it gets through here.
			if b.s.reload.TryLock() {
				b.s.reload.Unlock()
				<-done
			}
		}
		return config.FromJSON("config-set", raw, config.LoadOptions{})
	}
	b = newBed(t, testConfig6(t.TempDir(), fmt.Sprintf(four, 1000), "", false), o)
	defer b.close()
	if r := b.command(`{"command":"config-set","arguments":{"Dhcp4":` + fmt.Sprintf(four, 6666) + `}}`); r.Result != control.ResultSuccess {
		t.Fatalf("config-set of DHCPv4: %+v", r)
	}
	if r := <-answer; r.Result != control.ResultSuccess {
		t.Fatalf("config-set of DHCPv6: %+v", r)
	}
	var got struct {
		Dhcp4, Dhcp6 struct {
			Valid int `json:"valid-lifetime"`
		}
	}
	if err := json.Unmarshal(b.s.Snapshot().Get, &got); err != nil {
		t.Fatal(err)
	}
	if got.Dhcp4.Valid != 6666 || got.Dhcp6.Valid != 7777 {
		t.Errorf("in force is valid-lifetime %d of DHCPv4 and %d of DHCPv6, want 6666 and 7777", got.Dhcp4.Valid, got.Dhcp6.Valid)
	}
}

// What config-set leaves out is kept as it was given: were it kept as config-get
// prints it, what is inherited now would stand where it is inherited to.
func TestConfigSetKeepsTheOtherPartAsGiven(t *testing.T) {
	const four = `{ "interfaces-config": { "interfaces": [ "dhcp0" ] }, "lease-database": { "type": "memfile", "persist": false } }`
	b := newBed(t, testConfig6(t.TempDir(), four, "", false), hookOptions())
	defer b.close()
	part := func() string {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b.s.Snapshot().Given, &m); err != nil {
			t.Fatal(err)
		}
		return string(m["Dhcp6"])
	}
	before := part()
	if r := b.command(`{"command":"config-set","arguments":{"Dhcp4":` + four + `}}`); r.Result != control.ResultSuccess {
		t.Fatalf("%+v", r)
	}
	if after := part(); after != before {
		t.Errorf("Dhcp6 was given as\n%s\nand is kept as\n%s", before, after)
	}
}

// interface-add changes a list of the configuration, and nothing beside it.
func TestInterfaceAddKeepsTheRestAsGiven(t *testing.T) {
	b := newBed(t, `{ "Dhcp4": { "lease-database": { "type": "memfile", "persist": false },
		"subnet4": [ { "id": 1, "subnet": "10.67.0.0/16" } ] } }`, hookOptions())
	defer b.close()
	if r := b.command(`{"command":"interface-add","arguments":{"interfaces":["eth7"]}}`); r.Result != control.ResultSuccess {
		t.Fatalf("%+v", r)
	}
	const want = `{"Dhcp4":{"lease-database":{"type":"memfile","persist":false},"subnet4":[{"id":1,"subnet":"10.67.0.0/16"}],` +
		`"interfaces-config":{"interfaces":["eth7"]}}}`
	var got, wanted any
	if err := errors.Join(json.Unmarshal(b.s.Snapshot().Given, &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("given is now\n%s\nwant\n%s", b.s.Snapshot().Given, want)
	}
}
