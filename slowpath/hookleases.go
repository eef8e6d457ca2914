package slowpath

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
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

// change runs f with the journal of the commands until the address's record is
// not changed by an offer in between. f is given the version of the record that
// stands in the table, in place of expect, which is what the caller has seen.
func (h hookLeases) change(addr dhcp4.IPv4, expect uint64, f func(version uint64, j lease.Journal) (lease.Commit, error)) (lease.Commit, error) {
	c := &h.s.commandJournal
	c.Lock()
	defer c.Unlock()
	var j lease.Journal
	if c.w != nil {
		if !c.w.Healthy() {
			return lease.Commit{}, lease.ErrJournal
		}
		j = c.w
	}
	cur := new(lease.Lease4)
	for range offerRetries {
		version := expect
		offered := h.s.table.Get(addr, cur) && cur.State == lease.StateOffered
		if offered {
			version = cur.Version
			covered := uint64(0)
			if h.s.table.Covered(addr, cur) {
				covered = cur.Version
			}
			if covered != expect {
				return lease.Commit{}, lease.ErrConflict
			}
		}
		commit, err := f(version, j)
		if !errors.Is(err, lease.ErrConflict) || !offered && cur.Version != expect {
			return commit, err
		}
	}
	return lease.Commit{}, lease.ErrConflict
}

// durable waits until a change by the journal of the commands is.
func (h hookLeases) durable(ctx context.Context, pos uint64) error {
	if w := h.s.commandJournal.w; w != nil && pos > 0 {
		if err := w.WaitDurable(ctx, pos); err != nil {
			return fmt.Errorf("make the change durable: %w", err)
		}
	}
	return nil
}

// Put implements hooks.LeaseStore4.
func (h hookLeases) Put(ctx context.Context, next *lease.Lease4, expect uint64) error {
	if n := len(next.UserContext); n > leasestore.MaxUserContext {
		return fmt.Errorf("user context has %d octets, more than %d", n, leasestore.MaxUserContext)
	}
	c, err := h.change(next.Addr, expect, func(version uint64, j lease.Journal) (lease.Commit, error) {
		return h.s.table.Put(next, version, j)
	})
	if err != nil {
		return err
	}
	return h.durable(ctx, c.Pos)
}

// Delete implements hooks.LeaseStore4.
func (h hookLeases) Delete(ctx context.Context, addr dhcp4.IPv4, expect uint64) error {
	c, err := h.delete(addr, expect)
	if err != nil {
		return err
	}
	return h.durable(ctx, c.Pos)
}

// delete removes a lease and the offer over it; the offer goes first and takes
// nothing with it.
func (h hookLeases) delete(addr dhcp4.IPv4, expect uint64) (lease.Commit, error) {
	return h.change(addr, expect, func(version uint64, j lease.Journal) (lease.Commit, error) {
		if version != expect {
			if _, err := h.s.table.Delete(addr, version, nil); err != nil {
				return lease.Commit{}, err
			}
		}
		return h.s.table.Delete(addr, expect, j)
	})
}

// Wipe implements hooks.LeaseStore4. It deletes as many leases at a time as the
// journal takes.
func (h hookLeases) Wipe(ctx context.Context, subnetID uint32) (n int, err error) {
	type victim struct {
		addr    dhcp4.IPv4
		version uint64
	}
	var all []victim
	h.s.table.Search(&lease.Filter{SubnetID: subnetID}, func(l *lease.Lease4) bool {
		all = append(all, victim{l.Addr, l.Version})
		return true
	})
	var last uint64
	for _, v := range all {
		c, err := h.delete(v.addr, v.version)
		if errors.Is(err, lease.ErrJournal) && last > 0 { // full: let it be written
			if err := h.durable(ctx, last); err != nil {
				return n, err
			}
			c, err = h.delete(v.addr, v.version)
		}
		switch {
		case errors.Is(err, lease.ErrConflict): // somebody else's now
		case err != nil:
			return n, errors.Join(err, h.durable(ctx, last))
		default:
			n++
			last = max(last, c.Pos)
		}
		if err := ctx.Err(); err != nil {
			return n, errors.Join(err, h.durable(ctx, last))
		}
	}
	return n, h.durable(ctx, last)
}

// dataDirectory is where commands may write lease files: Kea's data directory
// where the configuration or the environment names one, else the leases' own.
func (s *Server) dataDirectory() string {
	snap := s.Snapshot()
	if name := snap.Dhcp4.LeaseDatabase.Name; filepath.IsAbs(name) {
		return filepath.Dir(name)
	}
	if dir := os.Getenv("KEA_DHCP_DATA_DIR"); dir != "" {
		return filepath.Clean(dir)
	}
	return LeaseDir(snap)
}

// WriteFile implements hooks.LeaseStore4. The file is at any time the old or the
// new one; the old one stays beside it with Kea's ending.
func (h hookLeases) WriteFile(ctx context.Context, name string) (string, error) {
	dir := h.s.dataDirectory()
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
	pid := os.Getpid()
	tmp := fmt.Sprintf("%s.tmp%d", path, pid)
	if err := h.writeRows(ctx, tmp); err != nil {
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

// writeRows writes a page at a time, so that service goes on.
func (h hookLeases) writeRows(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<18)
	row := leasefile.AppendHeader4(nil)
	if _, err := w.Write(row); err != nil {
		return err
	}
	page := make([]lease.Lease4, pageSize)
	for after := dhcp4.IPv4(0); ; {
		n := h.s.table.Page(after, page)
		if n == 0 {
			break
		}
		for i := range page[:n] {
			if !leasefile.Writable4(&page[i]) {
				continue
			}
			row = leasefile.AppendRow4(row[:0], &page[i])
			if _, err := w.Write(row); err != nil {
				return err
			}
		}
		after = page[n-1].Addr
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}
