package config

import (
	"fmt"
	"strings"

	"github.com/peregrine-dhcp/peregrine/slowpath/keajson"
	"github.com/peregrine-dhcp/peregrine/slowpath/optiondef"
)

// ParseIdentifier reads an identifier as a reservation has it: hexadecimal digits,
// or text in single quotes (V4-120). Nothing is an identifier of no octets.
func ParseIdentifier(s string) ([]byte, error) {
	if b, ok := optiondef.Quoted(s); ok {
		return b, nil
	}
	b, err := optiondef.ParseHex(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("must be hexadecimal digits, as \"1a:1b:1c:1d:1e:1f\", or text in single quotes: %q %w", keajson.Clip(s), err)
	}
	return b, nil
}
