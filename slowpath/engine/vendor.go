package engine

import (
	"encoding/binary"
	"math/bits"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

const (
	// enterpriseCableLabs is the vendor whose sub-option 1 asks for others
	// (V4-100).
	enterpriseCableLabs = 4491
	docsisORO           = 1
	// maxVendorData bounds options 124 and 125 of a reply together; no packet
	// is longer.
	maxVendorData = dhcp4.MaxMessageLen
)

// setVendorOptions adds options 124 and 125 (RFC 3925, V4-099). Of each vendor
// there is at most one.
//
// Option 124 is sent where it is asked for: the entries of all vendors. Option
// 125 is that, with an entry naming the vendor, or sub-options of a vendor that
// the client itself named in its options 125 and 124. Its sub-options are those
// that are always sent, and for CableLabs those the client asks for there.
func (w *Worker) setVendorOptions(q *Query4, r *Reply4, scopes []*config.Options, wanted, never *optiondef.CodeSet) {
	q.vendorData = q.vendorData[:0]
	if wanted.Has(dhcp4.OptVIVendorClass) && !never.Has(dhcp4.OptVIVendorClass) && !r.Has(dhcp4.OptVIVendorClass) {
		q.vendorClasses(r, scopes)
	}
	if never.Has(dhcp4.OptVIVendorSpecificInformation) {
		wanted = nil
	}
	q.vendorOptions(r, scopes, wanted != nil && wanted.Has(dhcp4.OptVIVendorSpecificInformation))
}

// seenVendor reports whether the octets, blocks of an enterprise number, a
// length and as many octets, have one of that vendor.
func seenVendor(b []byte, id uint32) bool {
	for len(b) > 4 {
		if binary.BigEndian.Uint32(b) == id {
			return true
		}
		b = b[min(5+int(b[4]), len(b)):]
	}
	return false
}

func (q *Query4) vendorClasses(r *Reply4, scopes []*config.Options) {
	from, room := len(q.vendorData), true
	for _, o := range scopes {
		l := o.Find(dhcp4.OptVIVendorClass)
		for i := range l {
			e := &l[i]
			if len(e.Data) < 5 || !q.mayHave(e) || seenVendor(q.vendorData[from:], binary.BigEndian.Uint32(e.Data)) {
				continue
			}
			if room = len(q.vendorData)+len(e.Data) <= maxVendorData; !room {
				r.LeftOut++
				continue
			}
			q.vendorData = append(q.vendorData, e.Data...)
		}
	}
	if b := q.vendorData[from:]; len(b) > 0 && !r.Set(dhcp4.OptVIVendorClass, b[:len(b):len(b)]) {
		r.LeftOut++
	}
}

func (q *Query4) vendorOptions(r *Reply4, scopes []*config.Options, asked bool) {
	if r.Has(dhcp4.OptVIVendorSpecificInformation) {
		return
	}
	from := len(q.vendorData)
	if asked {
		for _, o := range scopes {
			l := o.Find(dhcp4.OptVIVendorSpecificInformation)
			for i := range l {
				e := &l[i]
				if len(e.Data) < 4 || !q.mayHave(e) {
					continue
				}
				if id := binary.BigEndian.Uint32(e.Data); !seenVendor(q.vendorData[from:], id) {
					q.vendorBlock(r, scopes, id, true)
				}
			}
		}
	}
	// The vendors of the configuration, by ascending number.
	for last, more := uint32(0), true; more; {
		next := uint32(0)
		for _, o := range scopes {
			for i := range o.Vendors {
				if id := o.Vendors[i].Enterprise; id > last && (next == 0 || id < next) {
					next = id
				}
			}
		}
		if more = next != 0; !more {
			break
		}
		last = next
		if !seenVendor(q.vendorData[from:], next) && q.namesVendor(next) {
			q.vendorBlock(r, scopes, next, false)
		}
	}
	if b := q.vendorData[from:]; len(b) > 0 && !r.Set(dhcp4.OptVIVendorSpecificInformation, b[:len(b):len(b)]) {
		r.LeftOut++
	}
}

// vendorBlock appends what there is for a vendor: its number, a length and its
// sub-options. Without sub-options there is nothing, but for empty.
func (q *Query4) vendorBlock(r *Reply4, scopes []*config.Options, id uint32, empty bool) {
	var wanted, never optiondef.CodeSet
	if id == enterpriseCableLabs {
		q.docsisRequest(&wanted)
	}
	for _, o := range scopes {
		if v := o.Vendor(id); v != nil {
			wanted.Union(&v.Always)
			never.Union(&v.Never)
		}
	}
	from := len(q.vendorData)
	q.beginVendor(id)
	block := from // where the block that is being written begins
	for word := range wanted {
		for m := wanted[word] &^ never[word]; m != 0; m &= m - 1 {
			code := uint8(word<<6 + bits.TrailingZeros64(m))
			for _, o := range scopes {
				v := o.Vendor(id)
				if v == nil {
					continue
				}
				if e := q.pick(v.Find(code)); e != nil {
					if len(q.vendorData)+len(e.Data)+16 > maxVendorData {
						r.LeftOut++
						break
					}
					block = q.vendorOption(block, id, e)
					break
				}
			}
		}
	}
	if len(q.vendorData) == from+5 && !empty {
		q.vendorData = q.vendorData[:from]
	}
}

func (q *Query4) beginVendor(id uint32) {
	q.vendorData = append(binary.BigEndian.AppendUint32(q.vendorData, id), 0)
}

// vendorOption appends a sub-option to the block that begins at block and
// returns where the last block begins: what its length octet cannot count is in
// another of the same vendor (RFC 3925 §4 allows several).
func (q *Query4) vendorOption(block int, id uint32, e *config.Option) int {
	d := e.Data
	for more := true; more; {
		n := min(len(d), 253)
		if used := len(q.vendorData) - block - 5; used > 0 && used+2+n > 255 {
			block = len(q.vendorData)
			q.beginVendor(id)
		}
		q.vendorData = append(q.vendorData, e.Code, byte(n))
		q.vendorData = append(q.vendorData, d[:n]...)
		q.vendorData[block+4] += byte(2 + n)
		d = d[n:]
		more = len(d) > 0
	}
	return block
}

// namesVendor reports whether the client named the vendor in option 125 or 124.
// An option that is cut short says nothing, as in Kea.
func (q *Query4) namesVendor(id uint32) bool {
	if b := q.Msg.Option(dhcp4.OptVIVendorSpecificInformation); vendorsWellFormed(b) && seenVendorQuery(b, id) {
		return true
	}
	// In a vendor class, data that is cut short only ends the option.
	for b := q.Msg.Option(dhcp4.OptVIVendorClass); len(b) > 4 && len(b) >= 5+int(b[4]); b = b[5+int(b[4]):] {
		if binary.BigEndian.Uint32(b) == id {
			return true
		}
	}
	return false
}

// seenVendorQuery is seenVendor for an option of a client, which may end with an
// enterprise number without length.
func seenVendorQuery(b []byte, id uint32) bool {
	for len(b) >= 4 {
		if binary.BigEndian.Uint32(b) == id {
			return true
		}
		if len(b) == 4 {
			break
		}
		b = b[min(5+int(b[4]), len(b)):]
	}
	return false
}

// vendorsWellFormed reports whether option 125 is complete: enterprise numbers,
// lengths and sub-options.
func vendorsWellFormed(b []byte) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		if len(b) == 4 { // no data, which Kea takes
			return true
		}
		n := 5 + int(b[4])
		if len(b) < n {
			return false
		}
		for sub := b[5:n]; len(sub) > 0; sub = sub[2+int(sub[1]):] {
			if len(sub) < 2 || len(sub) < 2+int(sub[1]) {
				return false
			}
		}
		b = b[n:]
	}
	return true
}

// docsisRequest adds the codes that sub-option 1 of CableLabs in the client's
// option 125 asks for; the first counts, as in Kea.
func (q *Query4) docsisRequest(wanted *optiondef.CodeSet) {
	b := q.Msg.Option(dhcp4.OptVIVendorSpecificInformation)
	if !vendorsWellFormed(b) {
		return
	}
	for len(b) > 4 {
		n := 5 + int(b[4])
		if binary.BigEndian.Uint32(b) == enterpriseCableLabs {
			for sub := b[5:n]; len(sub) > 0; sub = sub[2+int(sub[1]):] {
				if sub[0] != docsisORO {
					continue
				}
				for _, code := range sub[2 : 2+int(sub[1])] {
					wanted.Add(code)
				}
				return
			}
		}
		b = b[n:]
	}
}
