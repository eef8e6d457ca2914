// Package prefetch asks the processor to bring memory into its cache that will be
// used a little later. It changes nothing that a program can see but the time it
// takes: on a processor for which there is no code here it does nothing.
//
// A worker knows the packets of its batch before it comes to them. Their octets
// were written by another core; waiting for them costs some hundred nanoseconds a
// packet, or nothing if they were asked for a few packets before.
//
// Bytes may be called from any goroutine. Memory may be changed by others
// meanwhile: nothing is read.
package prefetch
