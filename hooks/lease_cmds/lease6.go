package lease_cmds

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// lease6JSON is a DHCPv6 lease in Kea's words (LS-028).
type lease6JSON struct {
	IPAddress    string          `json:"ip-address"`
	Type         string          `json:"type"`
	PrefixLen    uint8           `json:"prefix-len,omitempty"` // of prefixes
	IAID         uint32          `json:"iaid"`
	DUID         string          `json:"duid"`
	SubnetID     uint32          `json:"subnet-id"`
	PoolID       uint32          `json:"pool-id,omitempty"`
	HWAddress    string          `json:"hw-address,omitempty"`
	PreferredLft uint32          `json:"preferred-lft"`
	ValidLft     uint32          `json:"valid-lft"`
	CLTT         int64           `json:"cltt"`
	FQDNFwd      bool            `json:"fqdn-fwd"`
	FQDNRev      bool            `json:"fqdn-rev"`
	Hostname     string          `json:"hostname"`
	State        uint8           `json:"state"`
	UserContext  json.RawMessage `json:"user-context,omitempty"`
}

// noDUID is how Kea writes the DUID of a declined lease.
const noDUID = "00:00:00"

func toJSON6(l *lease6.Lease6) lease6JSON {
	j := lease6JSON{
		IPAddress: l.Addr.String(), Type: l.Type.String(), IAID: l.IAID, DUID: arguments.ColonHex(l.ID()), SubnetID: l.SubnetID,
		PoolID: l.PoolID, HWAddress: arguments.ColonHex(l.HW()), PreferredLft: l.PreferredLifetimeS, ValidLft: l.ValidLifetimeS,
		CLTT: l.CLTTUnixS, FQDNFwd: l.FQDNFwd, FQDNRev: l.FQDNRev, Hostname: string(l.Host()), State: uint8(l.State),
	}
	if l.Type == lease6.TypePD {
		j.PrefixLen = l.PrefixLen
	}
	if j.DUID == "" {
		j.DUID = noDUID
	}
	if json.Valid([]byte(l.UserContext)) {
		j.UserContext = json.RawMessage(l.UserContext)
	}
	return j
}

// minDUID is Kea's shortest DUID: a type and one octet.
const minDUID = 3

// parseLease6 reads the lease of lease6-add, lease6-update and lease6-bulk-apply
// from the arguments, held against the configuration in force.
func (c *call) parseLease6() (l *lease6.Lease6, forceCreate bool, err error) {
	m := c.args
	addr, err := m.Addr("ip-address")
	if err != nil {
		return nil, false, err
	}
	if addr.Is4() {
		return nil, false, fmt.Errorf("Non-IPv6 address specified: %s", addr)
	}
	l = &lease6.Lease6{Addr: lease6.AddrFromNetip(addr), PrefixLen: 128}
	text, err := m.String("duid")
	if err != nil {
		return nil, false, err
	}
	duid, err := arguments.Identifier(text, minDUID, lease6.MaxDUIDLen)
	if err != nil {
		return nil, false, err
	}
	if err := c.parseType6(l); err != nil {
		return nil, false, err
	}
	sn, err := c.subnetOfLease6(l, addr)
	if err != nil {
		return nil, false, err
	}
	iaid, err := m.Integer("iaid", 0, math.MaxUint32)
	if err != nil {
		return nil, false, err
	}
	l.IAID = uint32(iaid)
	if m.Has("hw-address") {
		if text, err = m.String("hw-address"); err != nil {
			return nil, false, err
		}
		hw, err := arguments.HWAddr(text)
		if err != nil {
			return nil, false, err
		}
		l.SetHW(ethernet, hw, lease6.HWSourceUnknown)
	}
	if l.ValidLifetimeS, err = m.Uint32("valid-lft", sn.ValidLifetimeS); err != nil {
		return nil, false, err
	}
	// Kea takes the subnet's valid lifetime here, too (DC-16).
	if l.PreferredLifetimeS, err = m.Uint32("preferred-lft", sn.ValidLifetimeS); err != nil {
		return nil, false, err
	}
	if l.CLTTUnixS, err = c.parseExpire(addr, l.ValidLifetimeS); err != nil {
		return nil, false, err
	}
	if err := c.parseRest6(l, addr); err != nil {
		return nil, false, err
	}
	if l.State != lease.StateDeclined {
		l.SetID(duid) // a declined lease belongs to nobody
	}
	forceCreate, err = m.Bool("force-create", false)
	return l, forceCreate, err
}

func (c *call) parseType6(l *lease6.Lease6) error {
	if !c.args.Has("type") {
		return nil
	}
	text, err := c.args.String("type")
	if err != nil {
		return err
	}
	switch text {
	case "IA_NA":
	case "IA_PD":
		n, err := c.args.Integer("prefix-len", 0, math.MaxUint8)
		if err != nil {
			return err
		}
		l.Type, l.PrefixLen = lease6.TypePD, uint8(n)
	default:
		return fmt.Errorf("Incorrect lease type: %s, the only supported values are: IA_NA and IA_PD", text)
	}
	return nil
}

func (c *call) subnetOfLease6(l *lease6.Lease6, addr netip.Addr) (sn hooks.Subnet6, err error) {
	id, err := c.args.Uint32("subnet-id", 0)
	if err != nil {
		return sn, err
	}
	if l.PoolID, err = c.args.Uint32("pool-id", 0); err != nil {
		return sn, err
	}
	found := false
	switch {
	case id != 0:
		if sn, found = c.config.Subnet6(id); !found {
			return sn, conflict("Invalid subnet-id: No IPv6 subnet with subnet-id=%d currently configured.", id)
		}
		if l.Type == lease6.TypeNA && !sn.Prefix.Contains(addr) {
			return sn, conflict("The address %s does not belong to subnet %s, subnet-id=%d", addr, sn.Text, id)
		}
	case l.Type != lease6.TypeNA:
		return sn, errors.New("Subnet-id is 0 or not specified. This is allowed for address leases only, not prefix leases.")
	default:
		if sn, found = c.config.SubnetOf6(addr); !found {
			return sn, conflict("subnet-id not specified and failed to find a subnet for address %s", addr)
		}
	}
	l.SubnetID = sn.ID
	return sn, nil
}

// parseRest6 reads names, state and user context, and checks the prefix.
func (c *call) parseRest6(l *lease6.Lease6, addr netip.Addr) error {
	n, err := c.parseNames()
	if err != nil {
		return err
	}
	l.FQDNFwd, l.FQDNRev = n.fwd, n.rev
	l.SetHost([]byte(n.host))
	if l.State, err = c.parseState(); err != nil {
		return err
	}
	if l.State == lease.StateDeclined && l.Type == lease6.TypePD {
		return errors.New("Invalid declined state for PD prefix.")
	}
	ctx, err := userContext(c.args)
	if err != nil {
		return err
	}
	if ctx != nil {
		l.UserContext = arguments.Compact(ctx)
	}
	if l.PrefixLen == 0 || l.PrefixLen > 128 {
		return fmt.Errorf("Invalid prefix length: %d", l.PrefixLen)
	}
	if p := netip.PrefixFrom(addr, int(l.PrefixLen)).Masked(); p.Addr() != addr {
		return fmt.Errorf("Prefix address: %s exceeds prefix/prefix-len pair: %s/%d", addr, p.Addr(), l.PrefixLen)
	}
	return nil
}
