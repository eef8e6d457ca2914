package lease

// ReclaimCounts are what a reclaimer has done since it was made.
type ReclaimCounts struct {
	Leases   uint64 // reclaimed-leases: expired, released, registered and declined ones
	Declined uint64 // reclaimed-declined-addresses, also counted in Leases
	Removed  uint64 // records deleted after their hold time
	Offers   uint64 // offers nobody took
	Skipped  uint64 // left alone because a callout said so
	Stopped  uint64 // runs that ended early because the journal took no records
}

// Reclaimer is what ReclaimDue works on; D is a Due of one family.
type Reclaimer[D any] interface {
	// FillDue finds what is due, see Table.Due.
	FillDue(out []D) int
	// ReclaimOne handles one of them and reports whether its record was changed
	// and whether it was an offer; ok is false if the journal takes no records
	// now.
	ReclaimOne(d *D) (changed, offer, ok bool)
}

// ReclaimDue handles what is due, as much as fits batch at a time: up to max
// leases (0: all), with all up to max records, offers included, which otherwise
// go on the way. It stops early when stop (which may be nil) reports true between
// two, and when the journal takes no records; what is left stays due. It returns
// how many leases and offers it has handled.
func ReclaimDue[D any, R Reclaimer[D]](r R, batch []D, max int, all bool, stop func() bool) (leases, offers int) {
	for {
		part := batch
		if max > 0 {
			counted := leases
			if all {
				counted += offers
			}
			if counted >= max {
				return leases, offers
			}
			part = batch[:min(len(batch), max-counted)]
		}
		progress := 0
		n := r.FillDue(part)
		for i := range part[:n] {
			changed, offer, ok := r.ReclaimOne(&part[i])
			if !ok {
				return leases, offers
			}
			if changed {
				progress++
			}
			if offer {
				offers++
			} else {
				leases++
			}
			if stop != nil && stop() {
				return leases, offers
			}
		}
		// A round that changed nothing is the last: records that callouts keep
		// are due again and again.
		if progress == 0 {
			return leases, offers
		}
	}
}
