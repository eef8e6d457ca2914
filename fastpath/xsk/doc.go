// Package xsk is AF_XDP: the UMEM, its four kinds of rings and the sockets of
// one device queue, each of which is a netio.Conn. It is the only hand-written
// unsafe of the dataplane.
//
// A Queue is one (device, queue) pair. It has one UMEM, one FILL and one
// COMPLETION ring, and N sockets with an RX and a TX ring each. The kernel lets
// all sockets of a queue share FILL and COMPLETION (XDP_SHARED_UMEM), but locks
// neither for user space: they are single-producer, single-consumer. So only the
// queue's owner touches them. Owner is the worker that holds the queue's token, for
// the few hundred nanoseconds of one round; taking the token never waits. The XDP
// program chooses the socket a packet goes to.
//
// # Who has a frame, and when
//
//	                   ┌────────────────── kernel ──────────────────┐
//	    FILL ────────► │ packet copied or DMAed in, socket i chosen │ ──► RX i
//	     ▲             │                                            │      │
//	     │ owner       │ transmitted                                │      │ Recv: on loan
//	     │             └──▲──────────────────────────┬──────────────┘      ▼
//	┌────┴─────┐         TX i                    COMPLETION          ┌───────────┐
//	│   free   │          ▲                          │               │ worker i  │
//	│  stack   │ ◄────────┼──────────────────────────┘ owner         │ (its Loop)│
//	└─▲──────┬─┘          └──────────── Send ────────────────────────┤           │
//	  │      │                                                       └─┬───────▲─┘
//	  │owner │ owner                                            Release│       │Alloc
//	  │      └───────► gift ring i ──── worker i ──► local stack i ◄───┘       │
//	  │                                              (at most localMax) ───────┘
//	  └─────────────── back ring i ◄─── worker i ─── what is more than that
//
// A frame is at any moment in exactly one of: FILL, the kernel, an RX ring, on
// loan to a worker, a TX ring, COMPLETION, the free stack, a gift ring, a local
// stack, a back ring. Each ring has one producer and one consumer; where that is
// the owner, the token makes it one.
//
// A frame that worker i transmits comes back through the shared COMPLETION ring
// to whoever is the owner then: frames are all alike, so nobody need know who sent
// it, and a worker's ability to Alloc is kept alive with gifts instead. A reply is
// written over its request and the same frame is transmitted, so the ordinary way
// of a frame is the outer circle FILL → RX → TX → COMPLETION → FILL, without a copy.
//
// # Sizes
//
// COMPLETION and every back ring have room for all frames of the queue, so
// neither can overflow and no hand-back can fail. FILL is kept full from the free
// stack; the frames beyond FILL and RX are what replies waiting for their commit
// may occupy without starving reception.
//
// # Who is the owner
//
// The worker of the first socket tries at every turn of its loop. If it sleeps,
// because no packet is for it, or was preempted, packets for the others still use
// up FILL: so each of them tries as well once a share of FILL went through its
// hands, and before it sleeps. A fixed owner would be simpler and was tried: with
// more workers than idle cores, FILL ran dry whenever its thread waited for a CPU.
package xsk
