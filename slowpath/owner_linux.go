package slowpath

import (
	"os"
	"syscall"
)

// keepOwner gives f the owner of a file that it will replace. Where that is not
// allowed the new file is ours, as one that is made anew.
func keepOwner(f *os.File, old os.FileInfo) {
	if st, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(st.Uid), int(st.Gid))
	}
}
