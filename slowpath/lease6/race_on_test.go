//go:build race

package lease6

const raceOn = true
