// Package lease_cmds is the hook library "lease_cmds": control commands that
// read and change leases. README.md describes it for operators; names,
// arguments, results and texts are those of Kea's libdhcp_lease_cmds (CM-040 to
// CM-052).
//
// A change goes by compare-and-swap into the lease table, like a worker's, and
// is answered when it is on stable storage. Nothing here stops service: pages
// and searches hold no lock for longer than a few hundred records.
package lease_cmds

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/arguments"
)

// Library is one loaded instance.
type Library struct{ env *hooks.Env }

// New returns a library to load.
func New() *Library { return &Library{} }

// Name implements hooks.Library.
func (*Library) Name() string { return "lease_cmds" }

// Close implements hooks.Library.
func (*Library) Close() error { return nil }

// call is one command being run.
type call struct {
	context.Context
	lib     *Library
	leases  hooks.LeaseStore4
	leases6 hooks.LeaseStore6
	config  hooks.Configuration
	args    arguments.Map
}

// Load implements hooks.Library.
func (lib *Library) Load(env *hooks.Env, params json.RawMessage) error {
	lib.env = env
	m := arguments.Parse(params)
	if m.Given() && !m.IsMap() {
		return errors.New("the library's parameters are not a map")
	}
	var unknown error
	m.Each(func(name string, _ json.RawMessage) {
		if name != "binding-variables" {
			unknown = fmt.Errorf("unknown parameter %q", name)
		}
	})
	if unknown != nil {
		return unknown
	}
	if m.Has("binding-variables") {
		b, err := parseBindings(env, m.Raw("binding-variables"))
		if err != nil {
			return err
		}
		if b != nil {
			b.register(env)
		}
	}
	for _, c := range slices.Concat(commands4, commands6, commandsSFLQ) {
		env.Command(hooks.Command{Name: c.name, Mutates: c.mutates, Run: func(ctx context.Context, args json.RawMessage, _ *hooks.Response) hooks.Response {
			cl := &call{ctx, lib, env.LeaseStore4(), env.LeaseStore6(), env.Configuration(), arguments.Parse(args)}
			if strings.HasPrefix(c.name, "lease6-") && cl.leases6 == nil || strings.HasPrefix(c.name, "lease4-") && cl.leases == nil {
				return otherFamily(c)
			}
			r, err := c.run(cl)
			if err != nil {
				return failed(err)
			}
			return r
		}})
	}
	return nil
}

// otherFamily is the answer to a command about leases of the family that is not
// served here: none is found, as in Kea's other daemon.
func otherFamily(c command) hooks.Response {
	family := "IPv" + c.name[len("lease"):len("lease")+1]
	switch {
	case c.mutates:
		return failed(fmt.Errorf("this server has no %s leases", family))
	case strings.HasSuffix(c.name, "-get"):
		return hooks.Response{Result: hooks.ResultEmpty, Text: "Lease not found."}
	}
	return hooks.Response{Result: hooks.ResultEmpty, Text: fmt.Sprintf("0 %s lease(s) found.", family), Arguments: map[string]any{"leases": []any{}}}
}

type command struct {
	name    string
	mutates bool
	run     func(*call) (hooks.Response, error)
}

// Kea has both lists in every server.
var commands4 = []command{
	{"lease4-add", true, (*call).add4},
	{"lease4-update", true, (*call).update4},
	{"lease4-del", true, (*call).del4},
	{"lease4-wipe", true, (*call).wipe4},
	{"lease4-write", true, (*call).write4},
	{"lease4-resend-ddns", true, (*call).resendDDNS4},
	{"lease4-get", false, (*call).get4},
	{"lease4-get-all", false, (*call).getAll4},
	{"lease4-get-page", false, (*call).getPage4},
	{"lease4-get-by-hw-address", false, (*call).getByHWAddress4},
	{"lease4-get-by-client-id", false, (*call).getByClientID4},
	{"lease4-get-by-hostname", false, (*call).getByHostname4},
	{"lease4-get-by-state", false, (*call).getByState4},
}

var commands6 = []command{
	{"lease6-add", true, (*call).add6},
	{"lease6-update", true, (*call).update6},
	{"lease6-del", true, (*call).del6},
	{"lease6-wipe", true, (*call).wipe6},
	{"lease6-write", true, (*call).write6},
	{"lease6-resend-ddns", true, (*call).resendDDNS6},
	{"lease6-bulk-apply", true, (*call).bulkApply6},
	{"lease6-get", false, (*call).get6},
	{"lease6-get-all", false, (*call).getAll6},
	{"lease6-get-page", false, (*call).getPage6},
	{"lease6-get-by-hw-address", false, (*call).getByHWAddress6},
	{"lease6-get-by-duid", false, (*call).getByDUID6},
	{"lease6-get-by-hostname", false, (*call).getByHostname6},
	{"lease6-get-by-state", false, (*call).getByState6},
}

// conflictError is an error that is answered with ResultConflict: the command
// was right, the leases are not as it thinks.
type conflictError struct{ text string }

func (e *conflictError) Error() string { return e.text }

func conflict(format string, a ...any) error { return &conflictError{fmt.Sprintf(format, a...)} }

// failed turns an error into an answer.
func failed(err error) hooks.Response {
	r := hooks.Response{Result: hooks.ResultError, Text: err.Error()}
	var c *conflictError
	if errors.As(err, &c) {
		r.Result = hooks.ResultConflict
	}
	return r
}

func ok(format string, a ...any) (hooks.Response, error) {
	return hooks.Response{Text: fmt.Sprintf(format, a...)}, nil
}

func empty(text string) (hooks.Response, error) {
	return hooks.Response{Result: hooks.ResultEmpty, Text: text}, nil
}

// needMap refuses a command whose arguments are no map.
func (c *call) needMap() error {
	if !c.args.IsMap() {
		return errors.New("Command arguments missing or a not a map.")
	}
	return nil
}
