package lease_cmds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// lease4JSON is a lease in Kea's words (LS-028).
type lease4JSON struct {
	IPAddress   string          `json:"ip-address"`
	SubnetID    uint32          `json:"subnet-id"`
	PoolID      uint32          `json:"pool-id,omitempty"`
	HWAddress   string          `json:"hw-address"`
	ClientID    string          `json:"client-id,omitempty"`
	ValidLft    uint32          `json:"valid-lft"`
	CLTT        int64           `json:"cltt"`
	FQDNFwd     bool            `json:"fqdn-fwd"`
	FQDNRev     bool            `json:"fqdn-rev"`
	Hostname    string          `json:"hostname"`
	State       uint8           `json:"state"`
	UserContext json.RawMessage `json:"user-context,omitempty"`
}

func toJSON4(l *lease.Lease4) lease4JSON {
	j := lease4JSON{
		IPAddress: l.Addr.String(), SubnetID: l.SubnetID, HWAddress: arguments.ColonHex(l.HW()), ClientID: arguments.ColonHex(l.CID()),
		ValidLft: l.ValidLifetimeS, CLTT: l.CLTTUnixS, FQDNFwd: l.FQDNFwd, FQDNRev: l.FQDNRev,
		Hostname: string(l.Host()), State: uint8(l.State), PoolID: l.PoolID,
	}
	if json.Valid([]byte(l.UserContext)) {
		j.UserContext = json.RawMessage(l.UserContext)
	}
	return j
}

const (
	minClientID = 2
	maxClientID = lease.MaxClientIDLen
	ethernet    = 1
	// stateRegistered is Kea's number of a state that only DHCPv6 leases have.
	stateRegistered = 4
)

// parseLease4 reads the lease of lease4-add and lease4-update, held against the
// configuration in force.
func (c *call) parseLease4() (l *lease.Lease4, forceCreate bool, err error) {
	m := c.args
	addr, err := m.Addr("ip-address")
	if err != nil {
		return nil, false, err
	}
	if !addr.Is4() {
		return nil, false, fmt.Errorf("Non-IPv4 address specified: %s", addr)
	}
	l = &lease.Lease4{Addr: arguments.IPv4(addr)}
	text, err := m.String("hw-address")
	if err != nil {
		return nil, false, err
	}
	hw, err := arguments.HWAddr(text)
	if err != nil {
		return nil, false, err
	}
	l.SetHW(ethernet, hw)
	sn, err := c.subnetOfLease4(l)
	if err != nil {
		return nil, false, err
	}
	if m.Has("client-id") {
		if text, err = m.String("client-id"); err != nil {
			return nil, false, err
		}
		id, err := arguments.Identifier(text, minClientID, maxClientID)
		if err != nil {
			return nil, false, err
		}
		l.SetCID(id)
	}
	if l.ValidLifetimeS, err = m.Uint32("valid-lft", sn.ValidLifetimeS); err != nil {
		return nil, false, err
	}
	if l.CLTTUnixS, err = c.parseExpire(addr, l.ValidLifetimeS); err != nil {
		return nil, false, err
	}
	if err := c.parseRest4(l); err != nil {
		return nil, false, err
	}
	forceCreate, err = m.Bool("force-create", false)
	return l, forceCreate, err
}

// subnetOfLease4 reads subnet-id and pool-id, finds the subnet and holds the
// address against it.
func (c *call) subnetOfLease4(l *lease.Lease4) (sn hooks.Subnet4, err error) {
	id, err := c.args.Uint32("subnet-id", 0)
	if err != nil {
		return sn, err
	}
	if l.PoolID, err = c.args.Uint32("pool-id", 0); err != nil {
		return sn, err
	}
	found := false
	if id != 0 {
		if sn, found = c.config.Subnet4(id); !found {
			return sn, conflict("Invalid subnet-id: No IPv4 subnet with subnet-id=%d currently configured.", id)
		}
		if !sn.Prefix.Contains(l.Addr.Netip()) {
			return sn, conflict("The address %s does not belong to subnet %s, subnet-id=%d", l.Addr, sn.Text, id)
		}
	} else if sn, found = c.config.SubnetOf4(l.Addr); !found {
		return sn, conflict("subnet-id not specified and failed to find a subnet for address %s", l.Addr)
	}
	l.SubnetID = sn.ID
	return sn, nil
}

// parseExpire is the client's last transaction time: now, or by "expire".
func (c *call) parseExpire(addr netip.Addr, validS uint32) (clttUnixS int64, err error) {
	if !c.args.Has("expire") {
		return c.lib.env.NowUnixNs() / 1e9, nil
	}
	at, err := c.args.Integer("expire", math.MinInt64, math.MaxInt64)
	switch {
	case err != nil:
		return 0, err
	case at <= 0:
		return 0, fmt.Errorf("expiration time must be positive for address %s", addr)
	case at < int64(validS):
		return 0, fmt.Errorf("expiration time must be greater than valid lifetime for address %s", addr)
	case at-int64(validS) > math.MaxUint32:
		return 0, fmt.Errorf("expiration time %d is after the year 2106", at)
	}
	return at - int64(validS), nil
}

// names is the host name of a lease and in which directions the DNS has it.
type names struct {
	host     string
	fwd, rev bool
}

func (c *call) parseNames() (n names, err error) {
	m := c.args
	if n.fwd, err = m.Bool("fqdn-fwd", false); err != nil {
		return n, err
	}
	if n.rev, err = m.Bool("fqdn-rev", false); err != nil {
		return n, err
	}
	if m.Has("hostname") {
		if n.host, err = m.String("hostname"); err != nil {
			return n, err
		}
		if len(n.host) > lease.MaxHostnameLen {
			return n, fmt.Errorf("hostname has %d octets, more than %d", len(n.host), lease.MaxHostnameLen)
		}
		n.host = strings.ToLower(n.host)
	}
	if n.host == "" && (n.fwd || n.rev) {
		return n, errors.New("No hostname specified and either forward or reverse fqdn was set to true.")
	}
	return n, nil
}

// parseState reads the state of a lease.
func (c *call) parseState() (lease.State, error) {
	if !c.args.Has("state") {
		return lease.StateDefault, nil
	}
	n, err := c.args.Integer("state", 0, math.MaxUint8)
	if err == nil && n > stateRegistered {
		err = fmt.Errorf("Invalid state value: %d, supported values are: 0 (default), 1 (declined), 2 (expired-reclaimed), 3 (released) and 4 (registered)", n)
	}
	return lease.State(n), err
}

// parseRest4 reads names, state and user context.
func (c *call) parseRest4(l *lease.Lease4) error {
	n, err := c.parseNames()
	if err != nil {
		return err
	}
	l.FQDNFwd, l.FQDNRev = n.fwd, n.rev
	l.SetHost([]byte(n.host))
	if l.State, err = c.parseState(); err != nil {
		return err
	}
	if l.State == stateRegistered {
		return errors.New("DHCPv4 leases do not support registered state")
	}
	ctx, err := userContext(c.args)
	if err == nil && ctx != nil {
		l.UserContext = arguments.Compact(ctx)
	}
	return err
}

// userContext is the lease's user-context with its comment folded in, nil if
// there is none.
func userContext(m arguments.Map) (json.RawMessage, error) {
	ctx := m.Raw("user-context")
	if ctx != nil && arguments.Kind(ctx) != "map" {
		return nil, fmt.Errorf("Invalid user context '%s' is not a JSON map.", arguments.Compact(ctx))
	}
	if comment := m.Raw("comment"); comment != nil {
		if arguments.Parse(ctx).Has("comment") {
			return nil, fmt.Errorf("Duplicated comment entry '%s' in user context '%s'", arguments.Compact(comment), arguments.Compact(ctx))
		}
		ctx = withMember(ctx, "comment", comment)
	}
	return ctx, nil
}

// withMember is map ctx (nil is empty) with one more member.
func withMember(ctx json.RawMessage, name string, v json.RawMessage) json.RawMessage {
	inner := []byte{}
	if ctx != nil {
		inner = bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(ctx), []byte("{")), []byte("}")))
	}
	b := append([]byte{'{'}, inner...)
	if len(inner) > 0 {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(append(append(b, name...), `":`...), v...)
	return append(b, '}')
}
