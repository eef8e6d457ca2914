package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// listenUnix opens a unix socket: one command a connection, answered by a bare
// object, then closed (CC-002).
func (ch *Channels) listenUnix(c SocketConfig) (*listener, error) {
	lock, err := lockSocket(c.Path + ".lock")
	if err != nil {
		return nil, err
	}
	ln, ino, err := bindUnix(c.Path, ch.opt.SocketMode)
	if err != nil {
		lock.release()
		return nil, err
	}
	l := &listener{cfg: c, addr: ln.Addr()}
	stopping := make(chan struct{})
	l.stop = func() {
		close(stopping)
		ln.Close()
		// Whoever has put another socket there keeps it.
		if now, err := inode(c.Path); err == nil && now == ino {
			os.Remove(c.Path)
		}
		lock.release()
		ch.conns.closeWaiting(l, false)
	}
	ch.wg.Add(1)
	go func() {
		defer ch.wg.Done()
		ch.acceptUnix(ln, l, stopping)
	}()
	return l, nil
}

func (ch *Channels) acceptUnix(ln *net.UnixListener, l *listener, stopping <-chan struct{}) {
	delay := time.Duration(0)
	for {
		c, err := ln.AcceptUnix()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			ch.conns.count.acceptErrors.Add(1)
			// Out of file descriptors, most likely: others may give some back.
			if delay == 0 {
				ch.opt.OnError(fmt.Errorf("accept on control socket %s: %w", l.addr, err))
			}
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(delay):
			case <-stopping:
				return
			}
			continue
		}
		delay = 0
		x := ch.conns.add(c, l)
		if x == nil {
			// It fits into the socket's buffer: this does not block.
			c.SetWriteDeadline(time.Now().Add(time.Second))
			c.Write([]byte(`{ "result": 1, "text": "too many connections" }`))
			c.Close()
			continue
		}
		ch.wg.Add(1)
		go func() {
			defer ch.wg.Done()
			ch.serveUnix(x, c)
		}()
		// Between add and stop, closeWaiting may have missed it.
		select {
		case <-stopping:
			ch.conns.closeWaiting(l, false)
		default:
		}
	}
}

// serveUnix answers one connection and closes it.
func (ch *Channels) serveUnix(x *conn, c *net.UnixConn) {
	defer func() {
		ch.conns.remove(x)
		ch.conns.release(x)
		c.Close()
	}()
	text, err := ch.receive(x, c)
	if err != nil {
		if err == errGone || !ch.conns.busy(x) {
			return
		}
		ch.send(x, c, Response{Result: ResultError, Text: err.Error()})
		return
	}
	if !ch.conns.busy(x) {
		return
	}
	resp, ok := ch.registry.parseAndRun(ch.ctx, text, unixRemote(c, x.owner.addr.String()))
	if !ok {
		ch.conns.count.badRequests.Add(1)
	}
	ch.send(x, c, resp)
}

// receive reads until the request is complete. The error is for the client.
func (ch *Channels) receive(x *conn, c *net.UnixConn) ([]byte, error) {
	count := &ch.conns.count
	c.SetReadDeadline(time.Now().Add(ch.opt.ReceiveTimeout))
	s := scanner{maxBytes: ch.opt.MaxRequestBytes}
	buf := make([]byte, 32<<10)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if !ch.conns.hold(x, n) {
				count.tooLarge.Add(1)
				return nil, errors.New("too many large commands at once")
			}
			done, err := s.feed(buf[:n])
			if done {
				return s.text, nil
			}
			if err != nil {
				if err == errTooLarge || err == errTooDeep {
					count.tooLarge.Add(1)
				} else {
					count.badRequests.Add(1)
				}
				return nil, err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			count.timedOut.Add(1)
			text := "Connection over control channel timed out"
			if s.read > 0 {
				text += fmt.Sprintf(", discarded partial command of %d bytes", s.read)
			}
			return nil, errors.New(text)
		case errors.Is(err, io.EOF) && s.read > 0:
			count.disconnected.Add(1)
			return nil, fmt.Errorf("command is incomplete, discarded %d bytes", s.read)
		default:
			if !ch.conns.wasClosed(x) {
				count.disconnected.Add(1)
			}
			return nil, errGone
		}
	}
}

// errGone: there is nobody to answer.
var errGone = errors.New("client is gone")

// send writes the answer in one go, then lets the client close first: closing a
// unix socket with unread input, such as a newline after the command, would turn
// the end of the answer into a reset.
func (ch *Channels) send(x *conn, c *net.UnixConn, resp Response) {
	text := resp.appendOrFail(nil)
	ch.conns.release(x)
	c.SetWriteDeadline(time.Now().Add(ch.opt.sendTime(len(text))))
	if _, err := c.Write(text); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			ch.conns.count.timedOut.Add(1)
		}
		return
	}
	if c.CloseWrite() != nil {
		return
	}
	ch.conns.wait(x)
	c.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, c, lingerBytes)
}

const (
	// backlog is how many connections may wait to be accepted; the kernel lowers
	// it to net.core.somaxconn.
	backlog     = 4096
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// unixRemote asks the kernel who is at the other end.
func unixRemote(c *net.UnixConn, socket string) Remote {
	r := Remote{Transport: "unix", Socket: socket}
	raw, err := c.SyscallConn()
	if err != nil {
		return r
	}
	raw.Control(func(fd uintptr) {
		if cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			r.UID, r.PID, r.HaveCred = cred.Uid, uint32(cred.Pid), true
		}
	})
	return r
}

// socketLock is a lock file held by flock: it says who serves a socket, however
// the one before has ended.
type socketLock struct {
	path string
	f    *os.File
}

func lockSocket(path string) (*socketLock, error) {
	for range 10 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
		if err != nil {
			if errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("create lock file: directory %s does not exist", filepath.Dir(path))
			}
			return nil, fmt.Errorf("create lock file: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: another process serves this socket", path)
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// Its holder removes the file before it lets go: then this lock is on a
		// file that nobody else will find.
		mine, err := f.Stat()
		if err == nil {
			now, err := os.Lstat(path)
			if err == nil && os.SameFile(mine, now) {
				return &socketLock{path, f}, nil
			}
		}
		f.Close()
	}
	return nil, fmt.Errorf("lock %s: the file keeps changing", path)
}

func (l *socketLock) release() {
	os.Remove(l.path)
	l.f.Close()
}

// bindUnix makes the socket with its permissions before anybody can connect.
func bindUnix(path string, mode uint32) (*net.UnixListener, uint64, error) {
	if err := removeStale(path); err != nil {
		return nil, 0, err
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("create socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // FileListener has its own
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return nil, 0, fmt.Errorf("bind: %w", err)
	}
	fail := func(err error) (*net.UnixListener, uint64, error) {
		os.Remove(path)
		return nil, 0, err
	}
	if err := os.Chmod(path, fs.FileMode(mode)); err != nil {
		return fail(err)
	}
	ino, err := inode(path)
	if err != nil {
		return fail(err)
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return fail(fmt.Errorf("listen: %w", err))
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return fail(fmt.Errorf("listen: %w", err))
	}
	u := ln.(*net.UnixListener)
	u.SetUnlinkOnClose(false)
	return u, ino, nil
}

// removeStale removes a socket on which nobody listens. Anything else stays and
// is an error.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s: another process listens on it", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("look whether a process listens: %w", err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

func inode(path string) (uint64, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("stat %s: no inode", path)
	}
	return sys.Ino, nil
}
