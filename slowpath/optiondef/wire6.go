package optiondef

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	VendorClass6 = 16  // RFC 8415 §21.16
	DNR6         = 144 // RFC 9463 §4.1
)

// is6 reports whether o is the built-in option of that code in space dhcp6.
func (o *Def) is6(code uint16) bool {
	return o.Code == code && o.Space == SpaceDHCP6 && o.Src == nil
}

// checkVendorClass6 holds option 16 against RFC 8415 §21.16: an enterprise number
// and then class data, each with its length.
func checkVendorClass6(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("data has a length of %d, expected an enterprise number of 4 at least", len(b))
	}
	for b = b[4:]; len(b) > 0; {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return errors.New("data ends inside a vendor class: a length and as many bytes are expected after the enterprise number")
		}
		b = b[2+int(binary.BigEndian.Uint16(b)):]
	}
	return nil
}

// checkDNR6 holds option 144 against RFC 9463 §4.1.
func checkDNR6(b []byte) error {
	if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
		return errors.New("data ends inside a name: a priority and the length of a name are expected before it")
	}
	n := 4 + int(binary.BigEndian.Uint16(b[2:]))
	if end, err := nameLen(b[4:n]); err != nil {
		return err
	} else if end != n-4 {
		return errors.New("the length of a name is not that of its labels")
	}
	if b = b[n:]; len(b) == 0 {
		return nil // ADN-only mode
	}
	if len(b) < 2 {
		return errors.New("data ends inside the length of the addresses")
	}
	if a := int(binary.BigEndian.Uint16(b)); a == 0 || a%16 != 0 || len(b) < 2+a {
		return fmt.Errorf("addresses of %d bytes, expected a multiple of 16 inside the option", a)
	}
	return checkSvcParams(b[2+int(binary.BigEndian.Uint16(b)):])
}
