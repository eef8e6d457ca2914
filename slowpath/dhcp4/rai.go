package dhcp4

// checkRAI walks option 82 once: it applies the length rules of the
// sub-options' types, and puts those together that come in pieces. As in Kea
// the walk stops before a truncated sub-option, and codes 0 and 255 are
// ordinary ones (V4-107).
func (v *View) checkRAI() Reason {
	b := v.bytes(v.index[OptRelayAgentInformation])
	var seen, dup [4]uint64
	anyDup := false
	for i := 0; i < len(b); {
		if i+2 > len(b) || i+2+int(b[i+1]) > len(b) {
			v.notes |= NoteTruncatedOption
			break
		}
		sub, n := b[i], b[i+1]
		i += 2 + int(n)
		w, bit := sub>>6, uint64(1)<<(sub&63)
		if seen[w]&bit != 0 {
			dup[w] |= bit
			anyDup = true
			continue
		}
		seen[w] |= bit
		if f := raiFormats[sub]; f.form == fScalar && n != f.size {
			// With a later piece the length is judged when they are joined.
			if hasRAI(b[i:], sub) {
				continue
			}
			if n < f.size || !v.Lenient {
				return ReasonRAILen
			}
			v.notes |= NoteExcessLength
		}
	}
	if anyDup {
		return v.joinRAI(b, &dup)
	}
	return ReasonOK
}

// hasRAI reports whether the sub-option is in b.
func hasRAI(b []byte, sub uint8) bool {
	_, _, ok := nextRAI(b, 0, sub)
	return ok
}

// nextRAI finds the first sub-option with that code from i on: its value and
// where the next one starts.
func nextRAI(b []byte, i int, sub uint8) (val []byte, next int, ok bool) {
	for i+2 <= len(b) {
		n := int(b[i+1])
		end := i + 2 + n
		if end > len(b) {
			break
		}
		if b[i] == sub {
			return b[i+2 : end : end], end, true
		}
		i = end
	}
	return nil, len(b), false
}

func (v *View) joinRAI(b []byte, dup *[4]uint64) Reason {
	v.notes |= NoteDuplicateOption
	for sub := range 256 {
		if dup[sub>>6]&(1<<(sub&63)) == 0 {
			continue
		}
		if int(v.nRAISplit) == len(v.raiSplit) {
			return ReasonRAILen
		}
		start := int(v.scratchLen)
		at, last := start, 0
		for i := 0; ; {
			val, next, ok := nextRAI(b, i, uint8(sub))
			if !ok {
				break
			}
			if at+len(val) > len(v.scratch) {
				return ReasonTooLong
			}
			at += copy(v.scratch[at:], val)
			last = len(val)
			i = next
		}
		n := at - start
		if f := raiFormats[sub]; f.form == fScalar && n != int(f.size) {
			if n < int(f.size) || last > int(f.size) && !v.Lenient {
				return ReasonRAILen
			}
			v.notes |= NoteExcessLength
			n = int(f.size)
		}
		v.raiSplit[v.nRAISplit] = splitRAI{uint8(sub), span{uint16(start) | inScratch, uint16(n)}}
		v.nRAISplit++
		v.scratchLen = uint16(at)
	}
	return ReasonOK
}

// RAI returns a sub-option of option 82: nil if it is absent, empty but not nil
// if it has no octets. Strings keep their trailing NULs.
func (v *View) RAI(sub uint8) []byte {
	if !v.Has(OptRelayAgentInformation) {
		return nil
	}
	for i := range v.raiSplit[:v.nRAISplit] {
		if v.raiSplit[i].sub == sub {
			return v.bytes(v.raiSplit[i].at)
		}
	}
	b := v.bytes(v.index[OptRelayAgentInformation])
	val, _, ok := nextRAI(b, 0, sub)
	if !ok {
		return nil
	}
	if f := raiFormats[sub]; f.form == fScalar && len(val) > int(f.size) {
		return val[:f.size:f.size]
	}
	return val
}
