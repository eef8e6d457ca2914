package slowpath

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/hoststore"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// hookLeases is the leases as hook libraries change them (hooks.LeaseStore4).
// Changes go through the journal of the control commands.
type hookLeases struct{ s *Server }

var _ hooks.LeaseStore4 = hookLeases{}

// Lease implements hooks.LeaseStore4.
func (h hookLeases) Lease(addr dhcp4.IPv4, l *lease.Lease4) bool {
	return h.s.table.Get(addr, l) && (l.State != lease.StateOffered || h.s.table.Covered(addr, l))
}

// ethernet is the hardware type of addresses given without one.
const ethernet = 1

// Client implements hooks.LeaseStore4. The index finds it; where that has an
// offer, a client identifier or hardware type that keeps records apart, or
// nothing, all leases of the subnet are looked at.
func (h hookLeases) Client(hw, cid []byte, subnetID uint32, l *lease.Lease4) bool {
	var found bool
	if cid != nil {
		found = h.s.table.FindByClientID(cid, subnetID, l)
	} else {
		found = h.s.table.FindByHWAddr(ethernet, hw, nil, subnetID, l)
	}
	if found && l.State != lease.StateOffered {
		return true
	}
	found = false
	h.s.table.Search(&lease.Filter{SubnetID: subnetID, HW: hw, ClientID: cid}, func(x *lease.Lease4) bool {
		*l, found = *x, true
		return false
	})
	return found
}

// Page implements hooks.LeaseStore4.
func (h hookLeases) Page(after dhcp4.IPv4, out []lease.Lease4) int { return h.s.table.Page(after, out) }

// Search implements hooks.LeaseStore4.
func (h hookLeases) Search(f *lease.Filter, yield func(l *lease.Lease4) bool) {
	h.s.table.Search(f, yield)
}

// offerRetries is how often an offer may come in the way of one change.
const offerRetries = 4

// standing is what stands at an address: version 0 is nothing, covered the version
// of what an offer stands over.
type standing struct {
	version, covered uint64
	offered          bool
}

// change runs f with the journal of the commands (nil: none) until no offer has
// come in the way. f is given the version of the record that stands in the
// table, in place of expect, which is what the caller has seen.
func (s *Server) change(expect uint64, look func() standing, f func(version uint64, w *leasestore.Writer) (lease.Commit, error)) (lease.Commit, error) {
	c := &s.commandJournal
	c.Lock()
	defer c.Unlock()
	if c.w != nil && !c.w.Healthy() {
		return lease.Commit{}, lease.ErrJournal
	}
	for range offerRetries {
		version := expect
		at := look()
		if at.offered {
			if at.covered != expect {
				return lease.Commit{}, lease.ErrConflict
			}
			version = at.version
		}
		commit, err := f(version, c.w)
		if !errors.Is(err, lease.ErrConflict) || !at.offered && at.version != expect {
			return commit, err
		}
	}
	return lease.Commit{}, lease.ErrConflict
}

// look is what stands at an address of the DHCPv4 table.
func (h hookLeases) look(addr dhcp4.IPv4) func() standing {
	cur := new(lease.Lease4)
	return func() (at standing) {
		if h.s.table.Get(addr, cur) {
			at.version, at.offered = cur.Version, cur.State == lease.StateOffered
		}
		if at.offered && h.s.table.Covered(addr, cur) {
			at.covered = cur.Version
		}
		return at
	}
}

// journal4 is w as a journal: no interface around nil.
func journal4(w *leasestore.Writer) lease.Journal {
	if w == nil {
		return nil
	}
	return w
}

// durable waits until a change by the journal of the commands is.
func (s *Server) durable(ctx context.Context, pos uint64) error {
	if w := s.commandJournal.w; w != nil && pos > 0 {
		if err := w.WaitDurable(ctx, pos); err != nil {
			return fmt.Errorf("make the change durable: %w", err)
		}
	}
	return nil
}

// checkContext applies extended-info-checks to a lease that somebody else has
// made.
func (h hookLeases) checkContext(l *lease.Lease4) {
	text, err := lease.CheckExtendedInfo4(l.UserContext, h.s.Snapshot().Dhcp4.SanityChecks.ExtendedInfoChecks)
	if err != nil {
		h.s.log.WithGroup("dhcpsrv").Error(fmt.Sprintf("DHCPSRV_LEASE4_EXTENDED_INFO_SANITY_FAIL extended info for lease %v failed checks (%v)", l.Addr, err))
	}
	l.UserContext = text
}

// Put implements hooks.LeaseStore4.
func (h hookLeases) Put(ctx context.Context, next *lease.Lease4, expect uint64) error {
	h.checkContext(next)
	if n := len(next.UserContext); n > leasestore.MaxUserContext {
		return fmt.Errorf("user context has %d octets, more than %d", n, leasestore.MaxUserContext)
	}
	c, err := h.s.change(expect, h.look(next.Addr), func(version uint64, w *leasestore.Writer) (lease.Commit, error) {
		return h.s.table.Put(next, version, journal4(w))
	})
	if err != nil {
		return err
	}
	return h.s.durable(ctx, c.Pos)
}

// Delete implements hooks.LeaseStore4.
func (h hookLeases) Delete(ctx context.Context, addr dhcp4.IPv4, expect uint64) error {
	c, err := h.delete(addr, expect)
	if err != nil {
		return err
	}
	return h.s.durable(ctx, c.Pos)
}

// delete removes a lease and the offer over it; the offer goes first and takes
// nothing with it.
func (h hookLeases) delete(addr dhcp4.IPv4, expect uint64) (lease.Commit, error) {
	return h.s.change(expect, h.look(addr), func(version uint64, w *leasestore.Writer) (lease.Commit, error) {
		if version != expect {
			if _, err := h.s.table.Delete(addr, version, nil); err != nil {
				return lease.Commit{}, err
			}
		}
		return h.s.table.Delete(addr, expect, journal4(w))
	})
}

// Wipe implements hooks.LeaseStore4.
func (h hookLeases) Wipe(ctx context.Context, subnetID uint32) (int, error) {
	var all []victim[dhcp4.IPv4]
	h.s.table.Search(&lease.Filter{SubnetID: subnetID}, func(l *lease.Lease4) bool {
		all = append(all, victim[dhcp4.IPv4]{l.Addr, l.Version})
		return true
	})
	return wipe(ctx, h.s, all, h.delete)
}

// victim is a lease to delete, if it still is that version.
type victim[A any] struct {
	addr    A
	version uint64
}

// wipe deletes as many leases at a time as the journal takes.
func wipe[A any](ctx context.Context, s *Server, all []victim[A], del func(A, uint64) (lease.Commit, error)) (n int, err error) {
	var last uint64
	for _, v := range all {
		c, err := del(v.addr, v.version)
		if errors.Is(err, lease.ErrJournal) && last > 0 { // full: let it be written
			if err := s.durable(ctx, last); err != nil {
				return n, err
			}
			c, err = del(v.addr, v.version)
		}
		switch {
		case errors.Is(err, lease.ErrConflict): // somebody else's now
		case err != nil:
			return n, errors.Join(err, s.durable(ctx, last))
		default:
			n++
			last = max(last, c.Pos)
		}
		if err := ctx.Err(); err != nil {
			return n, errors.Join(err, s.durable(ctx, last))
		}
	}
	return n, s.durable(ctx, last)
}

// dataDirectory is where commands may write lease files: Kea's data directory
// where the configuration or the environment names one, else the leases' own.
func (s *Server) dataDirectory(db *config.LeaseDatabase) string {
	snap := s.Snapshot()
	if filepath.IsAbs(db.Name) {
		return filepath.Dir(db.Name)
	}
	if dir := os.Getenv("KEA_DHCP_DATA_DIR"); dir != "" {
		return filepath.Clean(dir)
	}
	return LeaseDir(snap)
}

// WriteFile implements hooks.LeaseStore4.
func (h hookLeases) WriteFile(ctx context.Context, name string) (string, error) {
	page := make([]lease.Lease4, pageSize)
	after := dhcp4.IPv4(0)
	return h.s.writeLeases(ctx, name, &h.s.Snapshot().Dhcp4.LeaseDatabase, leasefile.AppendHeader4(nil), func(rows []byte) []byte {
		n := h.s.table.Page(after, page)
		for i := range page[:n] {
			if leasefile.Writable4(&page[i]) {
				rows = leasefile.AppendRow4(rows, &page[i])
			}
			after = page[i].Addr
		}
		if n == 0 {
			return nil
		}
		return rows
	})
}

// ownFile reports whether a file has the name of one that the server keeps in its
// lease directory, or is a control socket: a command that writes a file must not
// write that, since what clients were promised is in it.
func ownFile(path string) bool {
	name := filepath.Base(path)
	if leasestore.Owns(name) || hoststore.Owns(name) || name == serverIDFile || strings.HasSuffix(name, ".lock") {
		return true
	}
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&(os.ModeSocket|os.ModeNamedPipe|os.ModeDevice) != 0
}

// writeLeases writes a lease file of a header and of what more gives page by
// page, nil at the end, so that service goes on. The file is at any time the old
// or the new one; the old one stays beside it with Kea's ending.
func (s *Server) writeLeases(ctx context.Context, name string, db *config.LeaseDatabase, header []byte, more func(rows []byte) []byte) (string, error) {
	dir := s.dataDirectory(db)
	path := filepath.Clean(name)
	if filepath.Base(name) == name {
		path = filepath.Join(dir, name)
	}
	if base := filepath.Base(path); base == "." || base == "/" || base == ".." {
		return "", &hooks.PathError{Text: fmt.Sprintf("path: '%s' has no filename", name)}
	}
	if filepath.Dir(path) != dir {
		return "", &hooks.PathError{Text: fmt.Sprintf("invalid path specified: '%s', supported path is '%s'", filepath.Dir(path), dir)}
	}
	if ownFile(path) || path == filepath.Clean(s.opt.ConfigFile) {
		return "", &hooks.PathError{Text: fmt.Sprintf("'%s' is a file of the server's own", filepath.Base(path))}
	}
	// Both families' commands may mean the same file.
	s.writing.Lock()
	defer s.writing.Unlock()
	pid := os.Getpid()
	tmp := fmt.Sprintf("%s.tmp%d", path, pid)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return "", fmt.Errorf("unable to open '%s': %w", path, errors.Unwrap(err))
	}
	if err := writeRows(ctx, f, header, more); err != nil {
		return "", errors.Join(err, os.Remove(tmp))
	}
	bak := fmt.Sprintf("%s.bak%d", path, pid)
	if err := os.Remove(bak); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", errors.Join(err, os.Remove(tmp))
	}
	if err := os.Link(path, bak); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", errors.Join(err, os.Remove(tmp))
	}
	return path, nil
}

// writeRows fills f and closes it.
func writeRows(ctx context.Context, f *os.File, header []byte, more func(rows []byte) []byte) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(header); err != nil {
		return err
	}
	for rows := more(make([]byte, 0, 1<<16)); rows != nil; rows = more(rows[:0]) {
		if _, err := f.Write(rows); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return f.Sync()
}
