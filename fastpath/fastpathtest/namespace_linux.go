package fastpathtest

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// NS is a network namespace that lives as long as the test or a process in it.
// Its interfaces have no IPv6 unless the test turns it on before it makes them.
type NS struct {
	Handle netns.NsHandle
	NL     *netlink.Handle
}

// NewNS makes a namespace in which lo is up.
func NewNS(tb testing.TB) *NS {
	tb.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		tb.Fatal(err)
	}
	defer home.Close()
	h, err := netns.New()
	if err != nil {
		runtime.UnlockOSThread()
		tb.Fatalf("make network namespace: %v", err)
	}
	n := &NS{Handle: h}
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if err := netns.Set(home); err != nil {
		tb.Fatalf("return to the test's network namespace: %v", err) // the thread stays locked and ends
	}
	runtime.UnlockOSThread()
	if n.NL, err = netlink.NewHandleAt(h); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		n.NL.Close()
		_ = n.Handle.Close()
	})
	n.Up(tb, "lo")
	return n
}

// In runs f on a thread in the namespace: sockets it opens and processes it
// starts belong to that.
func (n *NS) In(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err == nil {
			defer home.Close()
			err = netns.Set(n.Handle)
		}
		if err == nil {
			err = f()
			if back := netns.Set(home); back != nil {
				done <- errors.Join(err, back)
				return // and the thread, still locked, ends with the goroutine
			}
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// Link finds an interface of the namespace.
func (n *NS) Link(tb testing.TB, name string) netlink.Link {
	tb.Helper()
	l, err := n.NL.LinkByName(name)
	if err != nil {
		tb.Fatalf("find %s: %v", name, err)
	}
	return l
}

// Up sets an interface up.
func (n *NS) Up(tb testing.TB, name string) {
	tb.Helper()
	if err := n.NL.LinkSetUp(n.Link(tb, name)); err != nil {
		tb.Fatalf("set %s up: %v", name, err)
	}
}
