//go:build !race

package class

const raceEnabled = false
