package engine6

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// TestConversations runs the conversations under testdata/conversations. Each
// file begins with a configuration (the inside of "Dhcp6"); after it come
// queries and commands:
//
//	config                 the input is the configuration; an engine without leases
//	reload                 the same, the leases stay
//	solicit|request|renew|rebind|confirm|release|decline|infreq|register
//	        client=N [na=(IAID[,ADDR[,PREFERRED,VALID]]..)] [pd=(IAID[,PREFIX..]..)]
//	        [oro=(N,..)] [rapid] [fqdn=(FLAGS,NAME)] [opt=(CODE:HEX,..)]
//	        [relay=(LINK[,CODE:HEX..])] [src=A] [dst=A]
//	time    +S             the clock goes on (seconds)
//	reclaim [remove]       expiry
//	leases                 what the table has
//	journal [full|broken|ok|hold|sync]
//
// Client N has the DUID 00:03:00:01:02:c1:00:00:…:N. Relays stand in the order
// in which they pass the message on. With -rewrite the answers in the files are
// made anew: read them before they are committed.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations found: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			var l *lab
			datadriven.RunTest(t, f, func(t *testing.T, d *datadriven.TestData) string {
				if d.Cmd == "config" {
					l = newLab(t, d.Input)
					return "ok\n"
				}
				if l == nil {
					d.Fatalf(t, "the file must begin with config")
				}
				l.t = t
				return l.traceCmd(t, d)
			})
		})
	}
}

func (l *lab) traceCmd(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "reload":
		l.reload(d.Input)
		return "ok\n"
	case "time":
		for _, a := range d.CmdArgs {
			s, err := strconv.ParseInt(strings.TrimPrefix(a.Key, "+"), 10, 64)
			if err != nil {
				d.Fatalf(t, "time: %v", err)
			}
			l.now += s
		}
		return fmt.Sprintf("it is %d\n", l.now-labStart)
	case "reclaim":
		before := l.w.Reclaimed()
		n := l.w.Reclaim(l.now, 0, d.HasArg("remove"), nil)
		c := l.w.Reclaimed()
		return fmt.Sprintf("handled %d: reclaimed %d (declined %d), removed %d, offers %d\n", n,
			c.Leases-before.Leases, c.Declined-before.Declined, c.Removed-before.Removed, c.Offers-before.Offers)
	case "leases":
		return l.traceLeases()
	case "journal":
		for _, a := range d.CmdArgs {
			switch a.Key {
			case "full":
				l.j.full = true
			case "broken":
				l.j.broken = true
			case "hold":
				l.j.hold = true
			case "sync":
				l.j.hold, l.j.durable = false, l.j.last
			case "ok":
				l.j.full, l.j.broken = false, false
			}
		}
		return "ok\n"
	}
	q := l.traceQuery(t, d)
	pos := l.j.pos
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
	if l.j.pos != pos {
		fmt.Fprintf(&b, "  journal +%d", l.j.pos-pos)
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
