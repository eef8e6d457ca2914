package engine

import (
	"bytes"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
)

// clientName sets the host name of the client: the reserved one, else what it
// sends in option 12, cleaned as Kea does by default (V4-112).
func (w *Worker) clientName(q *Query4) {
	q.nameLen = 0
	if q.Host != nil && q.Host.Hostname != "" {
		q.nameLen = uint8(copy(q.name[:], q.Host.Hostname))
		lower(q.name[:q.nameLen])
		return
	}
	q.nameLen = uint8(cleanName(q.name[:], q.Msg.Option(dhcp4.OptHostName)))
}

// cleanName writes to dst what counts of a client's host name and returns its
// length, 0 if nothing does. Characters other than letters, digits, dots and
// hyphens are left out; letters become small; an unqualified name loses its
// trailing dot.
func cleanName(dst, name []byte) int {
	name = bytes.Trim(name, " \t")
	if countLabels(name) == 0 {
		return 0
	}
	n := 0
	for _, b := range name {
		switch {
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '.', b == '-':
		case b >= 'A' && b <= 'Z':
			b += 'a' - 'A'
		default:
			continue
		}
		if n == len(dst) {
			return 0
		}
		dst[n] = b
		n++
	}
	switch countLabels(dst[:n]) {
	case 0:
		return 0
	case 1:
		n = len(bytes.TrimSuffix(dst[:n], []byte{'.'}))
	}
	return n
}

// countLabels counts the labels of a domain name, a trailing dot aside; 0 if it
// is none (RFC 1035 §2.3.4).
func countLabels(name []byte) int {
	name = bytes.TrimSuffix(name, []byte{'.'})
	if len(name) == 0 || len(name) > 253 {
		return 0
	}
	labels, length := 1, 0
	for _, b := range name {
		if b != '.' {
			if length++; length > 63 {
				return 0
			}
			continue
		}
		if length == 0 {
			return 0
		}
		labels++
		length = 0
	}
	if length == 0 {
		return 0
	}
	return labels
}

func lower(b []byte) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}
