package engine6

import (
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine/enginetest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// TestConversations runs the conversations under testdata/conversations, as
// enginetest.RunConversations describes. A configuration is the inside of "Dhcp6";
// client N has the DUID 00:03:00:01:02:c1:00:00:…:N; relays stand in the order in
// which they pass the message on. The queries are:
//
//	solicit|request|renew|rebind|confirm|release|decline|infreq|register
//	        client=N [na=(IAID[,ADDR[,PREFERRED,VALID]]..)] [pd=(IAID[,PREFIX..]..)]
//	        [oro=(N,..)] [rapid] [fqdn=(FLAGS,NAME)] [opt=(CODE:HEX,..)]
//	        [relay=(LINK[,CODE:HEX..])] [src=A] [dst=A]
func TestConversations(t *testing.T) {
	enginetest.RunConversations(t, func(t *testing.T, config string) *enginetest.Lab {
		l := newLab(t, config)
		return &enginetest.Lab{
			Now: &l.now, Worker: l.w, Journal: l.j.Set, Leases: l.traceLeases,
			Reload: func(t *testing.T, config string) { l.t = t; l.reload(config) },
			Query:  func(t *testing.T, d *datadriven.TestData) string { l.t = t; return l.trace(t, d) },
		}
	})
}

// trace is what the engine does with the query of a command.
func (l *lab) trace(t *testing.T, d *datadriven.TestData) string {
	q := l.traceQuery(t, d)
	pos := l.j.Pos
	reason := l.send(q)
	var b strings.Builder
	if reason != ReasonOK {
		fmt.Fprintf(&b, "no answer: %v\n", reason)
	} else {
		b.Write(dhcp6.AppendText(nil, l.out))
		fmt.Fprintf(&b, "  to [%v]:%d", l.r.Dst, l.r.DstPort)
		if l.q.Subnet != nil {
			fmt.Fprintf(&b, " subnet %d", l.q.Subnet.ID)
		}
		for _, f := range l.r.Failures() {
			fmt.Fprintf(&b, " failed %v: %v", f.Type, f.Reason)
		}
		if l.r.ReusedNA+l.r.ReusedPD > 0 {
			fmt.Fprintf(&b, " reused %d", l.r.ReusedNA+l.r.ReusedPD)
		}
		b.WriteString("\n")
	}
	if l.j.Pos != pos {
		fmt.Fprintf(&b, "  journal +%d", l.j.Pos-pos)
		if l.r.CommitPos != 0 {
			b.WriteString(", wait")
		}
		b.WriteString("\n")
	}
	return b.String()
}

var traceTypes = map[string]dhcp6.MsgType{
	"solicit": dhcp6.MsgSolicit, "request": dhcp6.MsgRequest, "renew": dhcp6.MsgRenew, "rebind": dhcp6.MsgRebind,
	"confirm": dhcp6.MsgConfirm, "release": dhcp6.MsgRelease, "decline": dhcp6.MsgDecline,
	"infreq": dhcp6.MsgInformationRequest, "register": dhcp6.MsgAddrRegInform,
}

func (l *lab) traceQuery(t *testing.T, d *datadriven.TestData) *query {
	typ, ok := traceTypes[d.Cmd]
	if !ok {
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			d.Fatalf(t, "%q: %v", s, err)
		}
		return b
	}
	option := func(s string) []byte {
		c, h, _ := strings.Cut(s, ":")
		return opt(uint16(number(t, d, c)), unhex(h))
	}
	client := 0
	var parts []part
	for _, a := range d.CmdArgs {
		val := ""
		if len(a.Vals) > 0 {
			val = a.Vals[0]
		}
		switch a.Key {
		case "client":
			client = int(number(t, d, val))
		case "na", "pd":
			iaid, rs := traceIA(t, d, a.Vals)
			if a.Key == "na" {
				parts = append(parts, naRes(iaid, rs...))
			} else {
				parts = append(parts, pdRes(iaid, rs...))
			}
		case "oro":
			var codes []uint16
			for _, v := range a.Vals {
				codes = append(codes, uint16(number(t, d, v)))
			}
			parts = append(parts, oro(codes...))
		case "rapid":
			parts = append(parts, with(dhcp6.OptRapidCommit))
		case "addr": // of a registration
			x := ip(val)
			parts = append(parts, with(dhcp6.OptIAAddr, x[:], u32(1000, 2000)))
		case "fqdn":
			b := []byte{byte(number(t, d, val))}
			if len(a.Vals) > 1 {
				for _, label := range strings.Split(a.Vals[1], ".") {
					b = append(append(b, byte(len(label))), label...)
				}
			}
			parts = append(parts, with(dhcp6.OptClientFQDN, b))
		case "opt":
			for _, v := range a.Vals {
				o := option(v)
				parts = append(parts, func(q *query) { q.opts = append(q.opts, o...) })
			}
		case "relay":
			var opts [][]byte
			for _, v := range a.Vals[1:] {
				opts = append(opts, option(v))
			}
			parts = append(parts, relayed(val, opts...))
		case "src":
			parts = append(parts, from(val))
		case "dst":
			parts = append(parts, to(val))
		default:
			d.Fatalf(t, "unknown argument %q", a.Key)
		}
	}
	return ask(typ, client, parts...)
}

func number(t *testing.T, d *datadriven.TestData, s string) uint32 {
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil {
		d.Fatalf(t, "%q: %v", s, err)
	}
	return uint32(n)
}

func traceIA(t *testing.T, d *datadriven.TestData, vals []string) (iaid uint32, rs []res) {
	iaid = number(t, d, vals[0])
	for i := 1; i < len(vals); i++ {
		r := res{s: vals[i]}
		if i+2 < len(vals) && !strings.Contains(vals[i+1], ":") {
			r.pref, r.vali = number(t, d, vals[i+1]), number(t, d, vals[i+2])
			i += 2
		}
		rs = append(rs, r)
	}
	return iaid, rs
}

var stateNames = map[lease.State]string{
	lease.StateDefault: "default", lease.StateDeclined: "declined", lease.StateRegistered: "registered",
	lease.StateExpiredReclaimed: "expired-reclaimed", lease.StateReleased: "released", lease.StateOffered: "offered",
}

func (l *lab) traceLeases() string {
	var all []lease6.Lease6
	l.table.Walk(func(x *lease6.Lease6) bool {
		all = append(all, *x)
		return true
	})
	sort.Slice(all, func(i, j int) bool {
		if c := all[i].Addr.Compare(all[j].Addr); c != 0 {
			return c < 0
		}
		return all[i].State < all[j].State
	})
	var b strings.Builder
	for i := range all {
		x := &all[i]
		fmt.Fprintf(&b, "%v/%d %s", x.Addr, x.PrefixLen, stateNames[x.State])
		if x.DUIDLen > 0 {
			fmt.Fprintf(&b, " client=%d iaid=%d", x.DUID[x.DUIDLen-1], x.IAID)
		}
		if x.HostnameLen > 0 {
			fmt.Fprintf(&b, " host=%s", x.Host())
		}
		fmt.Fprintf(&b, " subnet=%d", x.SubnetID)
		if x.ValidLifetimeS == lease.InfiniteLifetime {
			b.WriteString(" infinite")
		} else {
			fmt.Fprintf(&b, " %d+%d/%d", x.CLTTUnixS-labStart, x.PreferredLifetimeS, x.ValidLifetimeS)
		}
		if x.RelayInfoLen > 0 {
			fmt.Fprintf(&b, " relay-info=%d", x.RelayInfoLen)
		}
		if x.Expired(l.now) {
			b.WriteString(" expired")
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		return "none\n"
	}
	return b.String()
}
