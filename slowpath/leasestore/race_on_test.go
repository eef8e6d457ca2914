//go:build race

package leasestore_test

const raceEnabled = true
