package slowpath

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

func testIDSource() idSource {
	return idSource{
		link:   func() (link, error) { return link{1, []byte{2, 0, 0, 0, 0, 9}}, nil },
		now:    time.Unix(duidEpoch+0x01020304, 0),
		random: func(b []byte) { copy(b, "random") },
	}
}

func TestMakeServerID(t *testing.T) {
	octets := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name   string
		c      config.ServerID
		stored string
		want   string
	}{
		{"new LLT", config.ServerID{}, "", "0001000101020304020000000009"},
		{"stored LLT", config.ServerID{Type: config.DUIDLLT}, "000100060000000aaabbccddeeff", "000100060000000aaabbccddeeff"},
		{"stored LLT, other time", config.ServerID{Type: config.DUIDLLT, TimeS: 7}, "000100060000000aaabbccddeeff", "0001000600000007aabbccddeeff"},
		{"stored LLT, other address", config.ServerID{Type: config.DUIDLLT, Identifier: octets("010203")}, "000100060000000aaabbccddeeff", "000100060000000a010203"},
		{"address alone is Ethernet", config.ServerID{Type: config.DUIDLL, Identifier: octets("010203")}, "", "00030001010203"},
		{"another type is stored", config.ServerID{Type: config.DUIDLL}, "000100060000000aaabbccddeeff", "00030001020000000009"},
		{"stored LL", config.ServerID{Type: config.DUIDLL}, "00030006aabbccddeeff", "00030006aabbccddeeff"},
		{"new EN", config.ServerID{Type: config.DUIDEN}, "", "0002000009bf" + hex.EncodeToString([]byte("random"))},
		{"stored EN", config.ServerID{Type: config.DUIDEN}, "0002000000070102", "0002000000070102"},
		{"EN as configured", config.ServerID{Type: config.DUIDEN, EnterpriseID: 9, Identifier: octets("aa")}, "0002000000070102", "000200000009aa"},
		{"a stored stump", config.ServerID{Type: config.DUIDLL}, "000300", "00030001020000000009"},
	} {
		got, err := makeServerID(&c.c, octets(c.stored), testIDSource())
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: %x, %v; want %s", c.name, got, err, c.want)
		}
	}
	long := config.ServerID{Type: config.DUIDLL, Identifier: make([]byte, 130)}
	if id, err := makeServerID(&long, nil, testIDSource()); err == nil {
		t.Errorf("a DUID of %d octets was made", len(id))
	}
}

func TestServerIDIsKept(t *testing.T) {
	dir := t.TempDir()
	snap := &config.Snapshot{Dhcp6: &config.Dhcp6{ServerID: config.ServerID{Type: config.DUIDLLT, Persist: true}},
		Dataplane: config.Dataplane{LeaseDirectory: filepath.Join(dir, "leases"), LeaseDirectorySet: true}}
	t.Setenv("KEA_DHCP_DATA_DIR", "")
	first, err := serverID(snap, testIDSource())
	if err != nil {
		t.Fatal(err)
	}
	later := testIDSource()
	later.now = later.now.Add(time.Hour)
	if again, err := serverID(snap, later); err != nil || string(again) != string(first) {
		t.Errorf("%x, %v; want %x again", again, err, first)
	}
	file := filepath.Join(dir, "leases", serverIDFile)
	if b, err := os.ReadFile(file); err != nil || string(b) != "00:01:00:01:01:02:03:04:02:00:00:00:00:09\n" {
		t.Errorf("%q, %v", b, err)
	}
	// What Kea has written is taken over.
	t.Setenv("KEA_DHCP_DATA_DIR", dir)
	if err := os.WriteFile(filepath.Join(dir, serverIDFile), []byte("00:01:00:01:00:00:00:01:aa:bb:cc:dd:ee:ff"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := serverID(snap, later); err != nil || hex.EncodeToString(id) != "0001000100000001aabbccddeeff" {
		t.Errorf("%x, %v", id, err)
	}
	if err := os.WriteFile(filepath.Join(dir, serverIDFile), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := serverID(snap, later); err == nil {
		t.Errorf("nonsense was taken for %x", id)
	}
}
