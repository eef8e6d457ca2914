//go:build !race

package engine6

const raceEnabled = false
