package leasestore

import "time"

// gatherRecords is how many records a wait must promise to be worth it.
const gatherRecords = 4

// pace decides how long a commit waits for company. It belongs to the
// committer.
type pace struct {
	gather time.Duration
	last   time.Time // beginning of the last commit
	perNs  float64   // records per nanosecond, smoothed
	sleeper
}

// began notes a commit.
func (p *pace) began(now time.Time, records int) {
	if d := now.Sub(p.last); d > 0 && !p.last.IsZero() {
		// A pause counts as such: the rate of a burst is not that of the next.
		p.perNs += (float64(records)/float64(d) - p.perNs) / 4
	}
	p.last = now
}

// wait is how long to wait at now before the next commit.
func (p *pace) wait(now time.Time) time.Duration {
	if p.gather <= 0 || p.perNs*float64(p.gather) < gatherRecords {
		return 0
	}
	d := p.last.Add(p.gather).Sub(now)
	if d < p.gather/16 {
		return 0 // less than the sleep itself costs
	}
	return min(d, p.gather)
}

// gather waits if that pays.
func (s *Store) gather() {
	if s.pace.gather <= 0 {
		return
	}
	if d := s.pace.wait(time.Now()); d > 0 {
		s.pace.sleep(d)
	}
}
