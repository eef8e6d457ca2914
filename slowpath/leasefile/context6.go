package leasefile

import "github.com/peregrine-dhcp/peregrine/slowpath/lease6"

// UserContext6 is the user context that Kea has for l: ours, with the relay
// information under ISC.relay-info.
func UserContext6(l *lease6.Lease6) string { return context6(l) }

// SetUserContext6 gives l a user context as Kea has it: the relay information is
// taken out of it where it can be kept apart.
func SetUserContext6(l *lease6.Lease6, text string) { splitContext6([]byte(text), l) }
