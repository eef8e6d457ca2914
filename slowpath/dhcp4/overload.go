package dhcp4

// Values of option 52 (RFC 2132 §9.3), which are bits.
const (
	overloadFile  = 1
	overloadSName = 2
)

// overload says which options of a reply are in file and sname.
type overload struct {
	file, sname [4]uint64 // codes
	value       uint8     // of option 52, 0: none are
	moved       int       // octets that the options do not take any more
}

// overload chooses options for the fields file and sname, as far as they are
// empty, until the size of the message is at most maxLen, and clears them in send
// (RFC 2131 §4.1). Each is whole in one field. What every client must find, or a
// relay, stays where it is.
func (r *Reply) overload(send *[4]uint64, size, maxLen int) (o overload) {
	if r.Has(OptOverload) {
		return o
	}
	// END takes an octet of each field.
	file, sname := fileLen-1, snameLen-1
	if len(r.File) > 0 {
		file = 0
	}
	if len(r.SName) > 0 {
		sname = 0
	}
	for c := 255; c > 0 && size+3-o.moved > maxLen; c-- {
		if r.present[c>>6]&(1<<(c&63)) == 0 {
			continue
		}
		x := &r.opts[r.slotOf[c]]
		if never(x.code) || x.parts != partsNone {
			continue
		}
		n := encodedLen(len(x.value()))
		w, bit := x.code>>6, uint64(1)<<(x.code&63)
		switch {
		case n <= file:
			file -= n
			o.file[w] |= bit
			o.value |= overloadFile
		case n <= sname:
			sname -= n
			o.sname[w] |= bit
			o.value |= overloadSName
		default:
			continue
		}
		o.moved += n
	}
	if o.moved <= 3 {
		return overload{} // option 52 takes as much
	}
	for w := range send {
		send[w] &^= o.file[w] | o.sname[w]
	}
	return o
}

// putField writes the options of a set and END; what is behind stays zero, which
// is PAD.
func (r *Reply) putField(b []byte, codes *[4]uint64) {
	i := 0
	for w, m := range codes {
		for m &= r.present[w]; m != 0; m &= m - 1 {
			o := r.opt(w, m)
			i += putOption(b[i:], o.code, o.value())
		}
	}
	b[i] = OptEnd
}
