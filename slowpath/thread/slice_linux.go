package thread

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ShortSlice makes the calling thread, to which the goroutine must be locked, one
// of short time slices (sched_setattr(2), Linux 6.12 and later; older kernels take
// no notice). Its share of the processor stays the same, but when it wakes it need
// not wait for the slice of a thread that computes, which is 3 ms and more. No
// privilege is needed. An error leaves the thread as it was.
func ShortSlice() error {
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return fmt.Errorf("read the scheduling of a thread: %w", err)
	}
	if a.Policy != unix.SCHED_NORMAL {
		return nil // somebody has chosen another
	}
	a.Runtime = uint64(SliceNs)
	if err := unix.SchedSetAttr(0, a, 0); err != nil {
		return fmt.Errorf("shorten the time slice of a thread: %w", err)
	}
	return nil
}
