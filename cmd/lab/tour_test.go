package main

import (
	"slices"
	"testing"
)

// The tour says of each exchange which one it is.
func TestDigest(t *testing.T) {
	const report = `Rate: 999.5 4-way exchanges/second, expected rate: 1000

***Malformed Packets***
Malformed packets: 0

***Statistics for: DISCOVER-OFFER***
sent packets: 200
drops: 0
drops ratio: 0 %
orphans: 0

min delay: 0.1 ms
avg delay: 0.2 ms

***Statistics for: REQUEST-ACK***
sent packets: 200
drops: 1
drops ratio: 0.5 %

avg delay: n/a
`
	want := []string{"Rate: 999.5 4-way exchanges/second, expected rate: 1000",
		"DISCOVER-OFFER: drops ratio: 0 %, avg delay: 0.2 ms", "REQUEST-ACK: drops ratio: 0.5 %, avg delay: n/a"}
	if got := digest(report); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
