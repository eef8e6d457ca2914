package leasestore

import (
	"time"

	"golang.org/x/sys/unix"
)

// pause sleeps for fractions of a millisecond. The runtime's own timers are kept
// by a poller whose waits are rounded up to whole milliseconds when every
// processor is idle, which is several times longer than a commit.
func pause(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&ts, nil) // interrupted: the commit comes a little earlier
}
