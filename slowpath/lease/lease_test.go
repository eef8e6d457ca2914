package lease

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestCopyFrom: all that counts is copied, whatever was there before.
func TestCopyFrom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var a, b Lease4
	fill := func(l *Lease4) {
		v := reflect.ValueOf(l).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.Array:
				for j := range f.Len() {
					f.Index(j).SetUint(uint64(rnd.IntN(256)))
				}
			case reflect.Bool:
				f.SetBool(rnd.IntN(2) == 1)
			case reflect.String:
				f.SetString([]string{"", "{}", `{"a":1}`}[rnd.IntN(3)])
			case reflect.Int64:
				f.SetInt(rnd.Int64())
			case reflect.Uint8, reflect.Uint32, reflect.Uint64:
				f.SetUint(rnd.Uint64() & (1<<f.Type().Bits() - 1))
			default:
				t.Fatalf("field of kind %v", f.Kind())
			}
		}
		l.HWLen %= MaxHWAddrLen + 1
	}
	for range 200 {
		fill(&a)
		fill(&b)
		b.CopyFrom(&a)
		if string(a.HW()) != string(b.HW()) || string(a.CID()) != string(b.CID()) || string(a.Host()) != string(b.Host()) {
			t.Fatalf("%+v copied as %+v", a, b)
		}
		b.HWAddr, b.ClientID, b.Hostname = a.HWAddr, a.ClientID, a.Hostname
		if a != b {
			t.Fatalf("%+v copied as %+v", a, b)
		}
		a.CopyFrom(&a)
		if a != b {
			t.Fatal("copied onto itself it is another")
		}
	}
}
