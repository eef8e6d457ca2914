package dhcp4

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// collectOptions adds the options in b up to END; pieces of a code are joined.
func collectOptions(t *testing.T, into map[byte][]byte, b []byte) {
	t.Helper()
	for i := 0; ; {
		if i >= len(b) {
			t.Fatal("no END")
		}
		switch {
		case b[i] == OptPad:
			i++
			continue
		case b[i] == OptEnd:
			if len(bytes.Trim(b[i+1:], "\x00")) != 0 {
				t.Fatalf("something behind END: %x", b[i+1:])
			}
			return
		}
		n := int(b[i+1])
		into[b[i]] = append(append([]byte{}, into[b[i]]...), b[i+2:i+2+n]...)
		i += 2 + n
	}
}

// RFC 2131 §4.1 and RFC 2132 §9.3, against a map of what was set: nothing is lost
// but what is counted, and nothing is there that was not set.
func TestOverload(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 2))
	used := [4]int{}
	for round := range 3000 {
		r := Reply{Type: MsgAck}
		set := map[byte][]byte{OptMessageType: {byte(MsgAck)}}
		for range 1 + rnd.IntN(12) {
			code := byte(1 + rnd.IntN(254))
			if code == OptMessageType || code == OptOverload {
				continue
			}
			val := make([]byte, rnd.IntN(70))
			if rnd.IntN(20) == 0 {
				val = make([]byte, rnd.IntN(400))
			}
			for i := range val {
				val[i] = byte(rnd.Uint32())
			}
			r.Set(code, val)
			set[code] = val
		}
		if rnd.IntN(3) == 0 {
			r.File = []byte("boot")
		}
		if rnd.IntN(3) == 0 {
			r.SName = []byte("server")
		}
		maxLen := HeaderLen + rnd.IntN(600)
		b, dropped := r.Append(nil, maxLen, nil)
		got := map[byte][]byte{}
		collectOptions(t, got, b[HeaderLen:])
		value := byte(0)
		if v, ok := got[OptOverload]; ok {
			value = v[0]
			delete(got, OptOverload)
		}
		used[value]++
		if value&1 != 0 {
			collectOptions(t, got, b[offFile:offCookie])
		} else if !bytes.HasPrefix(b[offFile:offCookie], r.File) {
			t.Fatalf("seed %d, round %d: file", seed, round)
		}
		if value&2 != 0 {
			collectOptions(t, got, b[offSName:offFile])
		} else if !bytes.HasPrefix(b[offSName:offFile], r.SName) {
			t.Fatalf("seed %d, round %d: sname", seed, round)
		}
		if len(got)+dropped != len(set) {
			t.Fatalf("seed %d, round %d: %d set, %d sent, %d counted as left out", seed, round, len(set), len(got), dropped)
		}
		for c, v := range got {
			if !bytes.Equal(set[c], v) {
				t.Fatalf("seed %d, round %d: option %d is %x, want %x", seed, round, c, v, set[c])
			}
		}
		if dropped > 0 || value != 0 {
			full, _ := r.Append(nil, 1<<16, nil)
			if len(full) <= maxLen {
				t.Fatalf("seed %d, round %d: it would have fitted", seed, round)
			}
		}
		must := HeaderLen + 4 + 3
		for c, v := range set {
			if never(c) {
				must += encodedLen(len(v))
			}
		}
		if len(b) > max(maxLen, must) {
			t.Fatalf("seed %d, round %d: %d octets, at most %d", seed, round, len(b), maxLen)
		}
	}
	for v, n := range used {
		if n == 0 {
			t.Errorf("option 52 was never %d", v)
		}
	}
}

func TestOverloadAllocatesNothing(t *testing.T) {
	r := offer()
	full, _ := r.Append(nil, 4096, nil)
	b := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { b, _ = r.Append(b[:0], len(full)-5, nil) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if b[HeaderLen+3] != OptOverload {
		t.Error("no option 52")
	}
}
