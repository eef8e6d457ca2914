package loadgen

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// maxRecords bounds the memory that Options.Keep and Options.Unique take.
const maxRecords = 1 << 24

// record is one answer.
type record struct {
	sentNs, gotNs int64
	mac           uint64 // of DHCPv4: the client's
	addr          uint32
	six           int32 // 1 + place in records.six
}

// record6 is what an answer of DHCPv6 has beside.
type record6 struct {
	duid         []byte
	addr, prefix netip.Addr
}

// records are the answers of a run, for perfdhcp's -x l and t.
type records struct {
	v6     bool
	list   [numExchanges][]record
	six    []record6
	n      int
	missed uint64
}

func newRecords(v6 bool) *records { return &records{v6: v6} }

func (r *records) clear() { *r = records{v6: r.v6} }

func (r *records) add(e Exchange, x record) {
	if r.n == maxRecords {
		r.missed++
		return
	}
	r.n++
	r.list[e] = append(r.list[e], x)
}

func (g *Generator) record(s *slot, t int64, addr uint32) record {
	return record{sentNs: s.sentNs, gotNs: t, mac: g.mac(s.client), addr: addr}
}

func (r *records) add6(e Exchange, s *slot, t int64, v *view6) {
	if r.n == maxRecords {
		r.missed++
		return
	}
	x := record6{duid: append([]byte(nil), v.ClientID...)}
	if v.HasAddr {
		x.addr = netip.AddrFrom16(v.Addr)
	}
	if v.HasPrefix {
		x.prefix = netip.AddrFrom16(v.Prefix)
	}
	r.six = append(r.six, x)
	r.add(e, record{sentNs: s.sentNs, gotNs: t, six: int32(len(r.six))})
}

// WriteLeases writes perfdhcp's -x l: the addresses of every answer, by exchange.
// Options.Keep must have been set.
func (g *Generator) WriteLeases(w io.Writer) {
	for _, e := range g.Exchanges() {
		fmt.Fprintf(w, "***Leases for %s***\nclient_id,adrress,prefix\n", e) // sic
		for _, x := range g.kept.list[e] {
			if x.six == 0 {
				var mac [6]byte
				putMAC(mac[:], x.mac)
				addr := netip.AddrFrom4([4]byte{byte(x.addr >> 24), byte(x.addr >> 16), byte(x.addr >> 8), byte(x.addr)})
				fmt.Fprintf(w, "01%x,%v,\n", mac, addr)
				continue
			}
			r := &g.kept.six[x.six-1]
			fmt.Fprintf(w, "%s,%s,%s\n", colons(r.duid), addrText(r.addr), addrText(r.prefix))
		}
		fmt.Fprint(w, "\n\n")
	}
	g.kept.writeMissed(w)
}

func (r *records) writeMissed(w io.Writer) {
	if r.missed > 0 {
		fmt.Fprintf(w, "%d further answers were not kept\n", r.missed)
	}
}

func colons(b []byte) string { return net.HardwareAddr(b).String() }

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// WriteTimestamps writes perfdhcp's -x t: when every answered message was sent
// and its answer received, from the start of the program. Options.Keep must have
// been set.
func (g *Generator) WriteTimestamps(w io.Writer) {
	for _, e := range g.Exchanges() {
		fmt.Fprintf(w, "***Timestamps for packets: %s***\n", e)
		if len(g.kept.list[e]) == 0 {
			fmt.Fprintln(w, "Unavailable! No packets received.")
		}
		for _, x := range g.kept.list[e] {
			fmt.Fprintf(w, "sent / received: %s / %s\n", isoDuration(x.sentNs), isoDuration(x.gotNs))
		}
		fmt.Fprintln(w)
	}
	g.kept.writeMissed(w)
}

// isoDuration is a duration as Boost writes it in ISO form: HHMMSS.ffffff, the
// fraction only if there is one.
func isoDuration(ns int64) string {
	d := time.Duration(ns)
	s := fmt.Sprintf("%02d%02d%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
	if us := d.Microseconds() % 1e6; us != 0 {
		s += fmt.Sprintf(".%06d", us)
	}
	return s
}

// WriteTemplates writes perfdhcp's -x T: the first message of each stage, and
// where its fields are. Options.Samples must have been set.
func (g *Generator) WriteTemplates(w io.Writer) {
	first, second := DiscoverOffer, RequestAck
	if g.six != nil {
		first, second = SolicitAdvertise, RequestReply
	}
	for i, e := range []Exchange{first, second} {
		t := Template{XIDOffset: offXID, RandomOffset: 35, ElapsedOffset: offSecs, ServerIDOffset: 54, IPOffset: 240}
		if g.six != nil {
			t = Template{XIDOffset: 1, RandomOffset: 21, ElapsedOffset: 84, ServerIDOffset: 22, IPOffset: 40}
			if i < len(g.six.templates) {
				t = g.six.templates[i]
			}
		} else if i < len(g.opt.Templates) {
			t = g.opt.Templates[i]
		}
		fmt.Fprintf(w, "xid-offset=%d\nrandom-offset=%d\n", t.XIDOffset, t.RandomOffset)
		if i > 0 {
			fmt.Fprintf(w, "srvid-offset=%d\ntime-offset=%d\nip-offset=%d\n", t.ServerIDOffset, t.ElapsedOffset, t.IPOffset)
		}
		fmt.Fprintln(w, "contents: ")
		// perfdhcp numbers the digits, not the octets.
		for h, at := hex.EncodeToString(g.samples[e]), 0; at < len(h); at += 32 {
			fmt.Fprintf(w, "%04x   %s\n", at, h[at:min(at+32, len(h))])
		}
		fmt.Fprintln(w)
	}
}
