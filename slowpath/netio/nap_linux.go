package netio

import "golang.org/x/sys/unix"

// sharpenNaps lets the calling thread sleep to the microsecond: by default the
// kernel may be 50 µs late, which is as long as a nap.
func sharpenNaps() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0) }

// nap sleeps. Not by the runtime's timers, which an idle runtime keeps to whole
// milliseconds.
func nap(ns int64) {
	ts := unix.NsecToTimespec(ns)
	_ = unix.Nanosleep(&ts, nil) // interrupted: the next look comes a little earlier
}
