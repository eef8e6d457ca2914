package slowpath

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// leaseJSON is a lease in Kea's words (LS-028).
type leaseJSON struct {
	IPAddress   string          `json:"ip-address"`
	SubnetID    uint32          `json:"subnet-id"`
	HWAddress   string          `json:"hw-address,omitempty"`
	ClientID    string          `json:"client-id,omitempty"`
	ValidLft    uint32          `json:"valid-lft"`
	CLTT        int64           `json:"cltt"`
	FQDNFwd     bool            `json:"fqdn-fwd"`
	FQDNRev     bool            `json:"fqdn-rev"`
	Hostname    string          `json:"hostname"`
	State       uint8           `json:"state"`
	PoolID      uint32          `json:"pool-id,omitempty"`
	UserContext json.RawMessage `json:"user-context,omitempty"`
}

func toJSON(l *lease.Lease4) leaseJSON {
	j := leaseJSON{
		IPAddress: l.Addr.String(), SubnetID: l.SubnetID, HWAddress: colonHex(l.HW()), ClientID: colonHex(l.CID()),
		ValidLft: l.ValidLifetimeS, CLTT: l.CLTTUnixS, FQDNFwd: l.FQDNFwd, FQDNRev: l.FQDNRev,
		Hostname: string(l.Host()), State: uint8(l.State), PoolID: l.PoolID,
	}
	if json.Valid([]byte(l.UserContext)) {
		j.UserContext = json.RawMessage(l.UserContext)
	}
	return j
}

// colonHex writes octets as Kea does: "01:23:ab".
func colonHex(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	out := make([]byte, 0, 3*len(b)-1)
	for i, x := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = hex.AppendEncode(out, []byte{x})
	}
	return string(out)
}

// pageSize is how many leases are copied at a time; service goes on between.
const pageSize = 256

func leaseCount(n int) control.Response {
	r := ok(fmt.Sprintf("%d IPv4 lease(s) found.", n), nil)
	if n == 0 {
		r.Result = control.ResultEmpty
	}
	return r
}

func parseIPv4(s string) (dhcp4.IPv4, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, fmt.Errorf("'%s' is not an IPv4 address", s)
	}
	return dhcp4.AddrFromNetip(a), nil
}

func (s *Server) lease4Get(args json.RawMessage) control.Response {
	var a struct {
		IPAddress *string `json:"ip-address"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	if a.IPAddress == nil {
		return fail("missing mandatory argument 'ip-address'")
	}
	addr, err := parseIPv4(*a.IPAddress)
	if err != nil {
		return fail("%v", err)
	}
	var l lease.Lease4
	if !s.table.Get(addr, &l) || l.State == lease.StateOffered {
		return control.Response{Result: control.ResultEmpty, Text: "Lease not found."}
	}
	return ok("IPv4 lease found.", toJSON(&l))
}

func (s *Server) lease4GetAll(args json.RawMessage) control.Response {
	var a struct {
		Subnets []uint32 `json:"subnets"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	out := []leaseJSON{}
	buf := make([]lease.Lease4, pageSize)
	after := dhcp4.IPv4(0)
	for {
		n := s.table.Page(after, buf)
		if n == 0 {
			break
		}
		for i := range buf[:n] {
			if a.Subnets == nil || slices.Contains(a.Subnets, buf[i].SubnetID) {
				out = append(out, toJSON(&buf[i]))
			}
		}
		after = buf[n-1].Addr
	}
	r := leaseCount(len(out))
	r.Arguments = map[string]any{"leases": out}
	return r
}

// maxPage is the most leases a page may have; Stork asks for 1000, Kea's
// partners for 10,000.
const maxPage = 100_000

func (s *Server) lease4GetPage(args json.RawMessage) control.Response {
	var a struct {
		From  *string `json:"from"`
		Limit *int64  `json:"limit"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	switch {
	case a.From == nil:
		return fail("'from' parameter not specified")
	case a.Limit == nil:
		return fail("'limit' parameter not specified")
	case *a.Limit <= 0 || *a.Limit > maxPage:
		return fail("page size of retrieved leases must be between 1 and %d, not %d", maxPage, *a.Limit)
	}
	after := dhcp4.IPv4(0)
	if *a.From != "start" {
		var err error
		if after, err = parseIPv4(*a.From); err != nil {
			return fail("'from' parameter value is neither 'start' keyword nor a valid IPv4 address")
		}
	}
	out := make([]leaseJSON, 0, *a.Limit)
	buf := make([]lease.Lease4, min(pageSize, *a.Limit))
	for len(out) < int(*a.Limit) {
		n := s.table.Page(after, buf[:min(len(buf), int(*a.Limit)-len(out))])
		if n == 0 {
			break
		}
		for i := range buf[:n] {
			out = append(out, toJSON(&buf[i]))
		}
		after = buf[n-1].Addr
	}
	r := leaseCount(len(out))
	r.Arguments = map[string]any{"leases": out, "count": len(out)}
	return r
}

// leasesReclaim reclaims everything that is due, at once (LS-021).
func (s *Server) leasesReclaim(ctx context.Context, args json.RawMessage) control.Response {
	var a struct {
		Remove *bool `json:"remove"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	if a.Remove == nil {
		return fail("Missing mandatory 'remove' parameter.")
	}
	c := &s.commandJournal
	c.Lock()
	defer c.Unlock()
	c.e.Reclaim(time.Now().Unix(), 0, *a.Remove, func() bool { return ctx.Err() != nil })
	s.publishReclaimed()
	if c.w != nil {
		c.w.Kick()
	}
	return ok("Reclamation of expired leases is complete.", nil)
}

func (s *Server) subnet4List(json.RawMessage) control.Response {
	out := []map[string]any{}
	for _, x := range s.Snapshot().Dhcp4.Subnets {
		out = append(out, map[string]any{"id": x.ID, "subnet": x.Text, "shared-network-name": nil})
	}
	r := ok(fmt.Sprintf("%d IPv4 subnets found", len(out)), map[string]any{"subnets": out})
	if len(out) == 1 {
		r.Text = "1 IPv4 subnet found"
	}
	if len(out) == 0 {
		r.Result = control.ResultEmpty
	}
	return r
}
