// Package hooks is the interface of hook libraries. A library is a package
// under hooks/<name> that registers callouts on Kea's hook points and commands
// on the control channel; hooks.cfg lists the bundled ones in order and
// generates hooks/all.
//
// A library is loaded by a configuration and lives as long as it: it gets its
// parameters and an Env, registers what it wants in Load, and is closed when no
// worker uses the configuration any more. Callouts run on the workers, several
// at once, and must neither block nor allocate in the steady state; what waits
// returns Park and resumes the query later.
//
// The pipeline is compiled when the configuration is: a point without callouts
// costs one nil check.
package hooks
