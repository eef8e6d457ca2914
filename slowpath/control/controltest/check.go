package controltest

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"sort"
	"strings"
)

// Lease is what the checks look at.
type Lease struct {
	Addr     string `json:"ip-address"`
	Subnet   int    `json:"subnet-id"`
	State    int    `json:"state"`
	HWAddr   string `json:"hw-address"`
	ClientID string `json:"client-id"`
	DUID     string `json:"duid"`
	IAID     int64  `json:"iaid"`
	Type     string `json:"type"`
	Len      int    `json:"prefix-len"`
	Hostname string `json:"hostname"`
}

// Leases are all leases, by lease4-get-all or lease6-get-all.
func Leases(do Do, family int) ([]Lease, error) {
	return leases(do, fmt.Sprintf("lease%d-get-all", family), nil)
}

func leases(do Do, command string, args any) ([]Lease, error) {
	var x struct{ Leases []Lease }
	err := read(do, command, args, &x)
	return x.Leases, err
}

// read runs a command that gives something or finds nothing.
func read(do Do, command string, args any, into any) error {
	result, text, raw, err := do(command, args)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", command, err)
	case result == 3:
		return nil
	case result != 0:
		return fmt.Errorf("%s: result %d: %s", command, result, text)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w in %.300s", command, err, raw)
	}
	return nil
}

type pool struct {
	ID     int    `json:"pool-id"`
	Pool   string `json:"pool"`
	Prefix string `json:"prefix"`
	Len    int    `json:"prefix-len"`
}

type subnet struct {
	ID      int
	Pools   []pool
	PDPools []pool `json:"pd-pools"`
}

type configuration struct {
	Subnet4, Subnet6 []subnet
	Networks         []struct{ Subnet4, Subnet6 []subnet } `json:"shared-networks"`
}

func (p *pool) holds(a netip.Addr) bool {
	text := p.Pool
	if p.Prefix != "" {
		text = fmt.Sprintf("%s/%d", p.Prefix, p.Len)
	}
	if from, to, ok := strings.Cut(text, "-"); ok {
		lo, err1 := netip.ParseAddr(strings.TrimSpace(from))
		hi, err2 := netip.ParseAddr(strings.TrimSpace(to))
		return err1 == nil && err2 == nil && lo.Compare(a) <= 0 && a.Compare(hi) <= 0
	}
	x, err := netip.ParsePrefix(strings.ReplaceAll(text, " ", ""))
	return err == nil && x.Contains(a)
}

// recount are the statistics that the leases make.
func recount(family int, c *configuration, all []Lease) map[string]uint64 {
	want := map[string]uint64{}
	subnets := append(c.Subnet4, c.Subnet6...)
	for _, n := range c.Networks {
		subnets = append(append(subnets, n.Subnet4...), n.Subnet6...)
	}
	na := map[int]string{4: "assigned-addresses", 6: "assigned-nas"}[family]
	for _, s := range subnets {
		at := fmt.Sprintf("subnet[%d].", s.ID)
		want[at+na], want[at+"declined-addresses"] = 0, 0
		for _, p := range s.Pools {
			want[fmt.Sprintf("%spool[%d].%s", at, p.ID, na)] = 0
		}
		if family == 6 {
			want[at+"assigned-pds"] = 0
		}
		for _, p := range s.PDPools {
			want[fmt.Sprintf("%spd-pool[%d].assigned-pds", at, p.ID)] = 0
		}
		for i := range all {
			l := &all[i]
			if l.Subnet != s.ID || l.State > 1 {
				continue
			}
			stat, pools, kind := na, s.Pools, "pool"
			if l.Type == "IA_PD" {
				stat, pools, kind = "assigned-pds", s.PDPools, "pd-pool"
			}
			want[at+stat]++
			if l.State == 1 {
				want[at+"declined-addresses"]++
			}
			a, err := netip.ParseAddr(l.Addr)
			if err != nil {
				continue
			}
			for j := range pools {
				if pools[j].holds(a) {
					want[fmt.Sprintf("%s%s[%d].%s", at, kind, pools[j].ID, stat)]++
					break
				}
			}
		}
	}
	return want
}

// Statistics compares the statistics of subnets and pools with what the leases
// say, and returns what is different. Leases must not change meanwhile.
func Statistics(do Do, family int) (wrong []string, err error) {
	all, err := Leases(do, family)
	if err != nil {
		return nil, err
	}
	var c map[string]json.RawMessage
	if err := read(do, "config-get", nil, &c); err != nil {
		return nil, err
	}
	var conf configuration
	if err := json.Unmarshal(c[fmt.Sprintf("Dhcp%d", family)], &conf); err != nil {
		return nil, err
	}
	var stats map[string][][]any
	if err := read(do, "statistic-get-all", nil, &stats); err != nil {
		return nil, err
	}
	want := recount(family, &conf, all)
	for name, n := range want {
		v := stats[name]
		if len(v) == 0 {
			wrong = append(wrong, fmt.Sprintf("%s is not there, want %d", name, n))
			continue
		}
		if got, _ := new(big.Float).SetString(fmt.Sprint(v[0][0])); got == nil || got.Cmp(new(big.Float).SetUint64(n)) != 0 {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %d", name, v[0][0], n))
		}
	}
	sort.Strings(wrong)
	return wrong, nil
}

// Indexes compares what the look-ups by page, identifier, name, state and address
// find with what goes through all leases, and returns what is different. Leases
// must not change meanwhile; limit is how many values of each kind are looked up.
func Indexes(do Do, family, limit int) (wrong []string, err error) {
	all, err := Leases(do, family)
	if err != nil {
		return nil, err
	}
	show := func(l []Lease) string {
		s := make([]string, len(l))
		for i := range l {
			s[i] = fmt.Sprintf("%s/%d", l[i].Addr, l[i].Len)
		}
		sort.Strings(s)
		return strings.Join(s, " ")
	}
	compare := func(command string, args any, want []Lease) error {
		got, err := leases(do, command, args)
		if err == nil && show(got) != show(want) {
			wrong = append(wrong, fmt.Sprintf("%s %v finds %.300s, want %.300s", command, args, show(got), show(want)))
		}
		return err
	}
	var pages []Lease
	for from := "start"; ; {
		got, err := leases(do, fmt.Sprintf("lease%d-get-page", family), object{"from": from, "limit": 97})
		if err != nil {
			return nil, err
		}
		if len(got) == 0 {
			break
		}
		pages = append(pages, got...)
		from = got[len(got)-1].Addr
	}
	if show(pages) != show(all) {
		wrong = append(wrong, fmt.Sprintf("%d leases by page, %d together", len(pages), len(all)))
	}
	for _, by := range []struct {
		command, key string
		of           func(l *Lease) string
		four, six    bool
	}{
		{"lease%d-get-by-hw-address", "hw-address", func(l *Lease) string { return l.HWAddr }, true, true},
		{"lease%d-get-by-client-id", "client-id", func(l *Lease) string { return l.ClientID }, true, false},
		{"lease%d-get-by-duid", "duid", func(l *Lease) string { return l.DUID }, false, true},
		{"lease%d-get-by-hostname", "hostname", func(l *Lease) string { return l.Hostname }, true, true},
		{"lease%d-get-by-state", "state", func(l *Lease) string { return fmt.Sprint(l.State) }, true, true},
	} {
		if family == 4 && !by.four || family == 6 && !by.six {
			continue
		}
		have := map[string][]Lease{}
		for i := range all {
			// A declined lease is nobody's, whatever stands for that.
			if v := by.of(&all[i]); v != "" && v != "00:00:00" {
				have[v] = append(have[v], all[i])
			}
		}
		n := 0
		for v, want := range have {
			var arg any = v
			if by.key == "state" {
				arg = all[0].State
				for i := range want {
					arg = want[i].State
				}
			}
			if err := compare(fmt.Sprintf(by.command, family), object{by.key: arg}, want); err != nil {
				return nil, err
			}
			if n++; n == limit {
				break
			}
		}
	}
	for i := range all {
		if i == limit {
			break
		}
		args := object{"ip-address": all[i].Addr}
		if family == 6 {
			args["type"] = all[i].Type
		}
		var l Lease
		if err := read(do, fmt.Sprintf("lease%d-get", family), args, &l); err != nil {
			return nil, err
		}
		if l != all[i] {
			wrong = append(wrong, fmt.Sprintf("lease-get of %s finds %+v, want %+v", all[i].Addr, l, all[i]))
		}
	}
	return wrong, nil
}
