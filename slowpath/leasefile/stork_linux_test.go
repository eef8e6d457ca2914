package leasefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMirrorEvents looks at the file as Stork does: it opens the file anew when
// one gets the name, and reads on when it is written to.
func TestMirrorEvents(t *testing.T) {
	g := newRig(t, MirrorOptions{})
	g.simple(1, "a")
	g.m.turn()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Skipf("no inotify: %v", err)
	}
	defer syscall.Close(fd)
	if _, err := syscall.InotifyAddWatch(fd, filepath.Dir(g.path), syscall.IN_MODIFY|syscall.IN_MOVED_TO|syscall.IN_CREATE|syscall.IN_DELETE); err != nil {
		t.Fatal(err)
	}
	events := func() []string {
		var got []string
		buf := make([]byte, 4096)
		for {
			n, err := syscall.Read(fd, buf)
			if errors.Is(err, syscall.EAGAIN) {
				return got
			}
			if err != nil {
				t.Fatal(err)
			}
			for b := buf[:n]; len(b) > 0; {
				mask, length := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
				name := string(bytes.TrimRight(b[16:16+length], "\x00"))
				b = b[16+length:]
				if !strings.HasSuffix(name, ".csv") {
					continue
				}
				switch {
				case mask&syscall.IN_MOVED_TO != 0:
					got = append(got, "create") // as fsnotify calls it
				case mask&syscall.IN_MODIFY != 0:
					got = append(got, "write")
				default:
					got = append(got, fmt.Sprintf("%#x", mask))
				}
			}
		}
	}
	g.simple(2, "b")
	g.m.turn()
	if d := cmp.Diff([]string{"write"}, events()); d != "" {
		t.Error("append:", d)
	}
	if err := g.m.rewrite(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"create", "write"}, events()); d != "" {
		t.Error("clean-up:", d)
	}
	g.simple(3, "c")
	g.m.turn()
	if d := cmp.Diff([]string{"write"}, events()); d != "" {
		t.Error("append to the new file:", d)
	}
	g.check()
}
