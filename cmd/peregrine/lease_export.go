package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasefile"
	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore"
)

// exportedLease is a lease as Kea's lease4-get-all has it (LS-028).
type exportedLease struct {
	IPAddress   string          `json:"ip-address"`
	SubnetID    uint32          `json:"subnet-id"`
	HWAddress   string          `json:"hw-address,omitempty"`
	ClientID    string          `json:"client-id,omitempty"`
	ValidLft    uint32          `json:"valid-lft"`
	CLTT        int64           `json:"cltt"`
	FQDNFwd     bool            `json:"fqdn-fwd"`
	FQDNRev     bool            `json:"fqdn-rev"`
	Hostname    string          `json:"hostname"`
	State       uint8           `json:"state"`
	PoolID      uint32          `json:"pool-id,omitempty"`
	UserContext json.RawMessage `json:"user-context,omitempty"`
}

func leaseExportMain(args []string, stdout, stderr io.Writer) int {
	flags := newLeaseFlags("export", stderr)
	outFile := flags.String("o", "", "`file` to write, in place of the one that is there, with its owner and mode; standard output without")
	format := flags.String("f", "csv", "`format`: csv is Kea's lease file, json what lease4-get-all answers")
	six := flags.Bool("6", false, "the DHCPv6 leases (as csv only)")
	if _, code, ok := flags.parse(args); !ok {
		return code
	}
	if *six && *format != "csv" {
		fmt.Fprintf(stderr, "peregrine lease export: -6 writes csv, not %s\n", *format)
		return 2
	}
	if *format != "csv" && *format != "json" {
		fmt.Fprintf(stderr, "peregrine lease export: -f is %q, expected csv or json\n", *format)
		return 2
	}
	toFile := *outFile != "" && *outFile != "-"
	if toFile && *format == "csv" {
		// Ended leases would come back from them.
		left, err := leasefile.Leftovers(*outFile)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s: Kea would read it before %s; remove it first", left[0], *outFile)
		}
		if err != nil {
			fmt.Fprintf(stderr, "peregrine lease export: %v\n", err)
			return 1
		}
	}
	// Through a table: it takes little memory, and gives them back in order.
	table, table6 := lease.NewTable(lease.Options{}), lease6.NewTable(lease6.Options{})
	rec, err := leasestore.Inspect(flags.dir, table.Load, table6.Load)
	if err != nil {
		fmt.Fprintln(stderr, leaseDirError(flags.dir, err))
		return 1
	}
	if rec.TornBytes > 0 {
		fmt.Fprintf(stderr, "peregrine lease export: warning: the last write before the server's end was incomplete (%d bytes); no answered lease is lost\n", rec.TornBytes)
	}
	export := func(w io.Writer) (int, int, error) { return exportCSV(w, table) }
	switch {
	case *six:
		export = func(w io.Writer) (int, int, error) { return exportCSV6(w, table6) }
	case *format == "json":
		export = func(w io.Writer) (int, int, error) { return exportJSON(w, table) }
	}
	var written, left int
	if toFile {
		err = replaceFile(*outFile, func(w io.Writer) (err error) {
			written, left, err = export(w)
			return err
		})
	} else {
		written, left, err = export(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "peregrine lease export: %v\n", err)
		return 1
	}
	if left > 0 {
		fmt.Fprintf(stderr, "peregrine lease export: %d leases are left out: released ones, which Kea forgets when it restarts, and ones without %s\n", left, map[bool]string{false: "hardware address and client identifier", true: "a DUID of three octets at least"}[*six])
	}
	if toFile {
		fmt.Fprintf(stdout, "%s: %d leases of %s\n", *outFile, written, flags.dir)
	}
	return 0
}

// eachLease calls f for each lease in ascending order of addresses.
func eachLease(t *lease.Table, f func(*lease.Lease4) error) error {
	page := make([]lease.Lease4, 256)
	for after := dhcp4.IPv4(0); ; {
		n := t.Page(after, page)
		if n == 0 {
			return nil
		}
		for i := range page[:n] {
			if err := f(&page[i]); err != nil {
				return err
			}
		}
		after = page[n-1].Addr
	}
}

func exportCSV(w io.Writer, t *lease.Table) (written, left int, err error) {
	out := bufio.NewWriterSize(w, 256<<10)
	row := leasefile.AppendHeader4(nil)
	_, err = out.Write(row)
	if err != nil {
		return 0, 0, err
	}
	err = eachLease(t, func(l *lease.Lease4) error {
		if l.ValidLifetimeS == 0 || !leasefile.Writable4(l) {
			left++
			return nil
		}
		written++
		row = leasefile.AppendRow4(row[:0], l)
		_, err := out.Write(row)
		return err
	})
	return written, left, errors.Join(err, out.Flush())
}

func exportJSON(w io.Writer, t *lease.Table) (written, left int, err error) {
	out := bufio.NewWriterSize(w, 256<<10)
	sep := "{ \"leases\": [\n  "
	err = eachLease(t, func(l *lease.Lease4) error {
		j := exportedLease{
			IPAddress: l.Addr.String(), SubnetID: l.SubnetID, HWAddress: colons(l.HW()), ClientID: colons(l.CID()),
			ValidLft: l.ValidLifetimeS, CLTT: l.CLTTUnixS, FQDNFwd: l.FQDNFwd, FQDNRev: l.FQDNRev,
			Hostname: string(l.Host()), State: uint8(l.State), PoolID: l.PoolID,
		}
		if json.Valid([]byte(l.UserContext)) {
			j.UserContext = json.RawMessage(l.UserContext)
		}
		b, err := json.Marshal(j)
		if err != nil {
			return err
		}
		if _, err := out.WriteString(sep); err != nil {
			return err
		}
		sep = ",\n  "
		written++
		_, err = out.Write(b)
		return err
	})
	end := "\n] }\n"
	if written == 0 {
		end = "{ \"leases\": [] }\n"
	}
	_, werr := out.WriteString(end)
	return written, 0, errors.Join(err, werr, out.Flush())
}

// replaceFile makes a file anew: whole, or not at all. It keeps owner and mode of
// the one that it replaces, as Kea may not run as root. What is no regular file,
// such as a pipe, is written to.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	}
	mode, uid, gid := fs.FileMode(0o640), -1, -1 // Kea's own mode: leases name people's devices
	if i, err := os.Stat(path); err == nil {
		if !i.Mode().IsRegular() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			return errors.Join(write(f), f.Close())
		}
		mode = i.Mode().Perm()
		if st, ok := i.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	// Giving it away needs privileges; without, it is the user's.
	_ = f.Chown(uid, gid)
	if err = errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// leaseDirError says what to do about a directory that is in use.
func leaseDirError(dir string, err error) error {
	if errors.Is(err, leasestore.ErrLocked) {
		return fmt.Errorf("%s is in use: stop the server first (or ask it: peregrine ctl lease4-get-all)", dir)
	}
	return err
}
