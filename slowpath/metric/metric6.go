package metric

import (
	"strconv"

	"github.com/peregrine-dhcp/peregrine/slowpath/alloc6"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

var receivedTypes6 = []struct {
	label string
	c     stat.Counter
}{
	{"solicit", stat.Pkt6SolicitReceived}, {"advertise", stat.Pkt6AdvertiseReceived}, {"request", stat.Pkt6RequestReceived},
	{"reply", stat.Pkt6ReplyReceived}, {"renew", stat.Pkt6RenewReceived}, {"rebind", stat.Pkt6RebindReceived},
	{"confirm", stat.Pkt6ConfirmReceived}, {"release", stat.Pkt6ReleaseReceived}, {"decline", stat.Pkt6DeclineReceived},
	{"information-request", stat.Pkt6InfRequestReceived}, {"addr-reg-inform", stat.Pkt6AddrRegInformReceived},
	{"unknown", stat.Pkt6UnknownReceived},
}

// collect6 is Collect for DHCPv6.
func (c *Collector) collect6(put func(d desc, v float64, labels ...string)) {
	s := c.server
	st := s.Stats6()
	for _, t := range receivedTypes6 {
		put(mReceived, float64(st.Total(t.c)), "dhcp6", t.label)
	}
	put(mSent, float64(st.Total(stat.Pkt6AdvertiseSent)), "dhcp6", "advertise")
	put(mSent, float64(st.Total(stat.Pkt6ReplySent)), "dhcp6", "reply")
	put(mSent, float64(st.Total(stat.Pkt6AddrRegReplySent)), "dhcp6", "addr-reg-reply")
	for k, end := stat.V6.Counters(); k < end; k++ {
		put(mKea, float64(st.Total(k)), "dhcp6", k.String())
	}
	size := func(n alloc6.Size) float64 { return float64(n.Hi)*(1<<64) + float64(n.Lo) }
	a := s.Alloc6()
	a.EachPool(func(p *alloc6.PoolStats) {
		typ, last := "na", "-"+p.Last.String()
		if p.PD {
			typ, last = "pd", "-"+p.Last.String()+"/"+strconv.Itoa(int(p.Length))
		}
		labels := []string{strconv.FormatUint(uint64(p.SubnetID), 10), p.First.String() + last, typ}
		for _, x := range []struct {
			state string
			v     float64
		}{
			{"total", size(p.Total)}, {"assigned", float64(p.Assigned)}, {"declined", float64(p.Declined)},
			{"registered", float64(p.Registered)}, {"offered", float64(p.Offered)}, {"stale", float64(p.Stale)},
		} {
			put(mPool6, x.v, append(labels[:3:3], x.state)...)
		}
	})
	a.EachSubnet(func(x *alloc6.SubnetStats) {
		id := strconv.FormatUint(uint64(x.SubnetID), 10)
		for _, t := range []struct {
			typ string
			s   *alloc6.TypeStats
		}{{"na", &x.NA}, {"pd", &x.PD}} {
			put(mSubnet6, size(t.s.Total), id, t.typ, "total")
			put(mSubnet6, float64(t.s.Assigned), id, t.typ, "assigned")
			put(mSubnet6, float64(t.s.Declined), id, t.typ, "declined")
			put(mSubnet6, float64(t.s.Registered), id, t.typ, "registered")
			put(mAssign6, float64(t.s.Cumulative), id, t.typ)
		}
	})
	records, memory := s.LeaseTable6()
	put(mLeases6, float64(records))
	put(mMemory6, float64(memory))
}
