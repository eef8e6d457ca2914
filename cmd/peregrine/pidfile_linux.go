package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// envPIDFileDir names the directory of Kea's PID files, which keactrl and init
// scripts look into; without it that is Debian's.
const (
	envPIDFileDir     = "KEA_PIDFILE_DIR"
	defaultPIDFileDir = "/run/kea"
)

// pidFile tells others the process that serves a configuration (V4-002). Who it
// belongs to is said by a lock that ends with the process, not by the number in
// it, which may be that of anybody after a crash.
type pidFile struct {
	f    *os.File
	path string
}

// alreadyRunningError: another process holds the PID file.
type alreadyRunningError struct{ path, pid string }

func (e *alreadyRunningError) Error() string {
	return fmt.Sprintf("process %s holds PID file %s", e.pid, e.path)
}

// pidFilePath is Kea's name of the file: that of the configuration without its
// extension, then the daemon's.
func pidFilePath(name, config string) string {
	dir := os.Getenv(envPIDFileDir)
	if dir == "" {
		dir = defaultPIDFileDir
	}
	base := filepath.Base(config)
	return filepath.Join(dir, strings.TrimSuffix(base, filepath.Ext(base))+"."+name+".pid")
}

// newPIDFile takes the file and writes this process's number into it. remove
// gives it back.
func newPIDFile(path string) (*pidFile, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			text := make([]byte, 20)
			n, _ := f.Read(text) // for the message alone
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, &alreadyRunningError{path: path, pid: strings.TrimSpace(string(text[:n]))}
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		p := &pidFile{f: f, path: path}
		if !p.inPlace() { // whoever had it removed it just now
			f.Close()
			continue
		}
		if err = f.Truncate(0); err == nil {
			_, err = fmt.Fprintln(f, os.Getpid())
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("write PID file: %w", err)
		}
		return p, nil
	}
}

// inPlace says whether the file is still the one at its path.
func (p *pidFile) inPlace() bool {
	have, err := p.f.Stat()
	there, terr := os.Stat(p.path)
	return err == nil && terr == nil && os.SameFile(have, there)
}

func (p *pidFile) remove() {
	if p == nil {
		return
	}
	if p.inPlace() {
		_ = os.Remove(p.path) // the next one takes over what is left
	}
	p.f.Close()
}

// takePIDFile is newPIDFile for the daemon that o names; our own program has
// none. Where nobody said that there is such a directory, a server without the
// file is better than none.
func (o *serveOptions) takePIDFile(log serverLog) (*pidFile, error) {
	if o.name == "" {
		return nil, nil
	}
	p, err := newPIDFile(pidFilePath(o.name, o.file))
	running := (*alreadyRunningError)(nil)
	if err != nil && !errors.As(err, &running) && os.Getenv(envPIDFileDir) == "" {
		log.Warn("PEREGRINE_NO_PID_FILE no PID file: keactrl will not find this server", "error", err)
		return nil, nil
	}
	return p, err
}
