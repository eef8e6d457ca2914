package hoststore

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/leasestore/leasestoretest"
)

const dir = "dir"

func open(t testing.TB, fs *leasestoretest.FS) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(s *Store) map[uint64]string {
	m := map[uint64]string{}
	s.Each(func(id uint64, text string) { m[id] = text })
	return m
}

func TestStoreKeepsWhatItWasTold(t *testing.T) {
	fs := leasestoretest.New()
	if err := fs.MakeDir(dir); err != nil {
		t.Fatal(err)
	}
	s := open(t, fs)
	if names, _ := fs.List(dir); len(names) != 0 {
		t.Errorf("files before the first change: %v", names)
	}
	a, err := s.Add("a")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.Add("b")
	if err := s.Put(a, "A"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Put(b, "x"), s.Delete(b)); !errors.Is(err, ErrNotFound) {
		t.Errorf("change of what is gone: %v", err)
	}
	if _, err := s.Add(strings.Repeat("x", MaxText+1)); err == nil {
		t.Error("a text too long was taken")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs)
	if got, want := content(s), map[uint64]string{a: "A"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c, err := s.Add("c"); err != nil || c <= b {
		t.Errorf("number %d (%v) was given again after %d", c, err, b)
	}
	if names, _ := fs.List(dir); len(names) != 1 {
		t.Errorf("files left: %v", names)
	}
}

// script makes random changes and returns what was promised; pending is the
// change that got an error, in which case the store may have either.
func script(s *Store, model map[uint64]string, r *rand.Rand, n int) (pending func(map[uint64]string)) {
	for range n {
		ids := make([]uint64, 0, len(model))
		for id := range model {
			ids = append(ids, id)
		}
		text := fmt.Sprint("host ", r.Uint64(), strings.Repeat("x", r.IntN(2000)))
		switch op := r.IntN(4); {
		case op < 2 || len(ids) == 0:
			id, err := s.Add(text)
			if err != nil {
				return func(m map[uint64]string) { m[id] = text }
			}
			model[id] = text
		case op == 2:
			id := ids[r.IntN(len(ids))]
			if s.Put(id, text) != nil {
				return func(m map[uint64]string) { m[id] = text }
			}
			model[id] = text
		default:
			id := ids[r.IntN(len(ids))]
			if s.Delete(id) != nil {
				return func(m map[uint64]string) { delete(m, id) }
			}
			delete(model, id)
		}
	}
	return nil
}

// TestPowerCuts cuts the power before every operation on the file system and
// looks at what each kind of crash leaves.
func TestPowerCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for cut := 1; ; cut++ {
		r := rand.New(rand.NewPCG(seed, uint64(cut)))
		fs := leasestoretest.New()
		if err := fs.MakeDir(dir); err != nil {
			t.Fatal(err)
		}
		model := map[uint64]string{}
		script(open(t, fs), model, r, 10)
		fs = fs.Crash(leasestoretest.KeepAll, r) // so that there is something to load and to rewrite
		s := open(t, fs)
		fs.CutAt(fs.Ops() + cut)
		pending := script(s, model, r, 10)
		if !fs.Dead() {
			return
		}
		for _, mode := range []leasestoretest.Mode{leasestoretest.LoseAll, leasestoretest.KeepAll, leasestoretest.KeepSome} {
			after := open(t, fs.Crash(mode, r))
			got := content(after)
			with := maps.Clone(model)
			if pending != nil {
				pending(with)
			}
			if !maps.Equal(got, model) && !maps.Equal(got, with) {
				t.Fatalf("cut %d, %v: %d hosts, promised %d (with the last change %d)", cut, mode, len(got), len(model), len(with))
			}
			if _, err := after.Add("after"); err != nil {
				t.Fatalf("cut %d, %v: the store cannot be written again: %v", cut, mode, err)
			}
		}
	}
}

// TestFailedWritesAreForgotten: what was answered with an error is not there as
// soon as something else succeeds.
func TestFailedWritesAreForgotten(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for at := 1; at < 30; at++ {
		for _, done := range []bool{false, true} {
			fs := leasestoretest.New()
			if err := fs.MakeDir(dir); err != nil {
				t.Fatal(err)
			}
			s := open(t, fs)
			model := map[uint64]string{}
			fs.SetInject(func(n int, _ leasestoretest.Op, _ string) leasestoretest.Fault {
				if n >= at && n < at+1+at%3 {
					return leasestoretest.Fault{Err: errors.New("disk on fire"), Done: done}
				}
				return leasestoretest.Fault{}
			})
			for range 30 {
				script(s, model, r, 1)
			}
			fs.SetInject(nil)
			id, err := s.Add("last")
			if err != nil {
				t.Fatal(err)
			}
			model[id] = "last"
			if got := content(open(t, fs.Crash(leasestoretest.LoseAll, r))); !maps.Equal(got, model) {
				t.Fatalf("fault at %d: got %d hosts, want %d", at, len(got), len(model))
			}
		}
	}
}

// TestDamage: a byte that is wrong in the last record may be a torn tail, before
// it the store refuses to open and says where.
func TestDamage(t *testing.T) {
	var b []byte
	var ends []int
	for i := range 5 {
		b = encode(b, opPut, uint64(i+1), strings.Repeat("x", i*3))
		ends = append(ends, len(b))
	}
	for at := range b {
		fs := leasestoretest.New()
		if err := fs.MakeDir(dir); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(dir + "/00000001.hosts")
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), b...)
		bad[at] ^= 0x10
		if _, err := f.WriteAt(bad, 0); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Options{Dir: dir, FS: fs})
		switch {
		case at >= ends[3]:
			if err != nil || s.Len() != 4 || s.TornBytes == 0 {
				t.Errorf("byte %d of the last record: %v", at, err)
			}
		case err == nil:
			t.Errorf("byte %d is wrong and nobody minds", at)
		case !strings.Contains(err.Error(), "00000001.hosts: the record at offset "):
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(nil, opPut, 7, "text"))
	f.Add(encode(encode(nil, opPut, 7, ""), opDelete, 7, ""))
	f.Add([]byte("HOST"))
	f.Fuzz(func(t *testing.T, b []byte) {
		op, id, text, n := decode(b)
		if n > 0 && string(encode(nil, op, id, string(text))) != string(b[:n]) {
			t.Errorf("%x is not what is written", b[:n])
		}
		followed(b)
	})
}
