package slowpath

import (
	"context"
	"encoding/json"
	"errors"
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

// leaseStats are the statistics that the allocator counts, under Kea's names
// (ST-015, ST-016): a stat.Source.
func (s *Server) leaseStats(yield func(stat.Key, stat.Value)) {
	if s.engine == nil {
		return // the server is being built
	}
	var all [stat.DeclinedAddresses + 1]uint64
	a := s.Alloc()
	all[stat.CumulativeAssignedAddresses] = a.GoneCumulative()
	a.EachSubnet(func(x *alloc.SubnetStats) {
		put := func(k stat.Kind, v uint64) {
			yield(stat.Key{Kind: k, Scope: stat.OfSubnet, Subnet: x.SubnetID}, stat.Of(v))
			all[k] += v
		}
		put(stat.TotalAddresses, x.Total)
		put(stat.AssignedAddresses, x.Assigned)
		put(stat.CumulativeAssignedAddresses, x.Cumulative)
		put(stat.DeclinedAddresses, x.Declined)
	})
	// Pools of one subnet with the same id share their statistics (V4-060).
	type key struct{ subnet, pool uint32 }
	sums := map[key]alloc.PoolStats{}
	a.EachPool(func(x *alloc.PoolStats) {
		k := key{x.SubnetID, x.PoolID}
		y := sums[k]
		y.Total += x.Total
		y.Assigned += x.Assigned
		y.Declined += x.Declined
		y.Cumulative += x.Cumulative
		sums[k] = y
	})
	for k, x := range sums {
		put := func(kind stat.Kind, v uint64) {
			yield(stat.Key{Kind: kind, Scope: stat.OfPool, Subnet: k.subnet, Pool: k.pool}, stat.Of(v))
		}
		put(stat.TotalAddresses, x.Total)
		put(stat.AssignedAddresses, x.Assigned)
		put(stat.CumulativeAssignedAddresses, x.Cumulative)
		put(stat.DeclinedAddresses, x.Declined)
	}
	s.subnets.each(yield)
	for _, k := range []stat.Kind{stat.AssignedAddresses, stat.CumulativeAssignedAddresses, stat.DeclinedAddresses} {
		yield(stat.Key{Kind: k}, stat.Of(all[k]))
	}
}

// registerStatisticCommands registers the statistic-* commands of a registry
// (CM-030 and after).
func registerStatisticCommands(r *stat.Registry, add func(control.Command)) {
	now := time.Now
	read := func(name string, f func(args json.RawMessage) control.Response) {
		add(control.Command{Name: name, Run: func(_ context.Context, c *control.Call) control.Response { return f(c.Arguments) }})
	}
	change := func(name string, f func(args json.RawMessage) control.Response) {
		add(control.Command{Name: name, Mutates: true, Run: func(_ context.Context, c *control.Call) control.Response { return f(c.Arguments) }})
	}
	// one is a command that changes the statistic it names.
	one := func(name, done string, f func(a *statArgs) (bool, error)) {
		change(name, func(args json.RawMessage) control.Response {
			var a statArgs
			if err := a.read(args); err != nil {
				return fail("%v", err)
			}
			found, err := f(&a)
			switch {
			case err != nil:
				return fail("%v", err)
			case !found:
				return fail("No '%s' statistic found", *a.Name)
			}
			return ok(fmt.Sprintf("Statistic '%s' %s", *a.Name, done), nil)
		})
	}
	all := func(global bool) func(json.RawMessage) control.Response {
		return func(args json.RawMessage) control.Response {
			if err := decode(args, &struct{}{}); err != nil {
				return fail("%v", err)
			}
			m := map[string][][2]any{}
			r.Each(now(), global, func(name string, ss []stat.Sample) { m[name] = sampleList(ss) })
			return ok("", m)
		}
	}
	read("statistic-get-all", all(false))
	read("statistic-global-get-all", all(true))
	read("statistic-get", func(args json.RawMessage) control.Response {
		var a statArgs
		if err := a.read(args); err != nil {
			return fail("%v", err)
		}
		m := map[string][][2]any{} // an unknown name is an empty answer (WR-37)
		if ss := r.Samples(*a.Name, now()); ss != nil {
			m[*a.Name] = sampleList(ss)
		}
		return ok("", m)
	})
	one("statistic-reset", "reset.", func(a *statArgs) (bool, error) { return r.Reset(*a.Name, now()), nil })
	one("statistic-remove", "removed.", func(a *statArgs) (bool, error) { return r.Remove(*a.Name, now()), nil })
	one("statistic-sample-age-set", "duration limit is set.", func(a *statArgs) (bool, error) {
		age, err := a.age()
		return err == nil && r.SetMaxAge(*a.Name, age, now()), err
	})
	one("statistic-sample-count-set", "count limit is set.", func(a *statArgs) (bool, error) {
		n, err := a.count()
		return err == nil && r.SetMaxCount(*a.Name, n, now()), err
	})
	change("statistic-reset-all", func(args json.RawMessage) control.Response {
		if err := decode(args, &struct{}{}); err != nil {
			return fail("%v", err)
		}
		r.ResetAll(now())
		return ok("All statistics reset to neutral values.", nil)
	})
	change("statistic-remove-all", func(args json.RawMessage) control.Response {
		if err := decode(args, &struct{}{}); err != nil {
			return fail("%v", err)
		}
		r.RemoveAll(now())
		return ok("Warning: statistic-remove-all command is deprecated. All statistics removed.", nil)
	})
	change("statistic-sample-age-set-all", func(args json.RawMessage) control.Response {
		var a statArgs
		err := decode(args, &a)
		age := time.Duration(0)
		if err == nil {
			age, err = a.age()
		}
		if err != nil {
			return fail("%v", err)
		}
		r.SetMaxAgeAll(age, now())
		return ok("All statistics duration limit are set.", nil)
	})
	change("statistic-sample-count-set-all", func(args json.RawMessage) control.Response {
		var a statArgs
		err := decode(args, &a)
		n := 0
		if err == nil {
			n, err = a.count()
		}
		if err != nil {
			return fail("%v", err)
		}
		r.SetMaxCountAll(n, now())
		return ok("All statistics count limit are set.", nil)
	})
}

// hookStatistics are a family's statistics for hook libraries.
type hookStatistics struct{ f *family }

// Set implements hooks.Stats.
func (h hookStatistics) Set(name string, v int64) bool { return h.f.stats.Set(name, v, time.Now()) }

// statArgs are the arguments of the statistic commands.
type statArgs struct {
	Name       *string `json:"name"`
	DurationS  *int64  `json:"duration"`
	MaxSamples *int64  `json:"max-samples"`
}

func (a *statArgs) read(args json.RawMessage) error {
	if err := decode(args, a); err != nil {
		return err
	}
	if a.Name == nil {
		return errors.New("Missing mandatory 'name' parameter.")
	}
	return nil
}

// maxSampleAgeS keeps a duration in seconds within time.Duration.
const maxSampleAgeS = 100 * 366 * 86400

func (a *statArgs) age() (time.Duration, error) {
	switch {
	case a.DurationS == nil:
		return 0, errors.New("Missing mandatory 'duration' parameter.")
	case *a.DurationS < 0 || *a.DurationS > maxSampleAgeS:
		return 0, fmt.Errorf("'duration' must be between 0 and %d seconds", maxSampleAgeS)
	}
	return time.Duration(*a.DurationS) * time.Second, nil
}

func (a *statArgs) count() (int, error) {
	switch {
	case a.MaxSamples == nil:
		return 0, errors.New("Missing mandatory 'max-samples' parameter.")
	case *a.MaxSamples == 0:
		return 0, errors.New("'max-samples' parameter must not be zero")
	case *a.MaxSamples < 0 || *a.MaxSamples > stat.MaxSamples:
		return 0, fmt.Errorf("'max-samples' must be between 1 and %d", stat.MaxSamples)
	}
	return int(*a.MaxSamples), nil
}
