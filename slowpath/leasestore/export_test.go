package leasestore

import "time"

// SetMarkEvery changes the pace of the durable watermark of stores opened from
// now on and returns how to undo it.
func SetMarkEvery(d time.Duration) func() {
	old := markEvery
	markEvery = d
	return func() { markEvery = old }
}
