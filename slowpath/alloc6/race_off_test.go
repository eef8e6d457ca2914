//go:build !race

package alloc6

const raceEnabled = false
