package engine

import (
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestReceivedOptions: an option that is not what option-def says (V4-096): the
// message is dropped before anybody sees it, and classes do not meet what Kea
// passes over.
func TestReceivedOptions(t *testing.T) {
	const defs = `"option-def":[{"name":"level","code":130,"type":"uint16"},{"name":"note","code":131,"type":"string"},{"name":"zone","code":132,"type":"fqdn"}],
		"client-classes":[{"name":"DROP","test":"option[131].exists or option[132].exists"}],`
	l := newLab(t, defs+simple)
	l.silent(ReasonMalformedOption, nt.Discover(mac(1), nt.With(130, 1)))
	l.silent(ReasonMalformedOption, nt.Discover(mac(1), nt.With(130, 1, 2, 3)))
	l.silent(ReasonMalformedOption, nt.Discover(mac(1), nt.With(132, 1)))
	l.silent(ReasonClassDrop, nt.Discover(mac(1), nt.With(131, 'a')))
	if n := l.table.Len(); n != 0 {
		t.Errorf("%d records", n)
	}
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(130, 1, 2), nt.With(131, 0)))
	l.view.Lenient = true
	l.want(dhcp4.MsgOffer, nt.Discover(mac(1), nt.With(130, 1, 2, 3), nt.With(132, 1)))
	l.silent(ReasonMalformedOption, nt.Discover(mac(1), nt.With(130, 1)))
}
