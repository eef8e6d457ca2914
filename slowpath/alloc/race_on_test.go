//go:build race

package alloc

const raceOn = true
