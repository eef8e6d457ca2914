package host

import (
	"bytes"
	"hash/maphash"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hashindex"
)

// Lists answers look-ups that find several reservations: those of a client in
// all subnets of a shared network, with one look-up however many subnets there
// are, and all those of one address, of which there may be several with
// ip-reservations-unique false (V4-126). It is immutable.
type Lists struct {
	seed  maphash.Seed
	hosts []*config.Reservation4
	nets  hashindex.Table // of hosts in shared networks, by network and identifier
	addrs hashindex.Table // by subnet and address; empty where addresses are unique
	inNet map[uint32]uint64
}

// NewLists builds the lists of cfg's reservations.
func NewLists(cfg *config.Dhcp4) *Lists {
	x := &Lists{seed: maphash.MakeSeed(), inNet: make(map[uint32]uint64)}
	for _, s := range cfg.Subnets {
		if s.Network != nil {
			x.inNet[s.ID] = netKey(s.Network)
		}
		if s.Network != nil || !cfg.IPReservationsUnique {
			x.hosts = append(x.hosts, s.Reservations...)
		}
	}
	nets, addrs := 0, 0
	for _, h := range x.hosts {
		if _, ok := x.inNet[h.SubnetID]; ok {
			nets++
		}
		if h.Addr != 0 && !cfg.IPReservationsUnique {
			addrs++
		}
	}
	x.nets, x.addrs = hashindex.New(nets), hashindex.New(addrs)
	for i, h := range x.hosts {
		if k, ok := x.inNet[h.SubnetID]; ok {
			x.nets.Insert(x.hashNet(k, h.Type, h.Identifier), i)
		}
		if h.Addr != 0 && !cfg.IPReservationsUnique {
			x.addrs.Insert(hashAddr(h.SubnetID, h.Addr), i)
		}
	}
	return x
}

// AppendInNetwork appends the client's reservations in the subnets of a shared
// network, in the order of the file.
func (x *Lists) AppendInNetwork(dst []*config.Reservation4, net *config.Network4, t config.IdentifierType, id []byte) []*config.Reservation4 {
	if len(id) == 0 {
		return dst
	}
	key := netKey(net)
	for c := x.nets.Find(x.hashNet(key, t, id)); c.Next(); {
		r := x.hosts[c.Pos]
		if r.Type == t && bytes.Equal(r.Identifier, id) && x.inNet[r.SubnetID] == key {
			dst = append(dst, r)
		}
	}
	return dst
}

// AppendByAddr appends the reservations of the address in the subnet; nothing if
// the configuration says that addresses are unique.
func (x *Lists) AppendByAddr(dst []*config.Reservation4, subnetID uint32, addr dhcp4.IPv4) []*config.Reservation4 {
	for c := x.addrs.Find(hashAddr(subnetID, addr)); c.Next(); {
		if r := x.hosts[c.Pos]; r.SubnetID == subnetID && r.Addr == addr {
			dst = append(dst, r)
		}
	}
	return dst
}

// netKey tells a shared network from the others: by its first subnet, which is
// no other's.
func netKey(n *config.Network4) uint64 {
	if len(n.Subnets) == 0 {
		return 0
	}
	return uint64(n.Subnets[0].ID)
}

func (x *Lists) hashNet(key uint64, t config.IdentifierType, id []byte) uint64 {
	return hashindex.Mix(maphash.Bytes(x.seed, id) + key<<8 + uint64(t))
}
