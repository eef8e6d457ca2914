package logging

import (
	"fmt"
	"os"
	"syscall"
)

// lockFile is FILE.lock beside a log file: who rotates the file holds it, so that
// kea-dhcp4 and kea-dhcp6, or two loggers of one process, may write to one file.
type lockFile struct{ f *os.File }

func openLock(path string) (*lockFile, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open lock of log file: %w", err)
	}
	return &lockFile{f}, nil
}

// lock waits for whoever rotates now.
func (l *lockFile) lock() error {
	for {
		err := syscall.Flock(int(l.f.Fd()), syscall.LOCK_EX)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("lock log file: %w", err)
		}
		return nil
	}
}

func (l *lockFile) unlock() error { return syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN) }

func (l *lockFile) close() error { return l.f.Close() }
