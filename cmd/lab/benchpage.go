package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

const (
	// pagingRate is a moderate load: what is measured is how long an answer waits,
	// not how many there can be.
	pagingRate = 5_000
	// pagedLeases are there in each family.
	pagedLeases = 1_000_000
)

// paging measures what commands cost DHCP clients: the latency of OFFER, ACK,
// ADVERTISE and REPLY while a client pages through a million leases, fetches all
// of them at once, or changes the configuration, against nobody giving commands.
// The conditions take turns, and the median of the rounds counts.
func (b *bencher) paging() error {
	say("\n%d leases of each family, %d exchanges/s, and a client of the control channel", pagedLeases, pagingRate)
	if err := b.addresses6(); err != nil {
		return err
	}
	u, err := b.pagedServer()
	if err != nil {
		return err
	}
	defer u.stop()
	conditions := []struct {
		name   string
		around func(ctx context.Context, family int) error
	}{
		{"no command", nil},
		{"pages of 1000", func(ctx context.Context, family int) error { return b.page(ctx, u.s, family) }},
		{"all leases at once", func(ctx context.Context, family int) error {
			_, err := u.s.long(ctx, fmt.Sprintf("lease%d-get-all", family), nil)
			return err
		}},
		{"changes of configuration", func(ctx context.Context, family int) error { return b.change(ctx, u.s, family) }},
	}
	for _, family := range []int{4, 6} {
		scenario, names := "dora", [2]string{"OFFER", "ACK"}
		if family == 6 {
			scenario, names = "sarr", [2]string{"ADVERTISE", "REPLY"}
			u.s.socket = strings.Replace(u.s.socket, "control.sock", "control6.sock", 1)
		}
		// Clients get their leases, so that the conditions find the same.
		if _, err := b.fireOnce(u, scenario, pagingRate, b.secs, benchClients); err != nil {
			return err
		}
		p99 := map[string]*[2][]float64{}
		lost, done := map[string]float64{}, map[string]int64{}
		for range b.tries {
			for _, c := range conditions {
				if p99[c.name] == nil {
					p99[c.name] = &[2][]float64{}
				}
				b.probe.await(b.ctx)
				tr, n, err := b.beside(func(ctx context.Context) error {
					if c.around == nil {
						<-ctx.Done()
						return nil
					}
					return c.around(ctx, family)
				}, u, scenario)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				first, last := tr.ends()
				p99[c.name][0] = append(p99[c.name][0], float64(first.Response.P99)/1e3)
				p99[c.name][1] = append(p99[c.name][1], float64(last.Response.P99)/1e3)
				lost[c.name] += float64(first.Sent-first.Received) + float64(last.Sent-last.Received)
				done[c.name] += n
			}
		}
		for _, c := range conditions {
			for i, name := range names {
				b.add(fmt.Sprintf("p99 of %s, %s", name, c.name), median(p99[c.name][i]), "us", "",
					fmt.Sprintf("%.0f lost, %d commands", lost[c.name], done[c.name]))
			}
		}
	}
	return nil
}

// beside runs a trial while f runs again and again, and says how often it did.
func (b *bencher) beside(f func(ctx context.Context) error, u *under, scenario string) (trial, int64, error) {
	ctx, cancel := context.WithCancel(b.ctx)
	var n atomic.Int64
	failed := make(chan error, 1)
	go func() {
		for {
			err := f(ctx)
			if err != nil || ctx.Err() != nil {
				failed <- err
				return
			}
			n.Add(1)
		}
	}()
	tr, err := b.fireOnce(u, scenario, pagingRate, b.secs, benchClients)
	cancel()
	if ferr := <-failed; err == nil {
		err = ferr
	}
	if err == nil {
		b.record(u, &tr)
	}
	return tr, n.Load(), err
}

// long is command for one that may take its time. It is waited for even if ctx
// ends: the server goes on with it, and the next trial is not to see that.
func (s *server) long(ctx context.Context, name string, args any) (*control.Answer, error) {
	ctx = context.WithoutCancel(ctx)
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	c := control.Client{Target: s.socket, Timeout: time.Minute}
	a, err := c.Do(ctx, name, raw)
	if err == nil && a.Result != 0 && a.Result != 3 {
		err = fmt.Errorf("%s: %s", name, a.Text)
	}
	return a, err
}

// page fetches all leases by pages of 1000.
func (b *bencher) page(ctx context.Context, s *server, family int) error {
	from := "start"
	for {
		a, err := s.long(ctx, fmt.Sprintf("lease%d-get-page", family), map[string]any{"from": from, "limit": 1000})
		if err != nil || a.Result == 3 || ctx.Err() != nil {
			return err
		}
		var p struct {
			Leases []struct {
				Address string `json:"ip-address"`
			}
		}
		if err := json.Unmarshal(a.Arguments, &p); err != nil || len(p.Leases) == 0 {
			return err
		}
		from = p.Leases[len(p.Leases)-1].Address
	}
}

// change makes and undoes changes of what no client of the bench uses.
func (b *bencher) change(ctx context.Context, s *server, family int) error {
	key, prefix, pool, addr := fmt.Sprintf("subnet%d", family), "192.0.2.0/24", "192.0.2.0/25", map[string]any{"ip-address": "10.128.0.1", "hw-address": "1a:1b:1c:1d:1e:1f"}
	option := map[string]any{"name": "domain-name", "data": "x.example.org"}
	if family == 6 {
		prefix, pool, addr = "2001:db8:2::/64", "2001:db8:2::/80", map[string]any{"ip-addresses": []string{"2001:db8:68::1"}, "duid": "01:02:03:04"}
		option = map[string]any{"name": "domain-search", "data": "x.example.org"}
	}
	addr["subnet-id"] = 2
	one := func(m map[string]any) map[string]any { return map[string]any{key: []any{m}} }
	class := map[string]any{"client-classes": []any{map[string]any{"name": "bench", "test": "option[60].exists"}}}
	kind := map[int]string{4: "hw-address", 6: "duid"}[family]
	for _, c := range []struct {
		name string
		args any
	}{
		{key + "-add", one(map[string]any{"id": 9, "subnet": prefix, "pools": []any{map[string]any{"pool": pool}}})},
		{key + "-delta-add", one(map[string]any{"id": 9, "subnet": prefix, "option-data": []any{option}})},
		{"class-add", class},
		{"class-update", class},
		{"reservation-add", map[string]any{"reservation": addr}},
		{"reservation-del", map[string]any{"subnet-id": 2, "identifier-type": kind, "identifier": addr[kind]}},
		{"class-del", map[string]any{"name": "bench"}},
		{key + "-del", map[string]any{"id": 9}},
	} {
		// To the end, so that the next round begins with what this one found.
		if _, err := s.long(ctx, c.name, c.args); err != nil {
			return err
		}
	}
	return nil
}

// pagedServer starts a server of both families that has the leases already, in
// subnets of their own.
func (b *bencher) pagedServer() (*under, error) {
	dir, err := os.MkdirTemp(b.dir, "server-")
	if err != nil {
		return nil, err
	}
	const libraries = `"hooks-libraries": [ { "library": "libdhcp_lease_cmds.so" }, { "library": "libdhcp_subnet_cmds.so" }, { "library": "libdhcp_host_cmds.so" }, { "library": "libdhcp_class_cmds.so" } ],`
	four := b.config(dir, "group", bigPool, true)
	four = strings.Replace(four, `"hooks-libraries": [ { "library": "libdhcp_lease_cmds.so" } ],`, libraries, 1)
	four = strings.Replace(four, `"subnet4": [ `, `"subnet4": [ { "id": 2, "subnet": "10.128.0.0/11", "pools": [ { "pool": "10.128.0.0/11" } ] }, `, 1)
	six := dhcp6(b.t.serverIf+"/"+serverAddr6, fmt.Sprintf(`"lease-database": { "type": "memfile", "persist": true }, "cache-threshold": 0.0, %s
		"control-sockets": [ { "socket-type": "unix", "socket-name": %q } ],
		"loggers": [ { "name": "kea-dhcp6", "severity": "WARN", "output-options": [ { "output": "stdout" } ] } ],`, libraries, filepath.Join(dir, "control6.sock")))
	six = strings.Replace(six, `"subnet6": [ `, `"subnet6": [ { "id": 2, "subnet": "2001:db8:68::/64", "pools": [ { "pool": "2001:db8:68::/80" } ] }, `, 1)
	text := strings.Replace(four, "\t\"Dataplane\": {", "\t"+six+",\n\t\"Dataplane\": {", 1)
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	expire := time.Now().Unix() + 86400
	for family, write := range map[int]func(w *bufio.Writer){
		4: func(w *bufio.Writer) {
			w.WriteString("address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n")
			for i := range pagedLeases {
				fmt.Fprintf(w, "10.%d.%d.%d,1a:%02x:00:%02x:%02x:%02x,,86400,%d,2,0,0,host-%d.example.org,0,,0\n", 128+i>>16, i>>8&255, i&255, i>>24, i>>16&255, i>>8&255, i&255, expire, i)
			}
		},
		6: func(w *bufio.Writer) {
			w.WriteString("address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n")
			for i := range pagedLeases {
				fmt.Fprintf(w, "2001:db8:68::%x:%x,00:03:00:01:1a:%02x:00:%02x:%02x:%02x,86400,%d,2,80000,0,1,128,0,0,host-%d.example.org,,0,,,,0\n", i>>16, i&0xffff, i>>24, i>>16&255, i>>8&255, i&255, expire, i)
			}
		},
	} {
		name := filepath.Join(dir, fmt.Sprintf("leases%d.csv", family))
		f, err := os.Create(name)
		if err != nil {
			return nil, err
		}
		w := bufio.NewWriterSize(f, 1<<20)
		write(w)
		if err := w.Flush(); err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		out, err := exec.CommandContext(b.ctx, filepath.Join(b.bin, "peregrine"), "lease", "import", "-d", filepath.Join(dir, "leases"), name).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("import leases: %w\n%s", err, out)
		}
	}
	s, err := startServerArgs(b.ctx, b.t.server, dir, b.pinned(0, filepath.Join(b.bin, "peregrine"), "serve", "-c", config))
	if err != nil {
		return nil, err
	}
	return &under{name: "peregrine", pid: s.pid(), s: s, stop: func() { _ = s.stop() }}, nil
}
