//go:build race

package dhcp4

// The race detector allocates by itself.
const raceEnabled = true
