package leasefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/peregrine-dhcp/peregrine/slowpath/dhcp4"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

const header22 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context"

// readAll gives every row as text, errors included, and the number of the last line.
func readAll(t testing.TB, file string) (rows []string, schema Schema, err error) {
	t.Helper()
	r, err := NewReader4(iotest.HalfReader(strings.NewReader(file)), "f.csv")
	if err != nil {
		return nil, 0, err
	}
	for {
		var l lease.Lease4
		var bad *RowError
		switch err := r.Next(&l); {
		case err == nil:
			rows = append(rows, plain(&l))
		case errors.Is(err, io.EOF):
			return rows, r.Schema(), nil
		case errors.As(err, &bad):
			rows = append(rows, err.Error())
		default:
			return rows, r.Schema(), err
		}
	}
}

func TestHeader(t *testing.T) {
	for _, c := range []struct {
		head, want string
		schema     Schema
	}{
		{Header4, "", SchemaCurrent},
		{header22, "", SchemaOlder},
		{"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname", "", SchemaOlder},
		{Header4 + ",more,columns", "", SchemaNewer},
		{"\n\n" + Header4 + "\r", "", SchemaCurrent},
		{"address,hwaddr,client_id", `f.csv:1: header: has 3 columns, expected at least 9 (up to "hostname")`, 0},
		{"\naddress,mac", `f.csv:2: header: column 2 is "mac", expected "hwaddr"`, 0},
		{"address,duid,valid_lifetime,expire,subnet_id,pref_lifetime", `f.csv:1: header: column 2 is "duid", expected "hwaddr": this is a DHCPv6 lease file`, 0},
		{"192.0.2.1,00:01,,1,1,1,0,0,,0,,0", `f.csv:1: header: column 1 is "192.0.2.1", expected "address"`, 0},
	} {
		_, schema, err := readAll(t, c.head+"\n")
		if got := fmt.Sprint(err); err != nil && got != c.want || err == nil && c.want != "" {
			t.Errorf("%q: error %v, want %q", c.head, err, c.want)
		}
		if schema != c.schema {
			t.Errorf("%q: schema %v, want %v", c.head, schema, c.schema)
		}
	}
	if rows, _, err := readAll(t, ""); err != nil || len(rows) > 0 {
		t.Errorf("empty file: %v, %v", rows, err)
	}
}

func TestReader(t *testing.T) {
	const row = "192.0.2.1,01:02,,3600,1700003600,7,0,1,Host.Example,0,,5"
	const good = `192.0.2.1 subnet 7 pool 5 cltt 1700000000 valid 3600 state 0 fwd false rev true hw 1/0102 cid  host "host.example" ctx ""`
	change := func(column int, text string) string {
		f := strings.Split(row, ",")
		f[column] = text
		return strings.Join(f, ",")
	}
	// wants are parts of the row or of the error.
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{"plain", row + "\n", []string{good}},
		{"no line end", row, []string{good}},
		{"CR LF, blank lines", "\r\n" + row + "\r\n\r\n" + row + "\r\n", []string{good, good}},
		{"surplus columns", row + ",x,y\n", []string{good}},
		{"torn", row + "\n192.0.2.2,01:0", []string{good, "f.csv:3: row has 2 columns, expected 12"}},
		{"torn, then another", "192.0.2.2,01:0" + row + "\n" + row + "\n", []string{`f.csv:2: hwaddr: more than two digits without separator in "01:0192.0.2.1"`, good}},
		{"torn last column", strings.TrimSuffix(row, "5"), []string{`f.csv:2: pool_id: "" is not a number in range`}},
		{"address", change(0, "192.0.2") + "\n", []string{`address: "192.0.2" is not an IPv4 address`}},
		{"address of v6", change(0, "2001:db8::1"), []string{`address: "2001:db8::1" is not`}},
		{"address, leading zero", change(0, "192.0.02.1"), []string{`address: "192.0.02.1" is not`}},
		{"address, too large", change(0, "192.0.2.256"), []string{`is not an IPv4 address`}},
		{"address none", change(0, "0.0.0.0"), []string{`is not an IPv4 address`}},
		{"hwaddr of short octets", change(1, "a:b"), []string{"hw 1/0a0b"}},
		{"hwaddr longest", change(1, strings.Repeat("ff:", 19)+"FE"), []string{"hw 1/" + strings.Repeat("ff", 19) + "fe"}},
		{"hwaddr too long", change(1, strings.Repeat("ff:", 20)+"ff"), []string{"hwaddr: too many octets"}},
		{"hwaddr digits", change(1, "0102"), []string{`hwaddr: more than two digits without separator in "0102"`}},
		{"hwaddr empty octet", change(1, "01::02"), []string{"hwaddr: nothing between two separators"}},
		{"hwaddr ends", change(1, "01:"), []string{"hwaddr: nothing between two separators"}},
		{"hwaddr starts", change(1, ":01"), []string{"hwaddr: nothing between two separators"}},
		{"hwaddr no digit", change(1, "0x:01"), []string{"hwaddr: not a hexadecimal digit"}},
		{"nobody", change(1, ""), []string{"f.csv:2: row has neither hwaddr nor client_id, which only a declined lease may"}},
		{"client-id", change(2, "01:2:ab"), []string{"cid 0102ab"}},
		{"client-id spaces", change(2, "01 2 ab"), []string{"cid 0102ab"}},
		{"client-id digits", change(2, "0x12345"), []string{"cid 012345"}},
		{"client-id digits, odd", change(2, "12345"), []string{"cid 012345"}},
		{"client-id short", change(2, "01"), []string{`client_id: fewer than two octets in "01"`}},
		{"client-id bad", change(2, "01:zz"), []string{`client_id: not a hexadecimal digit`}},
		{"client-id too long", change(2, strings.Repeat("ff", 256)), []string{`client_id: too many octets in "` + strings.Repeat("ff", 32) + `…"`}},
		{"deletion", change(3, "0"), []string{"cltt 1700003600 valid 0 "}},
		{"infinite", "192.0.2.1,01:02,,4294967295,5994967295,7,0,1,,0,,5", []string{"cltt 1700000000 valid 4294967295"}},
		{"lifetime too large", change(3, "4294967296"), []string{`valid_lifetime: "4294967296" is not a number in range`}},
		{"lifetime negative", change(3, "-1"), []string{`valid_lifetime: "-1" is not a number in range`}},
		{"expire", change(4, "soon"), []string{`expire: "soon" is not a number in range`}},
		{"expire too large", change(4, "9223372036854775808"), []string{`expire: "9223372036854775808" is not`}},
		{"expire before lifetime", change(4, "3599"), []string{"cltt -1 valid 3600"}},
		{"subnet", change(5, ""), []string{`subnet_id: "" is not a number in range`}},
		{"fqdn_fwd", change(6, "true"), []string{`fqdn_fwd: "true" is not 0 or 1`}},
		{"fqdn_rev", change(7, "2"), []string{`fqdn_rev: "2" is not 0 or 1`}},
		{"hostname", change(8, "a&#x2Cb&#x26"), []string{`host "a,b&"`}},
		{"hostname too long", change(8, strings.Repeat("a", 256)), []string{"hostname: has 256 octets, at most 255 can be"}},
		{"hostname long when escaped", change(8, strings.Repeat("&#x2d", 255)), []string{`host "` + strings.Repeat("-", 255) + `"`}},
		{"declined", "192.0.2.1,,,3600,1700003600,7,0,1,,1,,5", []string{"state 1"}},
		{"state", change(9, "4"), []string{`state: "4" is not one of 0 to 3`}},
		{"offered", change(9, "255"), []string{`state: "255" is not`}},
		{"context", change(10, `{ "a": [ 1&#x2c 2 ] }`), []string{`ctx "{ \"a\": [ 1, 2 ] }"`}},
		{"context no map", change(10, `[1]`), []string{`user_context: "[1]" is not a JSON map`}},
		{"context broken", change(10, `{"a":`), []string{`is not a JSON map`}},
		{"pool", change(11, "x"), []string{`pool_id: "x" is not a number in range`}},
		{"long line", change(8, strings.Repeat("a", 300<<10)) + "\n" + row, []string{"hostname: has 307200 octets", good}},
		{"endless line", change(8, strings.Repeat("a", 2<<20)) + "\n" + row, []string{"f.csv:2: line is longer than 1048576 bytes", good}},
		{"endless last line", row + "\n" + strings.Repeat("a", 2<<20), []string{good, "f.csv:3: line is longer than 1048576 bytes"}},
		{"NUL", "\x00\n" + row, []string{"f.csv:2: row has 1 columns, expected 12", good}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := readAll(t, Header4+"\n"+c.file)
			if err != nil {
				t.Fatal(err)
			}
			for i := range max(len(got), len(c.want)) {
				switch {
				case i >= len(got):
					t.Errorf("no row %d, want %q", i, c.want[i])
				case i >= len(c.want):
					t.Errorf("surplus row %q", got[i])
				case !strings.Contains(got[i], c.want[i]):
					t.Errorf("row\n%s\nwant in it\n%s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestReaderSchemas(t *testing.T) {
	const first = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname"
	const nine = "192.0.2.1,01:02,,3600,1700003600,7,0,1,host"
	const good = `192.0.2.1 subnet 7 pool %d cltt 1700000000 valid 3600 state %d fwd false rev true hw 1/0102 cid  host "host" ctx ""`
	for _, c := range []struct{ name, file, want string }{
		{"without state", first + "\n" + nine, fmt.Sprintf(good, 0, 0)},
		{"row longer than header", first + "\n" + nine + ",2,,6", fmt.Sprintf(good, 6, 2)},
		{"row shorter than header", header22 + "\n" + nine, "f.csv:2: row has 9 columns, expected 11"},
		{"of Kea 2.2", header22 + "\n" + nine + ",3,", fmt.Sprintf(good, 0, 3)},
		{"of a newer Kea", Header4 + ",new\n" + nine + ",3,,8,x", fmt.Sprintf(good, 8, 3)},
		{"of a newer Kea, shorter row", Header4 + ",new\n" + nine + ",3,,8", fmt.Sprintf(good, 8, 3)},
	} {
		rows, _, err := readAll(t, c.file+"\n")
		if err != nil || len(rows) != 1 || rows[0] != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, rows, err, c.want)
		}
	}
}

func TestReaderFails(t *testing.T) {
	boom := errors.New("boom")
	in := io.MultiReader(strings.NewReader(Header4+"\n192.0.2.1,01"), iotest.ErrReader(boom))
	r, err := NewReader4(in, "f.csv")
	if err != nil {
		t.Fatal(err)
	}
	var l lease.Lease4
	if err := r.Next(&l); !errors.Is(err, boom) || err.Error() != "read f.csv: boom" {
		t.Errorf("Next: %v", err)
	}
}

// table lists a table's leases, versions left out.
func table(t *lease.Table) map[dhcp4.IPv4]string {
	m := map[dhcp4.IPv4]string{}
	page := make([]lease.Lease4, 64)
	for after := dhcp4.IPv4(0); ; {
		n := t.Page(after, page)
		if n == 0 {
			return m
		}
		for i := range page[:n] {
			m[page[i].Addr] = plain(&page[i])
		}
		after = page[n-1].Addr
	}
}

func TestLoadFileSet(t *testing.T) {
	row := func(last byte, state string) string {
		return fmt.Sprintf("192.0.2.%d,01:02,,3600,1700003600,1,0,0,%s,0,,0\n", last, state)
	}
	gone := func(last byte) string { return fmt.Sprintf("192.0.2.%d,01:02,,0,1700000000,1,0,0,,0,,0\n", last) }
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // last octets and host names
		read  string // suffixes
	}{
		{"plain", map[string]string{"": row(1, "a") + row(2, "b") + row(1, "c")}, "1=c 2=b", "f"},
		{"deletion", map[string]string{"": row(1, "a") + gone(1) + gone(2) + row(3, "x") + gone(3) + row(3, "y")}, "3=y", "f"},
		{"previous and input", map[string]string{".2": row(1, "a") + row(2, "b") + row(3, "c"), ".1": gone(1) + row(2, "bb"), "": row(3, "cc") + row(4, "d")}, "2=bb 3=cc 4=d", "f.2 f.1 f"},
		{"completed hides them", map[string]string{".completed": row(1, "a"), ".2": row(2, "b"), ".1": row(3, "c"), "": row(4, "d")}, "1=a 4=d", "f.completed f"},
		{"output does not count", map[string]string{".output": row(1, "a"), "": row(4, "d")}, "4=d", "f"},
		{"without the file", map[string]string{".2": row(1, "a")}, "1=a", "f.2"},
		{"empty", map[string]string{".2": row(1, "a"), "": ""}, "1=a", "f.2 f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for suffix, text := range c.files {
				if text != "" {
					text = Header4 + "\n" + text
				}
				if err := os.WriteFile(filepath.Join(dir, "f"+suffix), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tab := lease.NewTable(lease.Options{})
			sum, err := Load4(filepath.Join(dir, "f"), tab, LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got, read []string
			for i := range 10 {
				var l lease.Lease4
				if tab.Get(addr(192, 0, 2, byte(i)), &l) {
					got = append(got, fmt.Sprintf("%d=%s", i, l.Host()))
				}
			}
			for _, f := range sum.Files {
				read = append(read, filepath.Base(f))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("leases %s, want %s", s, c.want)
			}
			if s := strings.Join(read, " "); s != c.read {
				t.Errorf("read %s, want %s", s, c.read)
			}
			if sum.Leases != len(got) || sum.RowErrors != 0 {
				t.Errorf("%+v", sum)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	load := func(o LoadOptions) (*Loaded, error) { return Load4(path, lease.NewTable(lease.Options{}), o) }
	if _, err := load(LoadOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without files: %v", err)
	}
	text := Header4 + "\nbad\n192.0.2.1,01:02,,3600,1700003600,1,0,0,,0,,0\nbad,too\nbad\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen []string
	o := LoadOptions{RowError: func(e *RowError) { seen = append(seen, fmt.Sprint(e.Line)) }}
	for limit, want := range map[uint32]string{0: "", 3: "", 2: path + ":5: row has 1 columns, expected 12; this is more than the 2 bad rows that max-row-errors allows"} {
		seen = nil
		o.MaxRowErrors = limit
		sum, err := load(o)
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("limit %d: error %v, want %q", limit, err, want)
		}
		if got := strings.Join(seen, " "); got != "2 4 5" {
			t.Errorf("limit %d: bad lines %s", limit, got)
		}
		if err == nil && (sum.Leases != 1 || sum.RowErrors != 3) {
			t.Errorf("limit %d: %+v", limit, sum)
		}
	}
	// Kea counts each file by itself.
	for _, s := range []string{".1", ".2"} {
		if err := os.WriteFile(path+s, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if sum, err := load(LoadOptions{MaxRowErrors: 3}); err != nil || sum.RowErrors != 9 {
		t.Errorf("three files: %+v, %v", sum, err)
	}
	// A pid file is believed only if the process is a cleanup.
	if err := os.WriteFile(path+".pid", []byte(fmt.Sprintf("%d\n", os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := load(LoadOptions{}); err != nil {
		t.Errorf("pid of another program: %v", err)
	}
}

// TestLoadTwin compares with a map that is filled line by line.
func TestLoadTwin(t *testing.T) {
	r := newRand(t)
	want := map[dhcp4.IPv4]string{}
	file := AppendHeader4(nil)
	for range 3000 {
		l := randomLease(r, addr(10, 0, 0, byte(r.IntN(200))))
		if r.IntN(3) == 0 {
			file = AppendDeletion4(file, l)
			delete(want, l.Addr)
		} else {
			file = AppendRow4(file, l)
			want[l.Addr] = plain(l)
		}
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	tab := lease.NewTable(lease.Options{})
	if _, err := Load4(path, tab, LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, table(tab)); d != "" {
		t.Error(d)
	}
}

func FuzzReader4(f *testing.F) {
	for _, s := range []string{
		"", Header4, Header4 + "\n192.0.2.1,01:02,,3600,1700003600,7,0,1,Host,0,,5\n", header22 + "\r\n1.2.3.4,,ff:00,0,5,7,0,1,&#x2c,1,{},\r\n",
		Header4 + ",x\n\n1.2.3.4,,,4294967295,5994967295,7,0,1,,1,{ \"a\": 1&#x2c \"b\": 2 },1,2,3",
		"address,duid", Header4 + "\n\x00,\xff\n,,,,,,,,,,,\n1.2.3.4,01:02,0x1,1,1,1,1,1,&#x,1,,1",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader4(bytes.NewReader(bytes.Clone(file)), "f")
		if err != nil {
			return
		}
		lines := bytes.Count(file, []byte{'\n'}) + 1
		for rows := 0; ; rows++ {
			var l lease.Lease4
			err := r.Next(&l)
			if errors.Is(err, io.EOF) {
				return
			}
			if r.Line() > lines || rows > lines {
				t.Fatalf("line %d of %d", r.Line(), lines)
			}
			if err != nil {
				continue
			}
			// What can be read can be written, and comes back.
			if !Writable4(&l) {
				t.Fatalf("cannot write %s", plain(&l))
			}
			if l.CLTTUnixS < 0 {
				continue // a file has no dates before 1970
			}
			again, err := NewReader4(bytes.NewReader(AppendRow4(AppendHeader4(nil), &l)), "again")
			if err != nil {
				t.Fatal(err)
			}
			var l2 lease.Lease4
			if err := again.Next(&l2); err != nil {
				t.Fatalf("%s: %v", plain(&l), err)
			}
			if plain(&l) != plain(&l2) {
				t.Fatalf("%s came back as %s", plain(&l), plain(&l2))
			}
		}
	})
}

func BenchmarkReader4(b *testing.B) {
	r := newRand(b)
	const rows = 20000
	file := AppendHeader4(nil)
	for i := range rows {
		l := &lease.Lease4{Addr: dhcp4.IPv4(0x0A000000 + i), SubnetID: 1, CLTTUnixS: 1_700_000_000 + int64(i), ValidLifetimeS: 3600, FQDNFwd: true}
		hw := []byte{2, 0, byte(r.Uint32()), byte(i >> 16), byte(i >> 8), byte(i)}
		l.SetHW(1, hw)
		l.SetCID(append([]byte{1}, hw...))
		l.SetHost([]byte("host-name.example.org"))
		file = AppendRow4(file, l)
	}
	for _, load := range []bool{false, true} {
		b.Run(fmt.Sprintf("table=%v", load), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				var n int
				if load {
					sum := &Loaded{}
					tab := lease.NewTable(lease.Options{})
					if err := sum.load(bytes.NewReader(file), "f", tab, LoadOptions{}); err != nil {
						b.Fatal(err)
					}
					n = tab.Len()
				} else {
					rd, err := NewReader4(bytes.NewReader(file), "f")
					if err != nil {
						b.Fatal(err)
					}
					var l lease.Lease4
					for rd.Next(&l) == nil {
						n++
					}
				}
				if n != rows {
					b.Fatalf("%d rows", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
