package slowpath

import (
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine6"
	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
)

func (b *dropBlocks) publish() {
	b.frame.Publish()
	b.parse.Publish()
	b.notes.Publish()
	b.engine.Publish()
	b.nak.Publish()
	b.server.Publish()
}

func (s *Server) retireDrops(b *dropBlocks) {
	s.drops.frame.Retire(b.frame)
	s.drops.parse.Retire(b.parse)
	s.drops.notes.Retire(b.notes)
	s.drops.engine.Retire(b.engine)
	s.drops.nak.Retire(b.nak)
	s.drops.server.Retire(b.server)
}

// EachDrop visits every reason for which a packet was not answered, the ones
// never met included: the layer that refused it ("frame", "message", "engine",
// "server"; with a 6 behind it those of DHCPv6), the reason, the count. The
// reasons of IAs that got nothing are counted here too.
func (s *Server) EachDrop(f func(layer, reason string, n uint64)) {
	for r := frame.Reason(1); r < frame.NumReasons; r++ {
		f("frame", r.String(), s.drops.frame.Sum(int(r)))
	}
	for r := dhcp4.Reason(1); r < dhcp4.NumReasons; r++ {
		f("message", r.String(), s.drops.parse.Sum(int(r)))
	}
	for r := engine.Reason(1); r < engine.NumReasons; r++ {
		f("engine", r.String(), s.drops.engine.Sum(int(r)))
	}
	for r := Reason(1); r < numReasons; r++ {
		f("server", r.String(), s.drops.server.Sum(int(r)))
	}
	if s.six != nil {
		s.six.each(f)
	}
}

// each visits the reasons of DHCPv6, see EachDrop.
func (x *server6) each(f func(layer, reason string, n uint64)) {
	for r := dhcp6.Reason(1); r < dhcp6.NumReasons; r++ {
		f("message6", r.String(), x.drops.parse.Sum(int(r)))
	}
	for r := engine6.Reason(1); r < engine6.NumReasons; r++ {
		f("engine6", r.String(), x.drops.engine.Sum(int(r)))
	}
	for r := Reason(1); r < numReasons; r++ {
		f("server6", r.String(), x.drops.server.Sum(int(r)))
	}
}

// EachNAK visits the reasons of DHCPNAKs.
func (s *Server) EachNAK(f func(reason string, n uint64)) {
	for r := engine.Reason(1); r < engine.NumReasons; r++ {
		if n := s.drops.nak.Sum(int(r)); n > 0 {
			f(r.String(), n)
		}
	}
}

// EachNote visits the peculiarities of messages that were accepted all the same.
func (s *Server) EachNote(f func(note string, n uint64)) {
	for i := range dhcp4.NumNotes {
		f(dhcp4.Notes(1<<i).String(), s.drops.notes.Sum(i))
	}
	if s.six != nil {
		for i := range dhcp6.NumNotes {
			f("dhcp6-"+dhcp6.Notes(1<<i).String(), s.six.drops.notes.Sum(i))
		}
	}
}
