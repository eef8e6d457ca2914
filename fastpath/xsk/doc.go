// Package xsk is AF_XDP: the UMEM, its four kinds of rings and the sockets of
// one device queue, each of which is a netio.Conn. It is the only hand-written
// unsafe of the dataplane.
//
// A Queue is one (device, queue) pair. It has one UMEM, one FILL and one
// COMPLETION ring, and N sockets with an RX and a TX ring each. The kernel lets
// all sockets of a queue share FILL and COMPLETION (XDP_SHARED_UMEM), but locks
// neither for user space: they are single-producer, single-consumer. So exactly
// one goroutine may touch them, that of Sockets()[0], the owner. The XDP program
// chooses the socket a packet goes to.
//
// # Who has a frame, and when
//
//	                   ┌────────────────── kernel ──────────────────┐
//	    FILL ────────► │ packet copied or DMAed in, socket i chosen │ ──► RX i
//	     ▲             │                                            │      │
//	     │ owner only  │ transmitted                                │      │ Recv: leased
//	     │             └──▲──────────────────────────┬──────────────┘      ▼ to worker i
//	┌────┴─────┐         TX i                    COMPLETION          ┌───────────┐
//	│ owner's  │          ▲                          │               │ worker i  │
//	│  free    │ ◄────────┼──────────────────────────┘ owner only    │ (its Loop)│
//	│  stack   │          └──────────── Send ────────────────────────┤           │
//	└─▲──────┬─┘                                                     └─┬───────▲─┘
//	  │      │         worker i > 0:                            Release│       │Alloc
//	  │      └───────► gift ring i ──────────────► local stack i ◄─────┘       │
//	  │                (owner → i)                 (at most localMax) ─────────┘
//	  └─────────────── back ring i (i → owner) ◄─── what is more than that
//
// A frame is at any moment in exactly one of: FILL, the kernel, an RX ring, on
// loan to a worker, a TX ring, COMPLETION, the owner's free stack, a gift ring,
// a local stack, a back ring. Every arrow has one producer and one consumer. For
// worker 0, the owner, Release and Alloc use the free stack directly.
//
// A frame that worker i transmits comes back through the shared COMPLETION ring
// to the owner, whoever sent it: frames are all alike, so the owner need not
// know, and keeps the workers' ability to Alloc alive with gifts instead. A reply
// is written over its request and the same frame is transmitted, so the ordinary
// way of a frame is the outer circle FILL → RX → TX → COMPLETION → FILL, without
// a copy.
//
// # Sizes
//
// COMPLETION and every back ring have room for all frames of the queue, so
// neither can overflow and no hand-back can fail. FILL is kept full from the free
// stack; the frames beyond FILL and RX are what replies waiting for their commit
// may occupy without starving reception.
//
// # A sleeping owner
//
// The owner serves FILL and COMPLETION once per turn of its loop. While it sleeps
// because no packet is for it, others still take frames. Each counts what went
// through its hands and wakes a sleeping owner after a share of the FILL ring, so
// that FILL never falls below half for that reason.
package xsk
