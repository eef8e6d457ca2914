// Package optiondef has the definitions of DHCP options: Kea's built-in ones of both
// families, those of option-def (Set), and in which order they are looked for (Find).
// By its definition an option's text becomes octets (Encode), and octets are held
// against it: those of a configuration (Def.Trim), and those that clients send
// (Received).
//
// Definitions are immutable, but for a Set while it is filled.
package optiondef
