package leasestore

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleeper sleeps for fractions of a millisecond. The runtime's own timers are
// kept by a poller whose waits are rounded up to whole milliseconds when every
// processor is idle, which is several times longer than a commit. The Timespec
// is kept here so that a wait allocates nothing.
type sleeper struct{ ts unix.Timespec }

func (s *sleeper) sleep(d time.Duration) {
	s.ts = unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&s.ts, nil) // interrupted: the commit comes a little earlier
}
