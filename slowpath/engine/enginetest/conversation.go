package enginetest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/peregrine-dhcp/peregrine/slowpath/lease"
)

// StartUnixS is when conversations begin.
const StartUnixS = 1_800_000_000

// Lab is an engine that a conversation is held with.
type Lab struct {
	Now     *int64 // the lab's clock, in Unix seconds; conversations put it forward
	Worker  Worker
	Journal func(word string) // Journal.Set
	// Reload changes the configuration; the leases stay.
	Reload func(t *testing.T, config string)
	// Leases is what the table has, a line each.
	Leases func() string
	// Query has the engine answer what the command describes.
	Query func(t *testing.T, d *datadriven.TestData) string
}

// Worker is that of either engine.
type Worker interface {
	Reclaim(nowUnixS int64, max int, remove bool, stop func() bool) int
	Reclaimed() lease.ReclaimCounts
}

// RunConversations runs the files under testdata/conversations. Each begins with a
// configuration; after it come queries, which the lab knows, and commands:
//
//	config                 the input is the configuration; an engine without leases
//	reload                 the same, the leases stay
//	time    +S             the clock goes on (seconds)
//	reclaim [remove]       expiry
//	leases                 what the table has
//	journal [full|broken|ok|hold|sync]
//
// With -rewrite the answers in the files are made anew: read them before they are
// committed.
func RunConversations(t *testing.T, newLab func(t *testing.T, config string) *Lab) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no conversations found: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			var l *Lab
			datadriven.RunTest(t, f, func(t *testing.T, d *datadriven.TestData) string {
				if d.Cmd == "config" {
					l = newLab(t, d.Input)
					return "ok\n"
				}
				if l == nil {
					d.Fatalf(t, "the file must begin with config")
				}
				return command(t, l, d)
			})
		})
	}
}

func command(t *testing.T, l *Lab, d *datadriven.TestData) string {
	switch d.Cmd {
	case "reload":
		l.Reload(t, d.Input)
	case "time":
		for _, a := range d.CmdArgs {
			s, err := strconv.ParseInt(strings.TrimPrefix(a.Key, "+"), 10, 64)
			if err != nil {
				d.Fatalf(t, "time: %v", err)
			}
			*l.Now += s
		}
		return fmt.Sprintf("it is %d\n", *l.Now-StartUnixS)
	case "reclaim":
		before := l.Worker.Reclaimed()
		n := l.Worker.Reclaim(*l.Now, 0, d.HasArg("remove"), nil)
		c := l.Worker.Reclaimed()
		return fmt.Sprintf("handled %d: reclaimed %d (declined %d), removed %d, offers %d\n", n,
			c.Leases-before.Leases, c.Declined-before.Declined, c.Removed-before.Removed, c.Offers-before.Offers)
	case "leases":
		return l.Leases()
	case "journal":
		for _, a := range d.CmdArgs {
			l.Journal(a.Key)
		}
	default:
		return l.Query(t, d)
	}
	return "ok\n"
}
