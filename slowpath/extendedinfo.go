package slowpath

import (
	"fmt"
	"log/slog"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// checkExtendedInfo4 applies sanity-checks.extended-info-checks to what leases keep
// of their relays (Kea's upgradeLease4ExtendedInfo).
func checkExtendedInfo4(table *lease.Table, mode string, log *slog.Logger, t *taker) error {
	if mode == lease.ExtendedInfoNone {
		return nil
	}
	all := true // nearly always, which is seen faster than in pages
	table.Walk(func(l *lease.Lease4) bool {
		fixed, err := lease.CheckExtendedInfo4(l.UserContext, mode)
		all = err == nil && fixed == l.UserContext
		return all
	})
	if all {
		return nil
	}
	seen, changed, failed := 0, 0, 0
	page := make([]lease.Lease4, pageSize)
	for n := table.Page(0, page); n > 0; n = table.Page(page[n-1].Addr, page) {
		for i := range page[:n] {
			l := &page[i]
			seen++
			fixed, err := lease.CheckExtendedInfo4(l.UserContext, mode)
			if err == nil && fixed == l.UserContext {
				continue
			}
			if err != nil {
				if failed++; failed <= maxSanityLogged {
					log.Error(fmt.Sprintf("DHCPSRV_LEASE4_EXTENDED_INFO_SANITY_FAIL extended info for lease %v failed checks (%v)", l.Addr, err))
				}
			} else if changed-failed < maxSanityLogged {
				log.Debug(fmt.Sprintf("DHCPSRV_LEASE4_EXTENDED_INFO_UPGRADED extended info for lease %v was upgraded", l.Addr))
			}
			changed++
			l.UserContext = fixed
			if err := t.put(func() (lease.Commit, error) { return table.Put(l, l.Version, t.w) }); err != nil {
				return fmt.Errorf("check extended info of lease %v: %w", l.Addr, err)
			}
		}
	}
	log.Info(fmt.Sprintf("DHCPSRV_MEMFILE_EXTRACT_EXTENDED_INFO4 extracting extended info saw %d leases, extended info sanity checks modified %d leases, of which %d failed them", seen, changed, failed))
	return nil
}
