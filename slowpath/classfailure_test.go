package slowpath

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestClassFailuresAreCounted: an expression that cannot be evaluated for a query
// does not put it into the class, keeps nobody from an answer, and counts (CL-027).
func TestClassFailuresAreCounted(t *testing.T) {
	b := newBed(t, testConfig("", `"client-classes": [ { "name": "x", "test": "addrtotext(option[60].hex) == '192.0.2.1'" } ],`, ""), Options{})
	defer b.close()
	for i, c := range []struct {
		option []byte
		want   uint64
	}{{[]byte{192, 0, 2, 1}, 0}, {[]byte{192, 0, 2}, 1}, {[]byte{192, 0, 2, 1, 9}, 2}} {
		a := b.ask(netiotest.Discover(netiotest.ClientMAC(uint32(i)), netiotest.With(dhcp4.OptVendorClassIdentifier, c.option...)))
		if a == nil || a.View.Type() != dhcp4.MsgOffer {
			t.Fatalf("%v: no offer", c.option)
		}
		if n, _ := b.s.ClassFailures(); n != c.want {
			t.Errorf("%v: %d failures counted, want %d", c.option, n, c.want)
		}
	}
}
