package leasestore

import (
	"testing"
	"time"
)

func TestPaceWaitsOnlyWhereItGathers(t *testing.T) {
	const gather = 400 * time.Microsecond
	now := time.Unix(1000, 0)
	run := func(every time.Duration, records, commits int) *pace {
		p := &pace{gather: gather}
		for range commits {
			now = now.Add(every)
			p.began(now, records)
		}
		return p
	}
	if d := run(50*time.Microsecond, 1, 50).wait(now); d == 0 || d > gather {
		t.Errorf("20,000 commits of one record a second: waits %v, want up to %v", d, gather)
	}
	if d := run(2*time.Millisecond, 1, 50).wait(now); d != 0 {
		t.Errorf("500 records a second: waits %v, want none", d)
	}
	p := run(100*time.Microsecond, 8, 50)
	if d := p.wait(now.Add(gather)); d != 0 {
		t.Errorf("after %v since the last commit it waits %v more", gather, d)
	}
	// After a pause the first record goes at once, whatever was before.
	if d := p.wait(now.Add(time.Second)); d != 0 {
		t.Errorf("after a pause it waits %v", d)
	}
	for range 20 {
		now = now.Add(time.Second)
		p.began(now, 1)
	}
	if d := p.wait(now); d != 0 {
		t.Errorf("after a burst has ended it still waits %v", d)
	}
	if d := (&pace{perNs: 1}).wait(now); d != 0 {
		t.Errorf("without Gather it waits %v", d)
	}
}

func TestWaitingAllocatesNothing(t *testing.T) {
	var p pace
	if n := testing.AllocsPerRun(20, func() { p.sleep(time.Microsecond) }); n != 0 {
		t.Errorf("a wait allocates %v times", n)
	}
}
