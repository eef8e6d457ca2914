package loadgen

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/frame"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio"
)

const (
	// junkVariants is how many mutations are prepared; they take turns.
	junkVariants = 1024
	// Transaction identifiers of junk lie this far ahead of the exchanges'. So
	// an answer with one that no exchange has had yet, but could have soon, is an
	// answer to junk.
	junkFirst = 1 << 21
	junkSpan  = 1 << 20
	junkAhead = 1 << 22
	// Junk that is still well-formed comes from these clients: enough of them to
	// be a nuisance, and few enough not to empty the server's pools.
	junkMAC     = 0x026a756e6b00
	junkClients = 1 << 12
	// junkBehindNs is how much junk is caught up on after a pause.
	junkBehindNs = 50_000_000
)

// junk is a stream of mutated first messages and garbage.
type junk struct {
	payloads [][]byte
	rate     uint64
	startNs  int64
	begun    uint64 // sent or passed over
	turn     uint32
	random   *rand.Rand
	// Missed could not be sent in time.
	Missed uint64
}

func newJunk(g *Generator) *junk {
	j := &junk{rate: g.opt.JunkRate, random: rand.New(rand.NewPCG(g.opt.Seed, 0x6a756e6b))}
	var base []byte
	if g.six != nil {
		base = g.six.appendMessage(nil, g, SolicitAdvertise, &slot{stage: stageOf(SolicitAdvertise)}, 0)
	} else {
		base = g.messages[DiscoverOffer].msg
	}
	for i := range junkVariants {
		j.payloads = append(j.payloads, mutate(base, i, g.six != nil, j.random))
	}
	return j
}

// mutate returns a copy of msg with the i-th kind of damage, at a random place.
func mutate(msg []byte, i int, v6 bool, r *rand.Rand) []byte {
	b := slices.Clone(msg)
	body := 4 // of DHCPv6
	if !v6 {
		body = 240
	}
	body = min(body, len(b))
	at := func(from int) int { return from + r.IntN(max(len(b)-from, 1)) }
	garbage := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	switch i % 12 {
	case 0: // cut off
		b = b[:r.IntN(len(b))]
	case 1: // bits turned
		for range 1 + r.IntN(8) {
			b[at(0)] ^= 1 << r.IntN(8)
		}
	case 2: // octets behind the header replaced
		for range 1 + r.IntN(16) {
			b[min(at(body), len(b)-1)] = byte(r.Uint32())
		}
	case 3: // nothing but garbage
		b = garbage(1 + r.IntN(600))
	case 4: // a proper header, then garbage
		b = append(b[:body], garbage(1+r.IntN(300))...)
	case 5: // an option that reaches past the end
		if v6 {
			b = append(b, 0, byte(r.IntN(100)), 0xff, 0xff)
		} else {
			b[len(b)-1] = byte(1 + r.IntN(254))
			b = append(b, 255)
		}
	case 6: // another first octet: op, or the message type
		b[0] = byte(r.Uint32())
	case 7: // hlen, or the length of the first option
		if v6 {
			copy(b[min(6, len(b)):], []byte{byte(r.Uint32()), byte(r.Uint32())})
		} else {
			b[2] = byte(7 + r.IntN(249))
		}
	case 8: // no cookie, or options of nothing
		if v6 {
			b = append(b[:body], make([]byte, 4*r.IntN(100))...)
		} else {
			b[236] ^= 0x80
		}
	case 9: // hops without end, or a relay's message in a relay's message
		if v6 {
			b = slices.Clone(b)
			for range 1 + r.IntN(8) {
				h := append(make([]byte, 34), 0, opt6RelayMessage, byte(len(b)>>8), byte(len(b)))
				h[0], h[1] = msg6RelayForward, byte(r.Uint32())
				b = append(h, b...)
			}
		} else {
			b[3] = byte(17 + r.IntN(239))
		}
	case 10: // options repeated
		o := slices.Clone(b[body:])
		if !v6 {
			b = b[:len(b)-1]
			o = o[:len(o)-1]
		}
		for range 3 {
			b = append(b, o...)
		}
		if !v6 {
			b = append(b, 255)
		}
	case 11: // no option but padding, or options in disorder
		if v6 {
			for i, j := body, len(b)-1; i < j; i, j = i+1, j-1 {
				b[i], b[j] = b[j], b[i]
			}
		} else {
			b = append(b[:body], make([]byte, r.IntN(300))...)
		}
	}
	return b[:min(len(b), 1400)]
}

func (j *junk) start(nowNs int64) { j.startNs, j.begun = nowNs, 0 }

// nextNs is when so much is due that it is worth waking up for: 50 µs worth.
func (j *junk) nextNs() int64 {
	return j.startNs + int64(mulDiv(j.begun+1+j.rate/20_000, uint64(time.Second), j.rate))
}

// send sends what is due, at most a batch, and returns how much. It comes after
// the exchanges in every turn, so that they never wait for it.
func (j *junk) send(g *Generator, t int64) int {
	want := mulDiv(uint64(t-j.startNs), j.rate, uint64(time.Second))
	owed := want - j.begun
	if most := mulDiv(junkBehindNs, j.rate, uint64(time.Second)) + netio.BatchSize; owed > most {
		j.Missed += owed - most
		j.begun = want - most
		owed = most
	}
	conn := g.conns[0]
	k := 0
	for ; k < netio.BatchSize && uint64(k) < owed; k++ {
		p := &g.toSend[k]
		if !conn.Alloc(p) {
			break
		}
		payload := j.payloads[j.turn%junkVariants]
		r := j.random.Uint64()
		b := p.Data[:g.headLen+len(payload)]
		m := b[g.headLen:]
		copy(m, payload)
		xid := g.xidBase + g.head + junkFirst + uint32(r)%junkSpan
		if g.six != nil {
			if len(m) >= 4 {
				xid &= sixIndexMask
				m[1], m[2], m[3] = byte(xid>>16), byte(xid>>8), byte(xid)
			}
			p.Data = b[:frame.Write6(b, &g.six.out, len(m))]
		} else {
			if len(m) >= 8 {
				binary.BigEndian.PutUint32(m[offXID:], xid)
			}
			if len(m) >= offCHAddr+6 {
				putMAC(m[offCHAddr:], junkMAC+(r>>32)%junkClients)
			}
			p.Data = b[:frame.Write4(b, &g.out, len(m))]
		}
		if j.turn%29 == 0 { // and some with a wrong checksum
			p.Data[g.headLen-1] ^= 0x55
		}
		p.IfIndex = g.opt.IfIndex
		j.turn++
	}
	if k > 0 {
		conn.Send(g.toSend[:k])
		j.begun += uint64(k)
		g.Stats[Junk].Sent += uint64(k)
	}
	return k
}
