//go:build !race

package xsk_test

import (
	"testing"
	"time"

	"github.com/cilium/ebpf/link"

	"github.com/peregrine-dhcp/peregrine/fastpath/fastpathtest"
	"github.com/peregrine-dhcp/peregrine/fastpath/xsk"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

// Frames go round between the two ends of a veth: receiving, allocating, sending,
// releasing, waiting and counting allocate nothing.
func TestSocketAllocatesNothing(t *testing.T) {
	fastpathtest.RequireXDP(t)
	v := fastpathtest.NewVeth(t, 1)
	var ends [2]*xsk.Socket
	for i, e := range []fastpathtest.End{v.Server, v.Client} {
		st := fastpathtest.NewSteer(t, 1, 1)
		l, err := link.AttachXDP(link.XDPOptions{Program: st.Program, Interface: int(e.Index), Flags: link.XDPDriverMode})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		q, err := xsk.Open(xsk.Options{IfIndex: e.Index, Frames: 1024, RingSize: 256})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		ends[i] = q.Sockets()[0]
		if err := st.XSKMap.Put(uint32(0), uint32(ends[i].FD())); err != nil {
			t.Fatal(err)
		}
	}
	frame := fastpathtest.Query(v.Server.MAC, v.Client.MAC, [4]byte{10, 0, 0, 1}, [4]byte{192, 0, 2, 1}, 1, 1)
	var pkts [netio.BatchSize]netio.Packet
	received := 0
	if n := testing.AllocsPerRun(500, func() {
		for i := range 8 {
			if !ends[1].Alloc(&pkts[i]) {
				t.Fatal("no frame")
			}
			pkts[i].Data = append(pkts[i].Data, frame...)
		}
		ends[1].Send(pkts[:8])
		ends[1].Flush()
		ends[0].Wait(int64(time.Millisecond))
		n := ends[0].Recv(pkts[:])
		ends[0].Send(pkts[:n])
		ends[0].Flush()
		ends[0].Wake()
		n = ends[1].Recv(pkts[:])
		received += n
		ends[1].Release(pkts[:n])
		_ = ends[1].ConnStats()
	}); n != 0 {
		t.Errorf("%v allocations per round", n)
	}
	if received < 1000 {
		t.Errorf("only %d frames went round", received)
	}
}
