package leasestore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease6"
)

func full() (l lease.Lease4) {
	l = lease.Lease4{Addr: 0xC0000201, SubnetID: 7, PoolID: 3, CLTTUnixS: 1700000000, ValidLifetimeS: lease.InfiniteLifetime,
		State: lease.StateDeclined, FQDNFwd: true, FQDNRev: true, UserContext: `{"a":1}`, Version: 99}
	l.SetHW(1, []byte{1, 2, 3, 4, 5, 6})
	l.SetCID([]byte{0, 1, 2, 3})
	l.SetHost([]byte("host.example"))
	return l
}

func record(op lease.Op, l lease.Lease4) []byte {
	b := make([]byte, recordSize(op, &l))
	encodeRecord(b, op, &l)
	return b
}

// TestRecordRoundTrip also pins the bytes of format 1.
func TestRecordRoundTrip(t *testing.T) {
	longest := lease.Lease4{HWLen: 200, ClientIDLen: 255, HostnameLen: 255, UserContext: strings.Repeat("x", MaxUserContext)}
	for _, l := range []lease.Lease4{{}, full(), longest} {
		b := record(lease.OpPut, l)
		n, err := checkRecord(append(b[:len(b):len(b)], 1, 2, 3))
		if err != nil || n != len(b) || n > maxRecord {
			t.Fatalf("checkRecord: %d, %v; want %d", n, err, len(b))
		}
		got := full()
		loadRecord(b, &got)
		l.HWLen = min(l.HWLen, lease.MaxHWAddrLen)
		if got != l {
			t.Errorf("got %+v, want %+v", got, l)
		}
		for i := range b[:min(len(b), 700)] {
			for bit := range 8 {
				b[i] ^= 1 << bit
				if _, err := checkRecord(b); err == nil {
					t.Fatalf("a record with bit %d of byte %d changed passes", bit, i)
				}
				b[i] ^= 1 << bit
			}
		}
		for i := range min(len(b), 700) {
			if _, err := checkRecord(b[:i]); err == nil {
				t.Fatalf("a record cut at %d passes", i)
			}
		}
	}
	const want = "4d000000" + // length
		"6300000000000000" + "010200c0" + "07000000" + "01" + "01" + "03" + "01" +
		"03000000" + "00f1536500000000" + "ffffffff" + "01" + "06" + "04" + "0c" +
		"010203040506" + "00010203" + "686f73742e6578616d706c65" + "7b2261223a317d"
	if b := record(lease.OpPut, full()); hex.EncodeToString(b[4:]) != want {
		t.Errorf("format 1 has changed: %x, was %s", b[4:], want)
	}
	del := record(lease.OpDelete, full())
	if len(del) != recDelete || recAddr(del) != 0xC0000201 || recVersion(del) != 99 || recOp(del) != lease.OpDelete {
		t.Errorf("delete is %x", del)
	}
}

// build writes a segment or snapshot of one block per element of blocks.
func build(t testing.TB, magic string, h fileHeader, end bool, blocks ...[][]byte) []byte {
	t.Helper()
	if h.salt == 0 {
		h.salt = 5
	}
	b := make([]byte, fileHeaderLen)
	h.encode(b, magic)
	n := 0
	add := func(bh blockHeader, payload []byte) {
		var hb [blockHeaderLen]byte
		bh.start, bh.length = uint64(len(b)), uint32(len(payload))
		if magic == segmentMagic {
			bh.durable = bh.start
		}
		bh.encode(hb[:], h.salt)
		b = append(append(b, hb[:]...), payload...)
	}
	for _, recs := range blocks {
		n += len(recs)
		add(blockHeader{kind: kindData, records: uint32(len(recs))}, bytes.Join(recs, nil))
	}
	if end {
		add(blockHeader{kind: kindEnd, durable: uint64(n)}, nil)
	}
	return b
}

func writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestNoResurrection: an old put that was in a ring when the journal rotated
// landed behind the rotation; the later delete landed before it, in a segment
// that the snapshot made superfluous.
func TestNoResurrection(t *testing.T) {
	dir := t.TempDir()
	a := lease.Lease4{Addr: 1, Version: 10}
	b := lease.Lease4{Addr: 2, Version: 11}
	c := lease.Lease4{Addr: 2, Version: 14, SubnetID: 9}
	writeFile(t, snapshotName(dir, 2), build(t, snapshotMagic, fileHeader{number: 2, cut: versions{12}}, true, [][]byte{record(lease.OpPut, b)}))
	seg := build(t, segmentMagic, fileHeader{number: 2, prev: 1, prevLen: 500, prevDurable: 500}, false,
		[][]byte{record(lease.OpPut, a), record(lease.OpPut, c)}, [][]byte{record(lease.OpPut, lease.Lease4{Addr: 3, Version: 13})},
		[][]byte{record(lease.OpDelete, lease.Lease4{Addr: 3, Version: 15})})
	writeFile(t, segmentName(dir, 2), seg)
	got := map[dhcp4.IPv4]lease.Lease4{}
	r, err := Inspect(dir, func(l *lease.Lease4) { got[l.Addr] = *l }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[2] != c || r.Leases != 1 || r.MaxVersion != 15 || r.Records != 4 {
		t.Errorf("recovered %v, %+v; want version 14 of address 2 only", got, r)
	}
	// Without the snapshot the segment before is missed.
	os.Remove(snapshotName(dir, 2))
	var ce *CorruptError
	if _, err := Inspect(dir, nil, nil); !errors.As(err, &ce) || ce.File != segmentName(dir, 1) {
		t.Errorf("without the snapshot: %v", err)
	}
}

// TestForgedBlock: what a client put into a lease cannot pass for a block.
func TestForgedBlock(t *testing.T) {
	dir := t.TempDir()
	var forged [blockHeaderLen]byte
	h := blockHeader{kind: kindData}
	l := lease.Lease4{Addr: 1, Version: 1}
	h.start = fileHeaderLen + 2*blockHeaderLen + uint64(len(record(lease.OpPut, l))) + recFixed
	h.durable = h.start
	h.encode(forged[:], 0) // the client does not know the salt
	m := lease.Lease4{Addr: 2, Version: 2}
	m.SetCID(forged[:])
	b := build(t, segmentMagic, fileHeader{number: 1}, false, [][]byte{record(lease.OpPut, l)}, [][]byte{record(lease.OpPut, m)})
	b[len(b)-blockHeaderLen-recFixed] ^= 1 // tear the last record
	writeFile(t, segmentName(dir, 1), b)
	r, err := Inspect(dir, nil, nil)
	if err != nil || r.Leases != 1 || r.TornBytes == 0 {
		t.Errorf("torn block with a forged one in it: %+v, %v", r, err)
	}
}

// TestLaterFormat: a file of a later release is not called damaged.
func TestLaterFormat(t *testing.T) {
	dir := t.TempDir()
	b := build(t, segmentMagic, fileHeader{number: 1}, false, [][]byte{record(lease.OpPut, full())})
	le.PutUint32(b[12:], fileFormat+1)
	le.PutUint32(b[8:], crcOf(b[12:fileHeaderLen]))
	writeFile(t, segmentName(dir, 1), b)
	_, err := Inspect(dir, nil, nil)
	var ce *CorruptError
	if err == nil || errors.As(err, &ce) || !strings.Contains(err.Error(), "format 3") {
		t.Errorf("later format: %v", err)
	}
}

// TestEarlierFormat: a directory of before DHCPv6, whose headers say 1 and have no
// numbers of leases, is read.
func TestEarlierFormat(t *testing.T) {
	dir := t.TempDir()
	a, b := lease.Lease4{Addr: 1, Version: 10}, lease.Lease4{Addr: 2, Version: 13}
	old := func(b []byte) []byte {
		le.PutUint32(b[12:], 1)
		le.PutUint32(b[8:], crcOf(b[12:fileHeaderLen]))
		return b
	}
	writeFile(t, snapshotName(dir, 2), old(build(t, snapshotMagic, fileHeader{number: 2, cut: versions{12}}, true, [][]byte{record(lease.OpPut, a)})))
	writeFile(t, segmentName(dir, 2), old(build(t, segmentMagic, fileHeader{number: 2, prev: 1, prevLen: 500, prevDurable: 500}, false, [][]byte{record(lease.OpPut, b)})))
	got := map[dhcp4.IPv4]lease.Lease4{}
	s, r, err := Open(Options{Dir: dir, Load: func(l *lease.Lease4) { got[l.Addr] = *l }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r.Leases != 2 || r.MaxVersion != 13 || r.MaxVersion6 != 0 || got[1] != a || got[2] != b {
		t.Errorf("%+v, %v", r, got)
	}
	six := lease6.Lease6{PrefixLen: 128, Version: 1}
	w := s.NewWriter("w")
	if pos, ok := w.Append6(lease.OpPut, &six); !ok || w.WaitDurable(context.Background(), pos) != nil {
		t.Error("a DHCPv6 lease beside the old ones is refused")
	}
}

func crcOf(b []byte) uint32 { return crc32.Update(0, castagnoli, b) }

// TestRecord6RoundTrip also pins the length of format 2.
func TestRecord6RoundTrip(t *testing.T) {
	l := lease6.Lease6{Addr: lease6.IPv6{0x20, 1, 15: 1}, PrefixLen: 56, Type: lease6.TypePD, State: lease.StateRegistered, FQDNFwd: true, IAID: 7, SubnetID: 8,
		PoolID: 9, PreferredLifetimeS: 10, ValidLifetimeS: 11, CLTTUnixS: 1 << 40, UserContext: `{"a":1}`, Version: 99}
	l.SetID([]byte("duid"))
	l.SetHW(300, []byte{1, 2, 3}, lease6.HWSourceDUID)
	l.SetHost([]byte("host"))
	l.SetRelays([]byte("relays"))
	longest := lease6.Lease6{DUIDLen: 255, HWLen: 255, HostnameLen: 255, RelayInfoLen: 1 << 15, UserContext: strings.Repeat("x", MaxUserContext)}
	for _, op := range []lease.Op{lease.OpPut, lease.OpDelete} {
		for _, l := range []lease6.Lease6{{}, l, longest} {
			b := make([]byte, recordSize6(op, &l))
			encodeRecord6(b, op, &l)
			n, err := checkRecord(append(b[:len(b):len(b)], 1, 2, 3))
			if err != nil || n != len(b) || n > maxRecord || recFamily(b) != v6 || recAddr6(b) != l.Addr || recVersion(b) != l.Version {
				t.Fatalf("checkRecord: %d, %v; want %d", n, err, len(b))
			}
			if op == lease.OpPut {
				got := lease6.Lease6{HWLen: 3, UserContext: "old"}
				loadRecord6(b, &got)
				l.DUIDLen, l.HWLen, l.RelayInfoLen = min(l.DUIDLen, lease6.MaxDUIDLen), min(l.HWLen, lease6.MaxHWAddrLen), min(l.RelayInfoLen, lease6.MaxRelayInfoLen)
				if got != l {
					t.Errorf("got %+v, want %+v", got, l)
				}
			}
			for i := range min(len(b), 300) {
				if _, err := checkRecord(b[:i]); err == nil {
					t.Fatalf("a record cut at %d passes", i)
				}
				if i < 4 || i >= 8 { // fields that cannot be, under a good checksum
					c := bytes.Clone(b)
					c[i] ^= 0xFF
					le.PutUint32(c, crcOf(c[4:]))
					if n, err := checkRecord(c); err == nil && n != len(b) {
						t.Fatalf("octet %d changed: length %d", i, n)
					} else if err == nil && recFamily(c) == v6 && recOp(c) == lease.OpPut {
						loadRecord6(c, new(lease6.Lease6))
					}
				}
			}
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(record(lease.OpPut, full()))
	f.Add(record(lease.OpDelete, full()))
	f.Add(record(lease.OpPut, lease.Lease4{}))
	six := lease6.Lease6{PrefixLen: 128, DUIDLen: 3, RelayInfoLen: 2}
	for _, op := range []lease.Op{lease.OpPut, lease.OpDelete} {
		b := make([]byte, recordSize6(op, &six))
		encodeRecord6(b, op, &six)
		f.Add(b)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= recDelete { // get behind the checksum
			if n := int(le.Uint32(b[4:])); n >= recDelete && n <= len(b) {
				le.PutUint32(b, crcOf(b[4:n]))
			}
		}
		n, err := checkRecord(b)
		if err != nil {
			return
		}
		if recFamily(b) == v6 {
			l := lease6.Lease6{Addr: recAddr6(b), PrefixLen: b[44], Type: lease6.Type(b[45]), Version: recVersion(b), SubnetID: le.Uint32(b[20:])}
			if recOp(b) == lease.OpPut {
				loadRecord6(b, &l)
			}
			again := make([]byte, recordSize6(recOp(b), &l))
			if encodeRecord6(again, recOp(b), &l); !bytes.Equal(again, b[:n]) {
				t.Errorf("encodes as %x, was %x", again, b[:n])
			}
			return
		}
		if recOp(b) == lease.OpDelete {
			if again := record(lease.OpDelete, lease.Lease4{Addr: dhcp4.IPv4(recAddr(b)), Version: recVersion(b), SubnetID: le.Uint32(b[20:])}); !bytes.Equal(again, b[:n]) {
				t.Errorf("encodes as %x, was %x", again, b[:n])
			}
			return
		}
		var l lease.Lease4
		loadRecord(b, &l)
		if again := record(lease.OpPut, l); !bytes.Equal(again, b[:n]) {
			t.Errorf("encodes as %x, was %x", again, b[:n])
		}
	})
}

func FuzzSegment(f *testing.F) {
	rec := record(lease.OpPut, full())
	f.Add(build(f, segmentMagic, fileHeader{number: 1}, true, [][]byte{rec, rec}, [][]byte{rec}), true)
	f.Add(build(f, segmentMagic, fileHeader{number: 1}, false, [][]byte{rec}), true)
	f.Add(build(f, snapshotMagic, fileHeader{number: 1, cut: versions{5}}, true, [][]byte{rec}), false)
	f.Add([]byte(segmentMagic), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, segment bool) {
		dir := t.TempDir()
		if segment {
			writeFile(t, segmentName(dir, 1), b)
		} else {
			writeFile(t, segmentName(dir, 1), build(t, segmentMagic, fileHeader{number: 1}, false, [][]byte{rec}))
			writeFile(t, snapshotName(dir, 1), b)
		}
		n := 0
		r, err := Inspect(dir, func(*lease.Lease4) { n++ }, nil)
		if err == nil && r.Leases != n {
			t.Errorf("%d leases, loaded %d", r.Leases, n)
		}
		if err != nil && !strings.Contains(err.Error(), filepath.Base(dir)) {
			t.Errorf("error names no file: %v", err)
		}
	})
}
