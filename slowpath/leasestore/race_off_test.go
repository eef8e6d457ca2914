//go:build !race

package leasestore_test

const raceEnabled = false
