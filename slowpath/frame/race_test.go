//go:build race

package frame

// The race detector allocates by itself.
const raceEnabled = true
