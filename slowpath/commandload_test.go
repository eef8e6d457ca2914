package slowpath

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/alloc"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
	"github.com/peregrine-dhcp/peregrine/slowpath/netio/netiotest"
)

// randomCommand is a command that changes something, mostly right.
func randomCommand(r *rand.Rand) string {
	id := 2 + r.IntN(5)
	subnet := fmt.Sprintf(`{"id":%d,"subnet":"192.0.%d.0/24","pools":[{"pool":"192.0.%d.0/26"}]}`, id, id, id)
	name := fmt.Sprintf("class%d", r.IntN(5))
	addr := fmt.Sprintf("10.67.200.%d", r.IntN(20))
	mac := fmt.Sprintf("1a:1b:1c:1d:1e:%02x", r.IntN(20))
	target := []string{"memory", "database", "all", "default"}[r.IntN(4)]
	commands := []string{
		`{"command":"subnet4-add","arguments":{"subnet4":[` + subnet + `]}}`,
		`{"command":"subnet4-update","arguments":{"subnet4":[` + subnet + `]}}`,
		fmt.Sprintf(`{"command":"subnet4-delta-add","arguments":{"subnet4":[{"id":%d,"subnet":"192.0.%d.0/24","pools":[{"pool":"192.0.%d.128/26"}]}]}}`, id, id, id),
		fmt.Sprintf(`{"command":"subnet4-del","arguments":{"id":%d}}`, id),
		`{"command":"network4-add","arguments":{"shared-networks":[{"name":"net"}]}}`,
		fmt.Sprintf(`{"command":"network4-subnet-add","arguments":{"name":"net","id":%d}}`, id),
		`{"command":"network4-del","arguments":{"name":"net"}}`,
		`{"command":"class-add","arguments":{"client-classes":[{"name":"` + name + `","test":"pkt4.mac == 0x02c100000001"}]}}`,
		`{"command":"class-del","arguments":{"name":"` + name + `"}}`,
		`{"command":"reservation-add","arguments":{"reservation":{"subnet-id":1,"hw-address":"` + mac + `","ip-address":"` + addr + `"},"operation-target":"` + target + `"}}`,
		`{"command":"reservation-del","arguments":{"subnet-id":1,"ip-address":"` + addr + `","operation-target":"` + target + `"}}`,
		`{"command":"reservation-get-page","arguments":{"limit":10}}`,
		`{"command":"lease4-add","arguments":{"ip-address":"` + addr + `","hw-address":"` + mac + `"}}`,
		`{"command":"lease4-update","arguments":{"ip-address":"` + addr + `","hw-address":"` + mac + `","force-create":true,"state":` + fmt.Sprint(r.IntN(4)) + `}}`,
		`{"command":"lease4-del","arguments":{"ip-address":"` + addr + `"}}`,
		`{"command":"lease4-get-by-hw-address","arguments":{"hw-address":"` + mac + `"}}`,
		`{"command":"lease4-get-page","arguments":{"from":"start","limit":50}}`,
		`{"command":"stat-lease4-get"}`,
	}
	return commands[r.IntN(len(commands))]
}

// TestCommandsBesideService: while several give random commands, every client is
// answered, and afterwards the numbers are those of a slow recount.
func TestCommandsBesideService(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	b := newBed(t, testConfig(t.TempDir(), librariesKey("lease_cmds", "class_cmds", "stat_cmds", "host_cmds", "subnet_cmds", "limits"), ""), hookOptions())
	defer b.close()
	const givers, each = 4, 60
	var wg sync.WaitGroup
	results := make([]map[int]int, givers)
	for g := range givers {
		results[g] = map[int]int{}
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(g)))
			for range each {
				text := randomCommand(r)
				res := b.command(text)
				results[g][res.Result]++
				if res.Result == control.ResultUnsupported || res.Result == control.ResultFatal {
					t.Errorf("%s: %d %s", text, res.Result, res.Text)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	n := uint32(0)
	for running := true; running; n++ {
		select {
		case <-done:
			running = false
		default:
		}
		mac := netiotest.ClientMAC(n % 100)
		b.lease(mac) // fails the test if there is no answer
	}
	ok := 0
	for _, m := range results {
		ok += m[control.ResultSuccess]
	}
	t.Logf("%d exchanges beside %d commands, %d of them successful", n, givers*each, ok)
	if ok < givers*each/10 {
		t.Errorf("only %d commands did anything", ok)
	}
	type counts struct{ assigned, declined uint64 }
	want := map[uint32]counts{}
	b.s.table.Walk(func(l *lease.Lease4) bool {
		c := want[l.SubnetID]
		if l.State == lease.StateDefault || l.State == lease.StateDeclined {
			c.assigned++
		}
		if l.State == lease.StateDeclined {
			c.declined++
		}
		want[l.SubnetID] = c
		return true
	})
	b.s.Alloc().EachSubnet(func(x *alloc.SubnetStats) {
		if w := want[x.SubnetID]; x.Assigned != w.assigned || x.Declined != w.declined {
			t.Errorf("subnet %d: %d assigned, %d declined, want %+v", x.SubnetID, x.Assigned, x.Declined, w)
		}
	})
	var l struct{ Hosts []map[string]any }
	const get = `{"command":"reservation-get-all","arguments":{"subnet-id":1,"operation-target":"database"}}`
	if b.command(get).Result == control.ResultSuccess {
		b.arguments(get, &l)
	}
	if len(l.Hosts) != b.s.hosts.set.Len() {
		t.Errorf("%d hosts are listed, %d are looked up", len(l.Hosts), b.s.hosts.set.Len())
	}
}
