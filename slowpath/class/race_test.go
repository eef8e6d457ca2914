//go:build race

package class

// The race detector allocates by itself.
const raceEnabled = true
