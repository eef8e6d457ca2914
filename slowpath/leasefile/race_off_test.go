//go:build !race

package leasefile

const raceEnabled = false
