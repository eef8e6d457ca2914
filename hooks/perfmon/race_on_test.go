//go:build race

package perfmon

const raceEnabled = true
