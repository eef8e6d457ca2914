package loadgen

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// steer is a minimal XDP program on one interface: UDP to a DHCP port, over IPv4
// or IPv6 as asked, goes to the AF_XDP socket of its queue, all else passes. The server's own
// program would not do: it takes what clients send, not what servers answer.
type steer struct {
	prog   *ebpf.Program
	socks  *ebpf.Map
	link   link.Link
	native bool
}

// newSteer loads and attaches it, in native mode if the driver can. ports are
// the UDP destination ports taken, in host order.
func newSteer(ifIndex, queues int, v6 bool, ports []uint16) (s *steer, err error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("remove memlock limit: %w", err)
	}
	s = &steer{}
	defer func() {
		if err != nil {
			s.close()
			s = nil
		}
	}()
	s.socks, err = ebpf.NewMap(&ebpf.MapSpec{Name: "dhcpgun", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues)})
	if err != nil {
		return s, fmt.Errorf("make socket map: %w", err)
	}
	s.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "dhcpgun", Type: ebpf.XDP, License: "Apache-2.0", Instructions: steerProgram(s.socks.FD(), v6, ports)})
	if err != nil {
		return s, fmt.Errorf("load XDP program: %w", err)
	}
	o := link.XDPOptions{Program: s.prog, Interface: ifIndex, Flags: link.XDPDriverMode}
	if s.link, err = link.AttachXDP(o); err == nil {
		s.native = true
		return s, nil
	}
	native := err
	o.Flags = link.XDPGenericMode
	if s.link, err = link.AttachXDP(o); err != nil {
		return s, fmt.Errorf("attach XDP program: %w", errors.Join(native, err))
	}
	return s, nil
}

func (s *steer) put(queue uint32, fd int) error {
	if err := s.socks.Put(queue, uint32(fd)); err != nil {
		return fmt.Errorf("put socket of queue %d into the map: %w", queue, err)
	}
	return nil
}

func (s *steer) close() {
	if s.link != nil {
		s.link.Close()
	}
	if s.prog != nil {
		s.prog.Close()
	}
	if s.socks != nil {
		s.socks.Close()
	}
}

// inFrame is v as the program sees it when it loads it from a frame.
func inFrame(v uint16) int32 {
	return int32(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)))
}

// steerProgram assembles the program. Registers: R6 context, R7 start and R8 end
// of the frame.
func steerProgram(mapFD int, v6 bool, ports []uint16) asm.Instructions {
	const pass = 2 // XDP_PASS
	etherType, headers := int32(unix.ETH_P_IP), int32(20+8)
	if v6 {
		etherType, headers = unix.ETH_P_IPV6, 40+8
	}
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.Word), // data
		asm.LoadMem(asm.R8, asm.R6, 4, asm.Word), // data_end
	}
	label := func(kind string, depth int) string { return fmt.Sprintf("%s%d", kind, depth) }
	for depth := range 3 { // tags in front
		l3 := int16(14 + 4*depth)
		first := asm.Mov.Reg(asm.R2, asm.R7)
		if depth > 0 {
			first = first.WithSymbol(label("tag", depth))
		}
		ins = append(ins,
			first,
			asm.Add.Imm(asm.R2, int32(l3)+headers),
			asm.JGT.Reg(asm.R2, asm.R8, "pass"),
			asm.LoadMem(asm.R3, asm.R7, l3-2, asm.Half),
			asm.JEq.Imm(asm.R3, inFrame(uint16(etherType)), label("ip", depth)),
		)
		if depth < 2 {
			ins = append(ins,
				asm.JEq.Imm(asm.R3, inFrame(unix.ETH_P_8021Q), label("tag", depth+1)),
				asm.JEq.Imm(asm.R3, inFrame(unix.ETH_P_8021AD), label("tag", depth+1)),
			)
		}
		ins = append(ins, asm.Ja.Label("pass"))
	}
	for depth := range 3 {
		l3 := int16(14 + 4*depth)
		if v6 {
			ins = append(ins,
				asm.LoadMem(asm.R3, asm.R7, l3+6, asm.Byte).WithSymbol(label("ip", depth)),
				asm.JNE.Imm(asm.R3, unix.IPPROTO_UDP, "pass"),
				asm.LoadMem(asm.R3, asm.R7, l3+42, asm.Half),
			)
		} else {
			ins = append(ins,
				asm.LoadMem(asm.R3, asm.R7, l3, asm.Byte).WithSymbol(label("ip", depth)),
				asm.JNE.Imm(asm.R3, 0x45, "pass"),
				asm.LoadMem(asm.R3, asm.R7, l3+9, asm.Byte),
				asm.JNE.Imm(asm.R3, unix.IPPROTO_UDP, "pass"),
				asm.LoadMem(asm.R3, asm.R7, l3+6, asm.Half), // a fragment has no ports
				asm.And.Imm(asm.R3, inFrame(0x3fff)),
				asm.JNE.Imm(asm.R3, 0, "pass"),
				asm.LoadMem(asm.R3, asm.R7, l3+22, asm.Half),
			)
		}
		for _, p := range ports {
			ins = append(ins, asm.JEq.Imm(asm.R3, inFrame(p), "redirect"))
		}
		ins = append(ins, asm.Ja.Label("pass"))
	}
	return append(ins,
		asm.LoadMapPtr(asm.R1, mapFD).WithSymbol("redirect"),
		asm.LoadMem(asm.R2, asm.R6, 16, asm.Word), // rx_queue_index
		asm.Mov.Imm(asm.R3, pass),                 // if there is no socket
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	)
}
