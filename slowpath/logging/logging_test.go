package logging

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fileLogger(path, severity string) []config.Logger {
	return []config.Logger{{Name: "kea-dhcp4", Severity: severity, DebugLevel: 50, Outputs: []config.LogOutput{{Output: path, MaxSize: 10240000, MaxVer: 1}}}}
}

func TestKeaLineShape(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	h := New("kea-dhcp4")
	if err := h.Apply(fileLogger(path, "INFO")); err != nil {
		t.Fatal(err)
	}
	l := slog.New(h).WithGroup("dhcp4")
	l.Info("DHCP4_STARTED server is up", "interfaces", 2, "text", "two words")
	l.Debug("DHCP4_HIDDEN not at this severity")
	l.Warn("DHCP4_EVIL line\nbreak")
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO  \[kea-dhcp4\.dhcp4/\d+\.0\] DHCP4_STARTED server is up interfaces=2 text="two words"\n` +
		`.* WARN  \[kea-dhcp4\.dhcp4/\d+\.0\] DHCP4_EVIL line\.break\n$`)
	if got := read(t, path); !want.MatchString(got) {
		t.Errorf("log is\n%s\nwant it to match %s", got, want)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMostSpecificLoggerDecides(t *testing.T) {
	dir := t.TempDir()
	root, leases := filepath.Join(dir, "root"), filepath.Join(dir, "leases")
	h := New("kea-dhcp4")
	ls := append(fileLogger(root, "WARN"), config.Logger{Name: "kea-dhcp4.leases", Severity: "DEBUG", DebugLevel: 99,
		Outputs: []config.LogOutput{{Output: leases, Pattern: "%p %c %m%n"}}})
	if err := h.Apply(ls); err != nil {
		t.Fatal(err)
	}
	slog.New(h.Named("leases")).Debug("LEASES_X y")
	slog.New(h.Named("dhcp4")).Info("DHCP4_X y")
	if got := read(t, leases); got != "DEBUG kea-dhcp4.leases LEASES_X y\n" {
		t.Errorf("leases log is %q", got)
	}
	if got := read(t, root); got != "" {
		t.Errorf("root log is %q, want nothing below WARN", got)
	}
	h.Force(slog.LevelDebug)
	if !h.Enabled(context.Background(), slog.LevelDebug) {
		t.Error("Force does not switch debug on")
	}
}

// TestDebugLevels: a message is printed if its level is at most debuglevel, 0 if
// that is not given (OP-020, OP-024).
func TestDebugLevels(t *testing.T) {
	for _, c := range []struct {
		debuglevel int
		on, off    int
	}{{0, 0, 1}, {40, 40, 45}, {99, 99, 100}} {
		h := New("kea-dhcp4")
		if err := h.Apply([]config.Logger{{Name: "kea-dhcp4", Severity: "DEBUG", DebugLevel: c.debuglevel}}); err != nil {
			t.Fatal(err)
		}
		if !h.Enabled(context.Background(), Debug(c.on)) || h.Enabled(context.Background(), Debug(c.off)) {
			t.Errorf("debuglevel %d: level %d is printed: %v, level %d: %v; want true and false", c.debuglevel,
				c.on, h.Enabled(context.Background(), Debug(c.on)), c.off, h.Enabled(context.Background(), Debug(c.off)))
		}
	}
}

// TestTraced: lines for every packet are for who asks: a logger of that name, or
// DEBUG.
func TestTraced(t *testing.T) {
	for _, c := range []struct {
		name, severity string
		leases, dhcp4  bool
	}{
		{"kea-dhcp4", "INFO", false, false},
		{"kea-dhcp4", "DEBUG", true, true},
		{"kea-dhcp4", "NONE", false, false},
		{"kea-dhcp4.leases", "INFO", true, false},
		{"kea-dhcp4.leases", "WARN", false, false},
		{"kea-dhcp4.leases", "DEBUG", true, false},
	} {
		h := New("kea-dhcp4")
		if err := h.Apply([]config.Logger{{Name: c.name, Severity: c.severity}}); err != nil {
			t.Fatal(err)
		}
		if a, b := h.Named("leases").Traced(), h.Named("dhcp4").Traced(); a != c.leases || b != c.dhcp4 {
			t.Errorf("%s at %s: leases %v, dhcp4 %v; want %v, %v", c.name, c.severity, a, b, c.leases, c.dhcp4)
		}
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	r, err := openRotating(path, minRotateBytes, 2)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 1<<16)
	for range 12 {
		if _, err := r.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + ".1", path + ".2"} {
		st, err := os.Stat(p)
		if err != nil || st.Size() > minRotateBytes {
			t.Errorf("%s: %v, %v; want a file of at most %d bytes", filepath.Base(p), st, err, minRotateBytes)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("more versions are kept than maxver")
	}
}

func TestBadLoggersAreRefusedAndOldOnesStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	h := New("kea-dhcp4")
	if err := h.Apply(fileLogger(path, "INFO")); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]config.Logger{
		{{Name: "kea-dhcp4", Severity: "LOUD"}},
		{{Name: "kea-dhcp4", Outputs: []config.LogOutput{{Output: ""}}}},
		{{Name: "kea-dhcp4", Outputs: []config.LogOutput{{Output: "stdout", Pattern: "%X"}}}},
		{{Name: "kea-dhcp4", Outputs: []config.LogOutput{{Output: "stdout", Pattern: "%D{x"}}}},
		{{Name: "kea-dhcp4", Outputs: []config.LogOutput{{Output: "/no/such/folder/log"}}}},
	} {
		if err := h.Apply(bad); err == nil {
			t.Errorf("loggers %v are accepted", bad)
		}
	}
	slog.New(h).Info("STILL_HERE x")
	if !strings.Contains(read(t, path), "STILL_HERE") {
		t.Error("a refused configuration has replaced the loggers")
	}
}

func TestTimeFormats(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 89_012_000, time.UTC)
	if got := string(appendTime(nil, at, "%Y%m%d %H-%M-%S %q %Q %y %b %s")); got != "20260304 05-06-07 089 089012 26 Mar 1772600767" {
		t.Errorf("time is %q", got)
	}
}

// Two writers of one file rotate it once, not twice, and both go on in the new
// file.
func TestRotationIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kea.log")
	var w [2]*rotating
	for i := range w {
		var err error
		if w[i], err = openRotating(path, minRotateBytes, 3); err != nil {
			t.Fatal(err)
		}
		defer w[i].Close()
	}
	line := []byte(strings.Repeat("x", minRotateBytes/2+1))
	for i := range w { // each knows half of what is in the file
		if _, err := w[i].Write(line); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w {
		if _, err := w[i].Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(path + ".2"); err == nil {
		t.Errorf("the file was rotated twice: %s has %d octets", st.Name(), st.Size())
	}
	if st, err := os.Stat(path); err != nil || st.Size() != int64(2*len(line)) {
		t.Errorf("%v, %v; want both lines", st, err)
	}
	if _, err := os.Stat(path + ".lock"); err != nil {
		t.Error(err)
	}
}
