package slowpath

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp6"
)

// serverIDFile is the name of the file with the server's DUID, Kea's (V6-046).
const serverIDFile = "kea-dhcp6-serverid"

// duidEpoch is the zero of the time in a DUID-LLT, 2000-01-01 UTC, in Unix
// seconds (RFC 8415 §11.2).
const duidEpoch = 946684800

// enterpriseISC is the enterprise number Kea puts into a DUID-EN.
const enterpriseISC = 2495

// link is an interface's hardware type and address.
type link struct {
	htype uint16
	addr  []byte
}

// idSource is what a new DUID is made of: a fake in tests.
type idSource struct {
	link   func() (link, error)
	now    time.Time
	random func(b []byte)
}

// serverID returns the server's DUID: the stored one if it is as configured,
// else a new one, which is then stored. A server that changes its DUID is a
// stranger to its clients, so the file is looked for where Kea keeps it too.
func serverID(snap *config.Snapshot, src idSource) ([]byte, error) {
	c := &snap.Dhcp6.ServerID
	path := serverIDPath(snap)
	stored, err := readServerID(path)
	if err != nil {
		return nil, fmt.Errorf("read server identifier: %w", err)
	}
	id, err := makeServerID(c, stored, src)
	if err != nil {
		return nil, fmt.Errorf("make server identifier: %w", err)
	}
	if !c.Persist || bytes.Equal(id, stored) {
		return id, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("store server identifier: %w", err)
	}
	if err := writeFileAtomically(path, []byte(colons(id)+"\n")); err != nil {
		return nil, fmt.Errorf("store server identifier: %w", err)
	}
	return id, nil
}

// serverIDPath is the file of the DUID: in data-directory, in Kea's directory
// where Kea has left one, else beside the leases.
func serverIDPath(snap *config.Snapshot) string {
	if d := snap.Dhcp6.DataDirectory; d != "" {
		return filepath.Join(d, serverIDFile)
	}
	if d := os.Getenv("KEA_DHCP_DATA_DIR"); d != "" {
		return filepath.Join(d, serverIDFile)
	}
	own := filepath.Join(LeaseDir(snap), serverIDFile)
	if snap.Dataplane.LeaseDirectorySet {
		return own
	}
	if _, err := os.Stat(own); errors.Is(err, fs.ErrNotExist) {
		kea := filepath.Join(defaultDataDir, serverIDFile)
		if _, err := os.Stat(kea); err == nil {
			return kea
		}
	}
	return own
}

// readServerID reads a DUID in hexadecimal, nil if there is no file.
func readServerID(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 1024)
	n, _ := f.Read(b) // one read of a small file; what it does not give is no DUID
	id, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(b[:n])), ":", ""))
	if err != nil || len(id) < dhcp6.MinDUIDLen || len(id) > dhcp6.MaxDUIDLen {
		return nil, fmt.Errorf("%s holds no DUID", path)
	}
	return id, nil
}

// makeServerID makes the DUID that c asks for. What c leaves open is taken from
// the stored one where that is of the same type (V6-045).
func makeServerID(c *config.ServerID, stored []byte, src idSource) ([]byte, error) {
	be := binary.BigEndian
	var have struct {
		htype      uint16
		time, ent  uint32
		identifier []byte
	}
	typ := c.Type
	if typ == 0 {
		typ = config.DUIDLLT
	}
	if len(stored) >= 2 && be.Uint16(stored) == uint16(typ) {
		switch {
		case typ == config.DUIDLLT && len(stored) > 8:
			have.htype, have.time, have.identifier = be.Uint16(stored[2:]), be.Uint32(stored[4:]), stored[8:]
		case typ == config.DUIDLL && len(stored) > 4:
			have.htype, have.identifier = be.Uint16(stored[2:]), stored[4:]
		case typ == config.DUIDEN && len(stored) > 6:
			have.ent, have.identifier = be.Uint32(stored[2:]), stored[6:]
		}
	}
	id := be.AppendUint16(nil, uint16(typ))
	if typ == config.DUIDEN {
		id = be.AppendUint32(id, firstOf(c.EnterpriseID, have.ent, enterpriseISC))
		switch {
		case len(c.Identifier) > 0:
			id = append(id, c.Identifier...)
		case len(have.identifier) > 0:
			id = append(id, have.identifier...)
		default:
			b := make([]byte, 6)
			src.random(b)
			id = append(id, b...)
		}
		return id, nil
	}
	htype, addr := c.HType, c.Identifier
	switch {
	case len(addr) > 0:
		htype = firstOf(htype, have.htype, 1)
	case len(have.identifier) > 0:
		htype, addr = have.htype, have.identifier
	default:
		l, err := src.link()
		if err != nil {
			return nil, err
		}
		htype, addr = l.htype, l.addr
	}
	id = be.AppendUint16(id, htype)
	if typ == config.DUIDLLT {
		id = be.AppendUint32(id, firstOf(c.TimeS, have.time, uint32(src.now.Unix()-duidEpoch)))
	}
	id = append(id, addr...)
	if len(id) > dhcp6.MaxDUIDLen {
		return nil, fmt.Errorf("it has %d octets, at most %d are possible", len(id), dhcp6.MaxDUIDLen)
	}
	return id, nil
}

func firstOf[T uint16 | uint32](l ...T) T {
	for _, x := range l {
		if x != 0 {
			return x
		}
	}
	return 0
}

// systemIDSource makes DUIDs of this machine's first interface.
func systemIDSource() idSource {
	return idSource{link: firstLink, now: time.Now(), random: func(b []byte) { rand.Read(b) }} // never fails (crypto/rand)
}

// firstLink is the link-layer address of the first interface that is up and has
// one, else of the first that has one, else a random local address: the server
// may be started before its interfaces are there, and the DUID need only be
// unique.
func firstLink() (link, error) {
	list, err := net.Interfaces()
	if err != nil {
		return link{}, err
	}
	down := link{}
	for _, n := range list {
		if n.Flags&net.FlagLoopback != 0 || len(n.HardwareAddr) != 6 || bytes.Equal(n.HardwareAddr, make([]byte, 6)) {
			continue
		}
		if n.Flags&net.FlagUp != 0 {
			return link{1, n.HardwareAddr}, nil
		}
		if down.addr == nil {
			down = link{1, n.HardwareAddr}
		}
	}
	if down.addr == nil {
		b := make([]byte, 6)
		rand.Read(b) // never fails (crypto/rand)
		b[0] = b[0]&^1 | 2
		down = link{1, b}
	}
	return down, nil
}
