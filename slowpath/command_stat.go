package slowpath

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/stat"
)

// sampleTime is how Kea prints a sample's time: local, without a zone (ST-001).
const sampleTime = "2006-01-02 15:04:05.000000"

func sampleList(ss []stat.Sample) [][2]any {
	out := make([][2]any, len(ss))
	for i, x := range ss {
		out[i] = [2]any{x.Value, x.At.Local().Format(sampleTime)}
	}
	return out
}

func one(v uint64, at time.Time) [][2]any { return [][2]any{{v, at.Local().Format(sampleTime)}} }

// leaseStats are the statistics that the allocator counts, under Kea's names
// (ST-015, ST-016).
func (s *Server) leaseStats(now time.Time, f func(name string, value [][2]any)) {
	var assigned, declined, cumulative uint64
	a := s.Alloc()
	a.EachSubnet(func(x *alloc.SubnetStats) {
		p := fmt.Sprintf("subnet[%d].", x.SubnetID)
		f(p+"total-addresses", one(x.Total, now))
		f(p+"assigned-addresses", one(x.Assigned, now))
		f(p+"declined-addresses", one(x.Declined, now))
		f(p+"cumulative-assigned-addresses", one(x.Cumulative, now))
		assigned += x.Assigned
		declined += x.Declined
		cumulative += x.Cumulative
	})
	// Pools of one subnet with the same id share their statistics (V4-060).
	type key struct{ subnet, pool uint32 }
	sums := map[key]alloc.PoolStats{}
	var order []key
	a.EachPool(func(x *alloc.PoolStats) {
		k := key{x.SubnetID, x.PoolID}
		y, had := sums[k]
		if !had {
			order = append(order, k)
		}
		y.Total += x.Total
		y.Assigned += x.Assigned
		y.Declined += x.Declined
		sums[k] = y
	})
	for _, k := range order {
		p := fmt.Sprintf("subnet[%d].pool[%d].", k.subnet, k.pool)
		f(p+"total-addresses", one(sums[k].Total, now))
		f(p+"assigned-addresses", one(sums[k].Assigned, now))
		f(p+"declined-addresses", one(sums[k].Declined, now))
	}
	f("assigned-addresses", one(assigned, now))
	f("declined-addresses", one(declined, now))
	f("cumulative-assigned-addresses", one(cumulative, now))
}

// allStatistics collects every statistic.
func (s *Server) allStatistics(now time.Time) map[string][][2]any {
	m := map[string][][2]any{}
	for c := range stat.NumCounters {
		m[stat.Counter(c).String()] = sampleList(s.stats.Samples(stat.Counter(c), now))
	}
	s.leaseStats(now, func(name string, v [][2]any) { m[name] = v })
	return m
}

type nameArgs struct {
	Name *string `json:"name"`
}

func (a *nameArgs) read(args json.RawMessage) error {
	if err := decode(args, a); err != nil {
		return err
	}
	if a.Name == nil || *a.Name == "" {
		return fmt.Errorf("missing mandatory argument 'name'")
	}
	return nil
}

func (s *Server) statisticGet(args json.RawMessage) control.Response {
	var a nameArgs
	if err := a.read(args); err != nil {
		return fail("%v", err)
	}
	now := time.Now()
	if c, found := stat.ByName(*a.Name); found {
		return ok("", map[string]any{*a.Name: sampleList(s.stats.Samples(c, now))})
	}
	res := map[string]any{} // an unknown name is an empty answer (WR-37)
	s.leaseStats(now, func(name string, v [][2]any) {
		if name == *a.Name {
			res[name] = v
		}
	})
	return ok("", res)
}

func (s *Server) statisticGetAll(json.RawMessage) control.Response {
	return ok("", s.allStatistics(time.Now()))
}

func (s *Server) statisticReset(_ context.Context, args json.RawMessage) control.Response {
	var a nameArgs
	if err := a.read(args); err != nil {
		return fail("%v", err)
	}
	if c, found := stat.ByName(*a.Name); found {
		s.stats.Reset(c, time.Now())
		return ok(fmt.Sprintf("Statistic '%s' reset.", *a.Name), nil)
	}
	if _, found := s.allStatistics(time.Now())[*a.Name]; found {
		return fail("statistic '%s' counts leases that exist and cannot be reset", *a.Name)
	}
	return fail("No '%s' statistic found", *a.Name)
}

func (s *Server) statisticResetAll(context.Context, json.RawMessage) control.Response {
	now := time.Now()
	for c := range stat.NumCounters {
		s.stats.Reset(stat.Counter(c), now)
	}
	return ok("All statistics reset to neutral values.", nil)
}
