package slowpath

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
)

// The child of TestWriteFileAtomicallyIsKilled writes the one and the other text
// in turn until it is killed.
func TestWriteFileAtomicallyChild(t *testing.T) {
	path := os.Getenv("PEREGRINE_TEST_WRITE")
	if path == "" {
		t.Skip("is run by TestWriteFileAtomicallyIsKilled alone")
	}
	for i := 0; ; i++ {
		if err := writeFileAtomically(path, killedText(i)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(i)
	}
}

// killedText is so long that a write of it has a middle.
func killedText(i int) []byte { return bytes.Repeat([]byte{'a' + byte(i%2)}, 1<<20+i%2) }

// A process that is killed in the middle leaves the old file or the new one.
func TestWriteFileAtomicallyIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kea.conf")
	for round := range 20 {
		c := exec.Command(os.Args[0], "-test.run=^TestWriteFileAtomicallyChild$")
		c.Env = append(os.Environ(), "PEREGRINE_TEST_WRITE="+path)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		// After so many answers it is somewhere in the next write.
		buf := make([]byte, 1)
		for range 1 + round/2 {
			if _, err := out.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, killedText(0)) && !bytes.Equal(got, killedText(1)) {
			t.Fatalf("round %d left %d octets", round, len(got))
		}
	}
}

// A full disk leaves the old file, and nothing beside it.
func TestWriteFileAtomicallyOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	var skip, failed string
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A mount namespace of this thread's own, which ends with the goroutine.
		goruntime.LockOSThread()
		err := syscall.Unshare(syscall.CLONE_NEWNS)
		if err == nil {
			err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
		}
		if err == nil {
			err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")
		}
		if err != nil {
			skip = err.Error()
			return
		}
		path := filepath.Join(dir, "kea.conf")
		small, large := []byte("{ }\n"), bytes.Repeat([]byte("x"), 1<<20)
		if err := writeFileAtomically(path, small); err != nil {
			failed = err.Error()
			return
		}
		if err := writeFileAtomically(path, large); !errors.Is(err, syscall.ENOSPC) {
			failed = fmt.Sprintf("a text that has no room: %v", err)
			return
		}
		got, err := os.ReadFile(path)
		left, _ := os.ReadDir(dir)
		if err != nil || !bytes.Equal(got, small) || len(left) != 1 {
			failed = fmt.Sprintf("left %q, %v, %d files", got[:min(len(got), 20)], err, len(left))
		}
	}()
	<-done
	if skip != "" {
		t.Skip("no mount namespace: " + skip)
	}
	if failed != "" {
		t.Error(failed)
	}
}

// Permissions and links stay as they are.
func TestWriteFileAtomicallyKeepsLinksAndModes(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real.conf"), filepath.Join(dir, "kea.conf")
	if err := os.WriteFile(real, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real.conf", link); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(real, 65534, 65533); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeFileAtomically(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); err != nil || to != "real.conf" {
		t.Errorf("the link is %q, %v", to, err)
	}
	st, err := os.Stat(real)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(real); string(b) != "new" || st.Mode().Perm() != 0o600 {
		t.Errorf("%q, mode %v", b, st.Mode())
	}
	if x := st.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (x.Uid != 65534 || x.Gid != 65533) {
		t.Errorf("owner %d:%d", x.Uid, x.Gid)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d files are left", len(left))
	}
	if err := writeFileAtomically(filepath.Join(dir, "no", "kea.conf"), nil); err == nil || !strings.Contains(err.Error(), "no such") {
		t.Errorf("a directory that is not there: %v", err)
	}
}
