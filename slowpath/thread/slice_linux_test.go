package thread

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShortSlice(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Skip("no sched_getattr: ", err)
	}
	if before.Policy != unix.SCHED_NORMAL {
		t.Skip("tests run under another policy")
	}
	if err := ShortSlice(); err != nil {
		t.Fatal(err)
	}
	after, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if after.Policy != before.Policy || after.Nice != before.Nice {
		t.Errorf("policy and nice value have changed: %+v, was %+v", after, before)
	}
	if before.Runtime == 0 {
		t.Skip("this kernel knows no slices of threads")
	}
	if after.Runtime != uint64(SliceNs) {
		t.Errorf("slice of %d ns, want %d", after.Runtime, SliceNs)
	}
}
