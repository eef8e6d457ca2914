package engine

import (
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/engine/enginetest"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	nt "github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// TestConversations runs the conversations under testdata/conversations, as
// enginetest.RunConversations describes. A configuration is the inside of "Dhcp4";
// client N has the hardware address 02:c1:…:N. The queries are:
//
//	discover|request|reboot|renew|rebind|release|decline|inform
//	        mac=N [cid=HEX] [addr=A] [server=A] [relay=A] [rai=HEX] [prl=(N,..)]
//	        [bcast] [opt=(CODE:HEX,..)] [src=A] [dst=A]
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
	state := ""
	if l.q.State != StateNone {
		state = fmt.Sprintf(" (%v)", l.q.State)
	}
	switch {
	case reason != ReasonOK:
		fmt.Fprintf(&b, "no answer%s: %v\n", state, reason)
	case l.r.Type == 0:
		fmt.Fprintf(&b, "done%s\n", state)
	default:
		fmt.Fprintf(&b, "%s", dhcp4.AppendText(nil, l.out))
		fmt.Fprintf(&b, "  to %v:%d %s from %v%s", l.r.Dst, l.r.DstPort,
			[...]string{"(link: source)", "(link: chaddr)", "(link: broadcast)"}[l.r.L2], l.r.ServerID, state)
		if l.r.NAKReason != ReasonOK {
			fmt.Fprintf(&b, " because %v", l.r.NAKReason)
		}
		if l.r.Reused {
			b.WriteString(" reused")
		}
		if l.r.ReservationConflict {
			b.WriteString(" reservation-conflict")
		}
		b.WriteString("\n")
	}
	if l.j.Pos != pos {
		fmt.Fprintf(&b, "  journal +%d", l.j.Pos-pos)
		if l.r.CommitPos != 0 {
			fmt.Fprintf(&b, ", wait")
		}
		if l.r.HaveDeleted {
			fmt.Fprintf(&b, ", deleted %v", l.r.Deleted.Addr)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (l *lab) traceQuery(t *testing.T, d *datadriven.TestData) *nt.Query {
	n := 0
	var addr dhcp4.IPv4
	server := l.ifAddr
	var opts []nt.Option
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			d.Fatalf(t, "%q: %v", s, err)
		}
		return b
	}
	for _, a := range d.CmdArgs {
		val := ""
		if len(a.Vals) > 0 {
			val = a.Vals[0]
		}
		switch a.Key {
		case "mac":
			n, _ = strconv.Atoi(val)
		case "addr":
			addr = ip(val)
		case "server":
			server = ip(val)
		}
	}
	for _, a := range d.CmdArgs {
		val := ""
		if len(a.Vals) > 0 {
			val = a.Vals[0]
		}
		switch a.Key {
		case "mac", "addr", "server":
		case "cid":
			opts = append(opts, nt.With(61, unhex(val)...))
		case "relay":
			opts = append(opts, nt.Relayed(ip(val), l.ifAddr))
		case "rai":
			opts = append(opts, nt.With(82, unhex(val)...))
		case "prl":
			var p []byte
			for _, v := range a.Vals {
				c, _ := strconv.Atoi(v)
				p = append(p, byte(c))
			}
			opts = append(opts, nt.With(55, p...))
		case "bcast":
			opts = append(opts, nt.WithBroadcast())
		case "opt":
			for _, v := range a.Vals {
				c, h, _ := strings.Cut(v, ":")
				code, _ := strconv.Atoi(c)
				opts = append(opts, nt.With(byte(code), unhex(h)...))
			}
		case "src":
			opts = append(opts, func(q *nt.Query) { q.Out.Src4 = uint32(ip(val)) })
		case "dst":
			opts = append(opts, func(q *nt.Query) { q.Out.Dst4 = uint32(ip(val)) })
		default:
			d.Fatalf(t, "unknown argument %q", a.Key)
		}
	}
	m := mac(n)
	switch d.Cmd {
	case "discover":
		if addr != 0 {
			opts = append([]nt.Option{nt.WithIP(50, addr)}, opts...)
		}
		return nt.Discover(m, opts...)
	case "request":
		return nt.Request(m, addr, server, opts...)
	case "reboot":
		return nt.InitReboot(m, addr, opts...)
	case "renew":
		return nt.Renew(m, addr, server, opts...)
	case "rebind":
		return nt.Rebind(m, addr, opts...)
	case "release":
		return nt.Release(m, addr, server, opts...)
	case "decline":
		return nt.Decline(m, addr, server, opts...)
	case "inform":
		return nt.Inform(m, addr, opts...)
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return nil
}

var stateNames = map[lease.State]string{
	lease.StateDefault: "default", lease.StateDeclined: "declined",
	lease.StateExpiredReclaimed: "expired-reclaimed", lease.StateReleased: "released", lease.StateOffered: "offered",
}

func (l *lab) traceLeases() string {
	var all []lease.Lease4
	l.table.Walk(func(x *lease.Lease4) bool {
		all = append(all, *x)
		return true
	})
	sort.Slice(all, func(i, j int) bool {
		if all[i].Addr != all[j].Addr {
			return all[i].Addr < all[j].Addr
		}
		return all[i].State < all[j].State
	})
	var b strings.Builder
	for i := range all {
		x := &all[i]
		fmt.Fprintf(&b, "%v %s", x.Addr, stateNames[x.State])
		if x.HWLen > 0 {
			fmt.Fprintf(&b, " mac=%d", x.HWAddr[x.HWLen-1])
		}
		if x.ClientIDLen > 0 {
			fmt.Fprintf(&b, " cid=%x", x.CID())
		}
		if x.UserContext != "" {
			fmt.Fprintf(&b, " context=%s", x.UserContext)
		}
		if x.HostnameLen > 0 {
			fmt.Fprintf(&b, " host=%s", x.Host())
		}
		fmt.Fprintf(&b, " subnet=%d", x.SubnetID)
		if x.ValidLifetimeS == lease.InfiniteLifetime {
			b.WriteString(" infinite")
		} else {
			fmt.Fprintf(&b, " %d+%d", x.CLTTUnixS-labStart, x.ValidLifetimeS)
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
