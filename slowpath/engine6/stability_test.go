package engine6

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

// restart goes on with what the journal has, as a server that was killed does.
func (l *lab) restart(body string) {
	l.t.Helper()
	cfg := parseConfig(l.t, body, Callouts{})
	l.table = lease6.NewTable(lease6.Options{})
	for _, x := range l.j.State {
		l.table.Load(&x)
	}
	l.eng = New(l.table, cfg)
	l.table.SetObserver(cfg.Alloc, true)
	l.w = l.eng.NewWorker(l.j)
}

// A returning client gets the prefix and the address that it had: after it
// released them, after they expired, across restarts, when pools were cut anew,
// moved to another subnet's network or got another allocator; while others come
// and take what is free. Only when a prefix is in no pool any more it gets another,
// and is told that the old one is gone.
func TestPrefixStability(t *testing.T) {
	const keys = `"valid-lifetime": 4000, "preferred-lifetime": 3000, "expired-leases-processing": { "hold-reclaimed-time": 100000 },`
	pools := `"pools": [ { "pool": "2001:db8:1::/64" } ]`
	subnet := func(pds string) string {
		return `{ "id": 1, "subnet": "2001:db8:1::/48", "interface": "eth0", ` + pools + `, "pd-pools": [ ` + pds + ` ] }`
	}
	pd1 := func(prefix string, length int) string {
		return fmt.Sprintf(`{ "prefix": %q, "prefix-len": %d, "delegated-len": 56 }`, prefix, length)
	}
	for _, alloc := range []string{"iterative", "random", "flq"} {
		t.Run(alloc, func(t *testing.T) {
			naAlloc := alloc
			if alloc == "flq" {
				naAlloc = "random"
			}
			base := keys + fmt.Sprintf(`"allocator": %q, "pd-allocator": %q,`, naAlloc, alloc)
			whole := base + `"subnet6": [ ` + subnet(pd1("2001:db8:8000::", 48)) + ` ]` // 256 prefixes
			l := newLab(t, whole)
			others := 1000
			crowd := func(n int) { // takes what is free
				for range n {
					others++
					l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, others, na(1), pd(1)))
					l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, others, na(1, l.addr(0)), pd(1, l.addr(1))))
				}
			}
			// client comes as one that has forgotten everything.
			client := func() (addr, prefix string) {
				t.Helper()
				l.want(dhcp6.MsgAdvertise, ask(dhcp6.MsgSolicit, 1, na(1), pd(1)))
				l.want(dhcp6.MsgReply, ask(dhcp6.MsgRequest, 1, na(1, l.addr(0)), pd(1, l.addr(1))))
				return l.addr(0), l.addr(1)
			}
			crowd(5)
			addr, prefix := client()
			same := func(when string) {
				t.Helper()
				crowd(20)
				if a, p := client(); a != addr || p != prefix {
					t.Fatalf("%s: got %s and %s, had %s and %s", when, a, p, addr, prefix)
				}
			}
			same("asked again")
			l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(1, addr), pd(1, prefix)))
			same("released")
			l.restart(whole)
			same("restarted")
			l.want(dhcp6.MsgReply, ask(dhcp6.MsgRelease, 1, na(1, addr), pd(1, prefix)))
			l.restart(whole)
			same("released, restarted")
			l.now += 5000
			l.w.Reclaim(l.now, 0, false, nil)
			same("expired")
			l.now += 5000
			l.w.Reclaim(l.now, 0, false, nil)
			l.restart(whole)
			same("expired, restarted")
			halves := pd1("2001:db8:8000::", 49) + ", " + pd1("2001:db8:8000:8000::", 49)
			l.reload(base + `"subnet6": [ ` + subnet(halves) + ` ]`)
			same("the pool was cut in two")
			l.restart(base + `"subnet6": [ ` + subnet(halves+", "+pd1("2001:db8:9000::", 48)) + ` ]`)
			same("a pool was added")
			l.reload(base + `"shared-networks": [ { "name": "n", "interface": "eth0", "subnet6": [ { "id": 2, "subnet": "2001:db8:2::/48" }, ` +
				`{ "id": 1, "subnet": "2001:db8:1::/48", ` + pools + `, "pd-pools": [ ` + pd1("2001:db8:8000::", 48) + ` ] } ] } ]`)
			same("the subnet came into a shared network")

			// Gone.
			l.reload(base + `"subnet6": [ ` + subnet(pd1("2001:db8:a000::", 48)) + ` ]`)
			l.want(dhcp6.MsgReply, ask(dhcp6.MsgRenew, 1, na(1, addr), pd(1, prefix)))
			g := l.ia(1)
			if l.addr(0) != addr || len(g.res) != 2 || g.res[0].ValidS == 0 || g.res[1].ValidS != 0 || g.res[1].Addr != prefixAddr(prefix) {
				t.Errorf("renewed a prefix that is gone:\n%s", dhcp6.AppendText(nil, l.out))
			}
			prefix = l.addr(1)
			same("renumbered")
		})
	}
}

// prefixAddr is the first address of a prefix.
func prefixAddr(s string) dhcp6.IPv6 { return dhcp6.FromNetip(netip.MustParsePrefix(s).Addr()) }
