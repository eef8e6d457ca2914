package logging

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"strings"
)

// minRotateBytes: a smaller maxsize switches rotation off (OP-021).
const minRotateBytes = 204800

// rotating is a log file that renames itself to .1, .2 … when it grows past its
// size. The handler's lock makes it single-threaded; others may write to the file
// and rotate it too.
type rotating struct {
	path    string
	f       *os.File
	lock    *lockFile
	size    int64
	maxSize int64
	maxVer  int
}

func openRotating(path string, maxSize int64, maxVer int) (*rotating, error) {
	r := &rotating{path: path, maxSize: maxSize, maxVer: max(maxVer, 1)}
	if err := r.reopen(); err != nil {
		return nil, err
	}
	var err error
	if r.lock, err = openLock(path); err != nil {
		return nil, errors.Join(err, r.f.Close())
	}
	return r, nil
}

func (r *rotating) reopen() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open log file: %w", err), f.Close())
	}
	r.f, r.size = f, st.Size()
	return nil
}

func (r *rotating) Write(p []byte) (int, error) {
	if r.maxSize >= minRotateBytes && r.size > 0 && r.size+int64(len(p)) > r.maxSize {
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := r.f.Write(p)
	r.size += int64(n)
	return n, err
}

func (r *rotating) rotate() (err error) {
	if err := r.lock.lock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.lock.unlock()) }()
	if gone, err := r.rotatedByOther(); err != nil || gone {
		return errors.Join(err, r.swap())
	}
	for i := r.maxVer; i > 1; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", r.path, i-1), fmt.Sprintf("%s.%d", r.path, i))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("rotate log file: %w", err)
		}
	}
	if err := os.Rename(r.path, r.path+".1"); err != nil {
		return fmt.Errorf("rotate log file: %w", err)
	}
	return r.swap()
}

// swap goes on in the file that now has the name.
func (r *rotating) swap() error {
	old := r.f
	if err := r.reopen(); err != nil {
		r.f = old // go on in the renamed file rather than lose lines
		return err
	}
	return old.Close()
}

// rotatedByOther says whether the file that has the name is not the one that is
// open.
func (r *rotating) rotatedByOther() (bool, error) {
	mine, err := r.f.Stat()
	if err != nil {
		return false, fmt.Errorf("rotate log file: %w", err)
	}
	now, err := os.Stat(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("rotate log file: %w", err)
	}
	return !os.SameFile(mine, now), nil
}

func (r *rotating) Close() error { return errors.Join(r.f.Close(), r.lock.close()) }

var facilities = map[string]syslog.Priority{
	"": syslog.LOG_LOCAL0, "user": syslog.LOG_USER, "daemon": syslog.LOG_DAEMON,
	"local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2,
	"local3": syslog.LOG_LOCAL3, "local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5,
	"local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// dialSyslog connects to the local syslog; what follows "syslog:" is a facility
// or, as Kea takes it, a program name.
func dialSyslog(name string) (io.Writer, error) {
	facility, tag := syslog.LOG_LOCAL0, "kea-dhcp4"
	if f, ok := facilities[strings.ToLower(name)]; ok {
		facility = f
	} else {
		tag = name
	}
	w, err := syslog.New(facility|syslog.LOG_INFO, tag)
	if err != nil {
		return nil, fmt.Errorf("connect to syslog: %w", err)
	}
	return w, nil
}
