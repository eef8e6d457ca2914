// Package differential compares Peregrine with Kea's kea-dhcp4 on the wire. It is
// a test: conversations written as text files below testdata are held with both
// servers at once, each in its own network namespaces over a veth and both with
// the same configuration, and every reply is compared field by field and option
// by option.
//
// A file has one configuration and many conversations, each with hardware
// addresses of its own. Nothing is expected of a reply but that both servers send
// the same one. Where they rightly do not, the file says how they differ and gives
// the name under which docs/kea-differences.md says why; such a difference may
// neither go away nor change unnoticed. testdata/README.md describes the language.
//
// The test needs root and Debian's kea-dhcp4-server, and is skipped without them.
package differential
