package loadgen

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Op is one thing a client does.
type Op uint8

const (
	OpDORA       Op = iota // or SARR
	OpDiscover             // DISCOVER alone
	OpRenew                // REQUEST or RENEW
	OpRebind               // REQUEST or REBIND
	OpInitReboot           // REQUEST
	OpRelease
	OpDecline
	numOps
)

var opNames = [numOps]string{"dora", "discover", "renew", "rebind", "init-reboot", "release", "decline"}

// String is the name in a list of weights.
func (o Op) String() string { return opNames[o] }

// leased says that it takes a lease to do it.
func (o Op) leased() bool { return o >= OpRenew }

// gives says that the lease is gone then.
func (o Op) gives() bool { return o == OpRelease || o == OpDecline }

// first is the exchange it begins with.
func (o Op) first(v6 bool) Exchange {
	if v6 {
		return first6[o]
	}
	return first4[o]
}

var (
	first4 = [numOps]Exchange{DiscoverOffer, DiscoverOffer, RequestAckRenewal, RequestAckRebinding, RequestAckReboot, Release, Decline}
	first6 = [numOps]Exchange{SolicitAdvertise, SolicitAdvertise, RenewReply, RebindReply, RenewReply, ReleaseReply, ReleaseReply}
)

// Weight is how often something is done in scenario Mixed, against the others.
type Weight struct {
	Op     Op
	Weight uint32
}

// maxWeight bounds a weight, so that their sum is far from an overflow.
const maxWeight = 1_000_000

// ParseMix reads weights: name=weight with commas between them. "sarr" is
// another name of "dora".
func ParseMix(s string) (list []Weight, err error) {
	seen := [numOps]bool{}
	for _, part := range strings.Split(s, ",") {
		name, val, ok := strings.Cut(part, "=")
		n, err := strconv.ParseUint(val, 10, 32)
		if !ok || err != nil || n > maxWeight {
			return nil, fmt.Errorf("read weights: %q is not name=weight, a weight being at most %d", part, maxWeight)
		}
		if name == "sarr" {
			name = "dora"
		}
		op := numOps
		for i, o := range opNames {
			if o == name {
				op = Op(i)
			}
		}
		if op == numOps {
			return nil, fmt.Errorf("read weights: %q is none of %s", name, strings.Join(opNames[:], ", "))
		}
		if seen[op] {
			return nil, fmt.Errorf("read weights: %s comes twice", op)
		}
		seen[op] = true
		list = append(list, Weight{op, uint32(n)})
	}
	return list, nil
}

func (o *Options) checkMix() error {
	if o.Scenario != Mixed {
		if len(o.Mix) > 0 {
			return fmt.Errorf("check options: weights are for scenario %s", Mixed)
		}
		return nil
	}
	sum := uint32(0)
	for _, w := range o.Mix {
		if w.Op >= numOps || w.Weight > maxWeight {
			return fmt.Errorf("check options: weight %d of %d", w.Weight, w.Op)
		}
		if o.V6 && w.Weight > 0 && w.Op != OpDORA && w.Op != OpRenew && w.Op != OpRebind && w.Op != OpRelease {
			return fmt.Errorf("check options: %s is not mixed in with DHCPv6", w.Op)
		}
		sum += w.Weight
	}
	if sum == 0 {
		return errors.New("check options: a mix without weights")
	}
	if o.TwoWay {
		return fmt.Errorf("check options: two-way exchanges are not for scenario %s; give \"discover\" a weight", Mixed)
	}
	return nil
}

// mixer draws Ops by their weights.
type mixer struct {
	upTo [numOps]uint32 // sum of the weights so far
	sum  uint32
}

func newMixer(list []Weight) (m mixer) {
	var w [numOps]uint32
	for _, x := range list {
		w[x.Op] += x.Weight
	}
	for i := range w {
		m.sum += w[i]
		m.upTo[i] = m.sum
	}
	return m
}

// begins says that clients without a lease have something to do.
func (m *mixer) begins() bool { return m.upTo[OpDiscover] > 0 }

func (m *mixer) pick(r *rand.Rand) Op {
	n := r.Uint32N(m.sum)
	for i, u := range m.upTo {
		if n < u {
			return Op(i)
		}
	}
	return OpDORA
}

// clientSet is a set of clients with constant-time everything. It holds 8 octets
// per client.
type clientSet struct {
	list   []uint32
	at     []uint32 // by client: 1 + place in list
	cursor uint32
}

func newClientSet(clients uint32) clientSet {
	return clientSet{list: make([]uint32, 0, clients), at: make([]uint32, clients)}
}

func (s *clientSet) add(c uint32) {
	if s.at[c] == 0 {
		s.list = append(s.list, c)
		s.at[c] = uint32(len(s.list))
	}
}

func (s *clientSet) remove(c uint32) {
	i := s.at[c]
	if i == 0 {
		return
	}
	last := s.list[len(s.list)-1]
	s.list[i-1] = last
	s.at[last] = i
	s.at[c] = 0
	s.list = s.list[:len(s.list)-1]
}

// turn returns the clients one after another.
func (s *clientSet) turn() (uint32, bool) {
	if len(s.list) == 0 {
		return 0, false
	}
	if s.cursor >= uint32(len(s.list)) {
		s.cursor = 0
	}
	s.cursor++
	return s.list[s.cursor-1], true
}

// pick returns any of them.
func (s *clientSet) pick(r *rand.Rand) (uint32, bool) {
	if len(s.list) == 0 {
		return 0, false
	}
	return s.list[r.IntN(len(s.list))], true
}
