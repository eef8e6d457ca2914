package netio

import "golang.org/x/sys/unix"

// napper sleeps for fractions of a millisecond; its Timespec is kept here so
// that a nap allocates nothing.
type napper struct{ ts unix.Timespec }

// sharpen lets the calling thread sleep to the microsecond: by default the
// kernel may be 50 µs late, which is as long as a nap.
func (n *napper) sharpen() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) }

// nap sleeps. Not by the runtime's timers, which an idle runtime keeps to whole
// milliseconds.
func (n *napper) nap(ns int64) {
	n.ts = unix.NsecToTimespec(ns)
	_ = unix.Nanosleep(&n.ts, nil) // interrupted: the next look comes a little earlier
}
