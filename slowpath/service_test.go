package slowpath

import (
	"testing"
	"testing/synctest"
	"time"
)

// dhcp-disable with max-period ends by itself, for its origin alone; a later one
// of the same origin takes its place, and so does one without a period
// (CM-014, DB-003).
func TestDisabledForAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s service
		at := func(when string, want bool) {
			t.Helper()
			synctest.Wait()
			if got := s.disabled.Load(); got != want {
				t.Errorf("%s: disabled %v, want %v", when, got, want)
			}
			if st := s.state(); st.GloballyDisabled != want {
				t.Errorf("%s: status-get says %+v", when, st)
			}
		}
		s.disable(OriginUser, 20*time.Second)
		time.Sleep(19 * time.Second)
		at("a second before the end", true)
		s.disable(OriginHARemote, 10*time.Second)
		time.Sleep(2 * time.Second)
		at("a second behind the user's end, the partner's goes on", true)
		if st := s.state(); st.DisabledByUser || len(st.DisabledByRemote) != 1 {
			t.Errorf("status-get says %+v", st)
		}
		s.enable(OriginHARemote)
		at("enabled", false)

		s.disable(OriginUser, 5*time.Second)
		time.Sleep(4 * time.Second)
		s.disable(OriginUser, 5*time.Second)
		time.Sleep(4 * time.Second)
		at("the second period goes on where the first has ended", true)
		time.Sleep(2 * time.Second)
		at("behind the second", false)

		s.disable(OriginUser, time.Second)
		s.disable(OriginUser, 0)
		time.Sleep(time.Hour)
		at("without a period it does not end", true)
		s.reset()
		at("a new configuration takes the user's away", false)
	})
}

// So many origins, and not more, are remembered.
func TestOriginsAreLimited(t *testing.T) {
	var s service
	for i := range maxOrigins {
		if !s.disable(i+1, 0) {
			t.Fatalf("origin %d is refused", i+1)
		}
	}
	if s.disable(maxOrigins+1, 0) {
		t.Error("one more is remembered")
	}
	if !s.disable(7, 0) {
		t.Error("one that is there is refused")
	}
}
