// Package config reads Kea's configuration, resolves inheritance as Kea does,
// validates everything and yields an immutable Snapshot.
//
// Text becomes a tree (package keajson), and the tree a Snapshot through one table
// per scope (schema*.go) that says which keys exist there,
// of which type, with which default, and which of them are not served yet: such
// a key is refused by name unless its value asks for nothing. The same tables
// write the answer of config-get, so what is printed and what is accepted
// cannot drift apart.
//
// All errors of a configuration are reported, not only the first one, each as
// "FILE:LINE:COL: what was expected".
//
// It trades memory for good messages: text and tree are held while a
// configuration is loaded, at the peak nine bytes per byte of text, and dropped
// after. 85 MB with 100,000 reservations take 2.5 s of one core.
package config
