package slowpath

import (
	"context"
	"encoding/json"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// pageSize is how many leases are copied at a time; service goes on between.
const pageSize = 256

// leasesReclaim reclaims everything that is due, at once (LS-021).
func (f *family) leasesReclaim(ctx context.Context, args json.RawMessage) control.Response {
	var a struct {
		Remove *bool `json:"remove"`
	}
	if err := decode(args, &a); err != nil {
		return fail("%v", err)
	}
	if a.Remove == nil {
		return fail("Missing mandatory 'remove' parameter.")
	}
	s := f.s
	c := &s.commandJournal
	c.Lock()
	defer c.Unlock()
	stop := func() bool { return ctx.Err() != nil }
	if f.v == stat.V6 {
		s.six.commandJournal.e.Begin()
		s.six.commandJournal.e.Reclaim(time.Now().Unix(), 0, *a.Remove, stop)
		s.six.publishReclaimed()
	} else {
		c.e.Begin()
		c.e.Reclaim(time.Now().Unix(), 0, *a.Remove, stop)
		s.publishReclaimed()
	}
	if c.w != nil {
		c.w.Kick()
	}
	return ok("Reclamation of expired leases is complete.", nil)
}
