package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestPIDFile: the file that keactrl and init scripts look for is there while the
// server is, says which process it is, keeps a second one out, and is in nobody's
// way after a crash.
func TestPIDFile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.config = filepath.Join(b.dir, "my.edge.conf")
	b.write(b.newConf("socket"))
	dir := filepath.Dir(b.logFile)
	path := filepath.Join(dir, "my.edge.kea-dhcp4.pid")
	kea, seen := program(t, "kea-dhcp4"), 0
	start := func() *process {
		p := spawn(t, b.srv, b.logFile, kea, "-c", b.config)
		p.waitFor(&seen, `DHCP4_STARTED`)
		if text, err := os.ReadFile(path); err != nil || string(text) != fmt.Sprintln(p.pid()) {
			t.Fatalf("PID file of %d: %q, %v", p.pid(), text, err)
		}
		return p
	}
	first := start()
	second := spawn(t, b.srv, filepath.Join(dir, "second.log"), kea, "-c", b.config)
	if code := second.wait(); code != 1 || !regexp.MustCompile(fmt.Sprintf(`FATAL .*DHCP4_ALREADY_RUNNING kea-dhcp4 already running\?.*process %d holds PID file`, first.pid())).MatchString(second.text()) {
		t.Errorf("a second server: status %d\n%s", code, second.text())
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != fmt.Sprintln(first.pid()) {
		t.Errorf("PID file after a second server: %q, %v", text, err)
	}
	first.kill()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("PID file of a killed server: %v", err)
	}
	// The number of a process that lives, and is another program.
	if err := os.WriteFile(path, []byte(fmt.Sprintln(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	third := start()
	third.terminate()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("PID file of an ended server: %v", err)
	}
	nowhere := spawn(t, b.srv, filepath.Join(dir, "nowhere.log"), "/usr/bin/env", envPIDFileDir+"="+filepath.Join(dir, "nowhere"), kea, "-c", b.config)
	if code := nowhere.wait(); code != 1 || !regexp.MustCompile(`FATAL .*DHCP4_INIT_FAIL.*nowhere.*no such file`).MatchString(nowhere.text()) {
		t.Errorf("a directory that is not there: status %d\n%s", code, nowhere.text())
	}
}
