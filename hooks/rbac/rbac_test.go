package rbac

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/hooks"
	"github.com/peregrine-dhcp/peregrine/hooks/hookstest"
)

const params = `{
	"assign-role-method": "basic-authentication",
	"api-files": "/nonexistent/api",
	"commands": [ { "name": "my-command", "access": "read", "hook": "my-hook" },
	              { "name": "dhcp-disable", "access": "read" } ],
	"access-control-lists": [ { "safe": { "and": [ "READ", { "not": { "commands": [ "config-get" ] } } ] } },
	                          { "any": { "or": [ "safe", "WRITE" ] } } ],
	"roles": [
		{ "name": "reader", "accept-commands": "safe", "reject-commands": "ALL", "response-filters": [ "list-commands" ] },
		{ "name": "refused-first", "accept-commands": "READ", "reject-commands": { "commands": [ "config-get" ] }, "list-match-first": "reject" },
		{ "name": "others", "reject-commands": { "or": [ "WRITE", { "command": [ "config-get" ] } ] }, "other-commands": "accept" },
		{ "name": "leases", "accept-commands": { "hook": "lease_cmds" } },
		{ "name": "server", "accept-commands": { "and": [ { "hook": "" }, { "access": "write" } ] } },
		{ "name": "mine", "accept-commands": { "hook": "my-hook" } },
		{ "name": "all", "accept-commands": "any" },
		{ "name": "none", "accept-commands": "NONE", "other-commands": "reject" } ],
	"unknown-role": { "accept-commands": { "commands": [ "status-get" ] } }
}`

func load(t *testing.T, params string) *hooks.Pipeline {
	t.Helper()
	return hookstest.Load(t, &hooks.Server{Config4: &hooks.Config4{}}, hooks.Configured{Library: New(), Params: json.RawMessage(params)})
}

func TestRoles(t *testing.T) {
	pl := load(t, params)
	for _, c := range []struct {
		user, command string
		ok            bool
	}{
		{"reader", "status-get", true}, {"reader", "config-get", false}, {"reader", "config-set", false}, {"reader", "unheard-of", false},
		{"reader", "my-command", true}, {"reader", "dhcp-disable", true}, {"reader", "dhcp-enable", false},
		{"refused-first", "status-get", true}, {"refused-first", "config-get", false}, {"refused-first", "config-set", false},
		{"others", "status-get", true}, {"others", "config-get", false}, {"others", "config-set", false}, {"others", "unheard-of", true},
		{"leases", "lease4-add", true}, {"leases", "status-get", false},
		{"server", "config-set", true}, {"server", "config-get", false}, {"server", "lease4-add", false}, {"server", "unheard-of", false},
		{"mine", "my-command", true}, {"mine", "status-get", false},
		{"all", "config-get", false}, {"all", "lease4-wipe", true}, {"all", "unheard-of", false},
		{"none", "list-commands", false},
		{"stranger", "status-get", true}, {"stranger", "list-commands", false},
		{"", "status-get", false}, // default-role rejects
		{"all", "", false},
	} {
		e := &hooks.HTTPEvent{Remote: "192.0.2.1:5", User: c.user, Command: c.command}
		ok := pl.RunHTTP(hooks.HTTPAuth, e) == hooks.Continue
		if ok != c.ok {
			t.Errorf("%q, %s: %v, want %v", c.user, c.command, ok, c.ok)
		}
		if !ok && (e.Status != 403 || string(e.Body) != `{"result":403,"text":"Forbidden"}`) {
			t.Errorf("%q, %s: %d %s", c.user, c.command, e.Status, e.Body)
		}
	}
	if e := (&hooks.HTTPEvent{User: "all", Request: []byte(`[1`), Command: ""}); pl.RunHTTP(hooks.HTTPAuth, e) == hooks.Continue {
		t.Error("what is no command was accepted")
	}
}

func TestMethods(t *testing.T) {
	e := hooks.HTTPEvent{Remote: "192.0.2.1:4711", User: "u", TLS: true, CertSubject: "s", CertIssuer: "i", Command: "status-get"}
	plain := e
	plain.TLS, plain.CertSubject, plain.CertIssuer = false, "", ""
	six := e
	six.Remote = "[2001:db8::1]:4711"
	for _, c := range []struct {
		method, role string
		e            hooks.HTTPEvent
		status       int // 0: accepted
	}{
		{"remote-address", "192.0.2.1", e, 0}, {"remote-address", "192.0.2.2", e, 403}, {"remote-address", "192.0.2.1", plain, 0},
		{"remote-address", "2001:db8::1", six, 0},
		{"cert-subject", "s", e, 0}, {"cert-subject", "i", e, 403}, {"cert-subject", "s", plain, 401},
		{"cert-issuer", "i", e, 0}, {"cert-issuer", "i", plain, 401},
		{"basic-authentication", "u", e, 0}, {"basic-authentication", "u", plain, 0},
	} {
		pl := load(t, fmt.Sprintf(`{"assign-role-method": %q, "api-files": "/nonexistent", "roles": [ {"name": %q, "accept-commands": "ALL"} ]}`, c.method, c.role))
		x := c.e
		pl.RunHTTP(hooks.HTTPAuth, &x)
		if x.Status != c.status {
			t.Errorf("%s, role %s, %+v: status %d, want %d", c.method, c.role, c.e, x.Status, c.status)
		}
	}
	pl := load(t, `{"assign-role-method": "remote-address", "api-files": "/nonexistent", "require-tls": true, "roles": [ {"name": "192.0.2.1", "accept-commands": "ALL"} ]}`)
	if x := plain; pl.RunHTTP(hooks.HTTPAuth, &x) == hooks.Continue || x.Status != 401 {
		t.Errorf("require-tls: status %d", x.Status)
	}
}

// giver gives everybody the same role.
type giver string

func (giver) Name() string { return "giver" }
func (giver) Close() error { return nil }
func (g giver) Load(env *hooks.Env, _ json.RawMessage) error {
	env.OnHTTP(hooks.HTTPAuth, func(e *hooks.HTTPEvent) hooks.Status { e.Role = string(g); return hooks.Continue })
	return nil
}

func TestCustomValue(t *testing.T) {
	mine := hooks.Configured{Library: New(), Params: json.RawMessage(`{"assign-role-method": "custom-value", "api-files": "/nonexistent",
		"roles": [ {"name": "a", "accept-commands": "READ"} ], "unknown-role": {"accept-commands": {"commands": ["status-get"]}}}`)}
	for _, c := range []struct {
		role, command string
		ok            bool
	}{
		{"a", "config-get", true}, {"a", "config-set", false}, {"b", "config-get", false}, {"b", "status-get", true}, {"", "status-get", false},
	} {
		for i, l := range [][]hooks.Configured{{{Library: giver(c.role)}, mine}, {mine, {Library: giver(c.role)}}, {mine}} {
			l[slices.IndexFunc(l, func(x hooks.Configured) bool { return x.Params != nil })].Library = New()
			pl := hookstest.Load(t, &hooks.Server{Config4: &hooks.Config4{}}, l...)
			want := c.ok && i == 0 // who comes later has given nothing yet
			if got := pl.RunHTTP(hooks.HTTPAuth, &hooks.HTTPEvent{User: "a", Command: c.command}) == hooks.Continue; got != want {
				t.Errorf("role %q, %s, %d: %v, want %v", c.role, c.command, i, got, want)
			}
		}
	}
}

func TestListCommandsFilter(t *testing.T) {
	pl := load(t, params)
	answer := `[{"result":0,"arguments":["config-get","config-set","list-commands","status-get"]}]`
	for _, c := range []struct{ user, command, want string }{
		{"reader", "list-commands", `[{"arguments":["list-commands","status-get"],"result":0}]`},
		{"reader", "status-get", answer},
		{"all", "list-commands", answer},
	} {
		e := &hooks.HTTPEvent{User: c.user, Command: c.command, Status: 200, Body: []byte(answer)}
		pl.RunHTTP(hooks.HTTPResponse, e)
		if string(e.Body) != c.want {
			t.Errorf("%s, %s: %s", c.user, c.command, e.Body)
		}
	}
	for _, odd := range []string{`{"result":401,"text":"Unauthorized"}`, `[{"result":1,"text":"no"}]`, `nonsense`} {
		e := &hooks.HTTPEvent{User: "reader", Command: "list-commands", Body: []byte(odd)}
		pl.RunHTTP(hooks.HTTPResponse, e)
		var a, b any
		if json.Unmarshal(e.Body, &a) == nil && json.Unmarshal([]byte(odd), &b) == nil && fmt.Sprint(a) != fmt.Sprint(b) || len(e.Body) == 0 {
			t.Errorf("%s became %s", odd, e.Body)
		}
	}
}

func TestAPIFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := func() string {
		return fmt.Sprintf(`{"assign-role-method": "basic-authentication", "api-files": %q, "roles": [ {"name": "u", "accept-commands": "READ"} ]}`, dir)
	}
	refused := func(want string) {
		t.Helper()
		_, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(config())}}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused("describes no command")
	write("one.json", `{"name": "config-set", "access": "read", "brief": ["more"]}`)
	write("_template.json", `no JSON`)
	write("README", `no JSON`)
	pl := load(t, config())
	for command, ok := range map[string]bool{"config-set": true, "status-get": false} { // the file rules, not the built-in list
		e := &hooks.HTTPEvent{User: "u", Command: command}
		if got := pl.RunHTTP(hooks.HTTPAuth, e) == hooks.Continue; got != ok {
			t.Errorf("%s: %v, want %v", command, got, ok)
		}
	}
	write("two.json", `{"name": "x", "access": "execute"}`)
	refused(`must be "read" or "write"`)
	write("two.json", `{"access": "read"}`)
	refused("has no name")
	write("two.json", `[`)
	refused("two.json")
}

func TestRefusedParameters(t *testing.T) {
	for params, want := range map[string]string{
		``:                                       "parameters are missing",
		`{}`:                                     "assign-role-method is mandatory",
		`{"assign-role-method": "cert-subject"}`: "api-files is mandatory",
		`{"assign-role-method": "magic", "api-files": "/x"}`:                                                                        "is none of",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "require-tls": false}`:                                           "require-tls cannot be false",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "role": []}`:                                                     "unknown field",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "roles": [ {} ]}`:                                                "has no name",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "roles": [ {"name": "a"}, {"name": "a"} ]}`:                      "twice",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"name": "a"}}`:                                  "has a name",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": "READS"}}`:                   "no access control list",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": {"nor": []}}}`:               "no kind of access control list",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": {"and": "READ"}}}`:           "needs a list",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": {"commands": ["x-y"]}}}`:     "no definition",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": {"access": "all"}}}`:         "must be",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"other-commands": "maybe"}}`:                    "other-commands must be",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"list-match-first": "x"}}`:                      "list-match-first must be",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"response-filters": ["x"]}}`:                    "no filter",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "access-control-lists": [ {"ALL": "NONE"} ]}`:                    "is taken",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "access-control-lists": [ {"a": "b"} ]}`:                         "no access control list",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "access-control-lists": [ {"a": "ALL", "b": "ALL"} ]}`:           "one entry",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "commands": [ {"name": "a", "access": "run"} ]}`:                 "access must be",
		`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": ` + deep(40, `"ALL"`) + `}}`: "nested more than",
	} {
		_, err := hooks.Compile([]hooks.Configured{{Library: New(), Params: json.RawMessage(params)}}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
	}
}

func deep(n int, in string) string {
	return strings.Repeat(`{"not": `, n) + in + strings.Repeat(`}`, n)
}

func TestBuiltinCommands(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range builtinCommands {
		if c.name == "" || c.access != accessRead && c.access != accessWrite || seen[c.name] {
			t.Errorf("%+v", c)
		}
		seen[c.name] = true
	}
	for _, n := range []string{"list-commands", "lease4-add", "ha-scopes", "statistic-get"} {
		if !seen[n] {
			t.Errorf("%s is missing", n)
		}
	}
}

func FuzzParameters(f *testing.F) {
	f.Add([]byte(params))
	f.Add([]byte(`{"assign-role-method": "cert-subject", "api-files": "/x", "default-role": {"accept-commands": {"not": {"and": []}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "api-files") && !strings.Contains(string(text), `"/x"`) && !strings.Contains(string(text), `"/nonexistent`) {
			t.Skip() // reads directories of this machine
		}
		l := &library{}
		if l.parse(text) == nil {
			l.unknown.accepts("status-get")
			l.byDefault.accepts("")
		}
	})
}
