//go:build race

package loadgen

// The race detector allocates by itself.
const raceEnabled = true
