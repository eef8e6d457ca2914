// Package thread asks the kernel's scheduler for what threads with little to do,
// and that at once, need: a worker that has answers to send and the committer
// that others wait for share their cores with commands, garbage collection and
// whatever else the machine runs.
package thread

import "time"

// SliceNs is the time slice that ShortSlice asks for, the shortest there is.
const SliceNs = int64(100 * time.Microsecond)
