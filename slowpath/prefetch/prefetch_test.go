package prefetch

import "testing"

// Whatever the arguments, nothing is read that could fault, and nothing changes.
func TestHarmless(t *testing.T) {
	Bytes(nil)
	b := make([]byte, 8192)
	for i := range 200 {
		Bytes(b[i : i+i*20])
		Bytes(b[i:i])
	}
	for _, x := range b {
		if x != 0 {
			t.Fatal("memory has changed")
		}
	}
}

func TestNoAllocation(t *testing.T) {
	b := make([]byte, 300)
	if a := testing.AllocsPerRun(100, func() { Bytes(b) }); a != 0 {
		t.Errorf("%v allocations, want 0", a)
	}
}
