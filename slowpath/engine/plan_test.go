package engine

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestKeptPlansAreFresh: a worker that keeps its choices of options answers as one
// that makes each anew, for clients of several classes, subnets and wishes, with
// entries for certain classes among them.
func TestKeptPlansAreFresh(t *testing.T) {
	l := newLab(t, `
	"client-classes": [ { "name": "VENDOR_CLASS_cpe", "option-data": [ { "name": "ntp-servers", "data": "192.0.2.7" } ] }, { "name": "VENDOR_CLASS_tv" } ],
	"option-data": [ { "name": "domain-name-servers", "data": "192.0.2.53", "always-send": true }, { "name": "log-servers", "data": "192.0.2.54", "never-send": true },
	  { "name": "tftp-server-name", "data": "tv", "client-classes": [ "VENDOR_CLASS_tv" ] }, { "name": "tftp-server-name", "data": "other" },
	  { "name": "vivso-suboptions", "data": "4491" } ],
	"subnet4": [
	  { "id": 2, "subnet": "192.0.2.0/24", "pools": [ { "pool": "192.0.2.10 - 192.0.2.99", "option-data": [ { "name": "time-servers", "data": "192.0.2.1" } ] },
	      { "pool": "192.0.2.110 - 192.0.2.250", "client-classes": [ "VENDOR_CLASS_cpe" ] } ],
	    "option-data": [ { "name": "routers", "data": "192.0.2.254" }, { "name": "log-servers", "data": "192.0.2.55" } ] },
	  { "id": 3, "subnet": "10.3.0.0/24", "pools": [ { "pool": "10.3.0.10 - 10.3.0.250" } ] } ]`)
	l.j.Quiet = true
	const seed = 7
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, seed))
	codes := []uint8{1, 3, 4, 6, 7, 15, 42, 51, 54, 66, 124, 125}
	kept := false
	for i := range 3000 {
		rnd.Shuffle(len(codes), func(i, j int) { codes[i], codes[j] = codes[j], codes[i] })
		n := 1 + rnd.IntN(2) // few wishes, that they come again
		opts := []netiotest.Option{netiotest.With(dhcp4.OptParameterRequestList, codes[:n]...)}
		if v := []string{"", "cpe", "tv"}[rnd.IntN(3)]; v != "" {
			opts = append(opts, netiotest.With(dhcp4.OptVendorClassIdentifier, []byte(v)...))
		}
		if rnd.IntN(2) == 0 {
			opts = append(opts, netiotest.Relayed(ip("10.3.0.1"), l.ifAddr))
		}
		p := prepare(netiotest.Discover(mac(rnd.IntN(4)), opts...))
		l.run(&p, dhcp4.MsgOffer)
		got := bytes.Clone(l.out)
		before := l.w.plans
		l.w.plans = plans{}
		l.run(&p, dhcp4.MsgOffer)
		if !bytes.Equal(got, l.out) {
			t.Fatalf("query %d: with a kept choice\n%x\nwith one made anew\n%x", i, got, l.out)
		}
		l.w.plans = before
		for j := range l.w.plans.slots {
			kept = kept || l.w.plans.slots[j].nScopes > 0 && !l.w.plans.slots[j].direct
		}
	}
	if !kept {
		t.Error("no choice was ever kept")
	}
}
