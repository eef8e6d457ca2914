// Package rbac is role-based access control of commands that come by HTTP and
// HTTPS (HK-RB-1 to HK-RB-3): a request gets a role by who sent it, the role's
// lists accept or reject the command, and its filters change the answer.
//
// It knows commands by name, access right and library. Those definitions come
// from the files in api-files, as with Kea; where that directory does not exist
// the list built into this package stands in for it.
package rbac

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/peregrine-dhcp/peregrine/hooks"
)

// method is how a request gets its role.
type method string

const (
	byAddress     method = "remote-address"
	bySubject     method = "cert-subject"
	byIssuer      method = "cert-issuer"
	byBasicAuth   method = "basic-authentication"
	byCustomValue method = "custom-value"
)

// library is one configuration of the library; it does not change after Load.
type library struct {
	log        *slog.Logger
	method     method
	requireTLS bool
	roles      map[string]*role
	byDefault  *role // for requests without a role
	unknown    *role // for roles that have no definition
}

// New returns the library.
func New() hooks.Library { return &library{} }

// Name implements hooks.Library.
func (l *library) Name() string { return "rbac" }

// Close implements hooks.Library.
func (l *library) Close() error { return nil }

// Load implements hooks.Library.
func (l *library) Load(env *hooks.Env, params json.RawMessage) error {
	l.log = env.Logger()
	if err := l.parse(params); err != nil {
		return err
	}
	env.OnHTTP(hooks.HTTPAuth, l.auth)
	env.OnHTTP(hooks.HTTPResponse, l.response)
	return nil
}

// roleOf assigns the role.
func (l *library) roleOf(e *hooks.HTTPEvent) *role {
	name := ""
	switch l.method {
	case byAddress:
		name = e.Remote
		if host, _, err := net.SplitHostPort(e.Remote); err == nil {
			name = host
		}
	case bySubject:
		name = e.CertSubject
	case byIssuer:
		name = e.CertIssuer
	case byBasicAuth:
		name = e.User
	case byCustomValue:
		name = e.Role
	}
	if name == "" {
		return l.byDefault
	}
	if r := l.roles[name]; r != nil {
		return r
	}
	return l.unknown
}

// auth is http_auth.
func (l *library) auth(e *hooks.HTTPEvent) hooks.Status {
	if l.requireTLS && !e.TLS {
		e.Status, e.Body = http.StatusUnauthorized, body(http.StatusUnauthorized)
		l.log.Warn("RBAC_TLS_REQUIRED a request without TLS is refused", "from", e.Remote)
		return hooks.Drop
	}
	if r := l.roleOf(e); e.Command == "" || !r.accepts(e.Command) {
		e.Status, e.Body = http.StatusForbidden, body(http.StatusForbidden)
		l.log.Warn("RBAC_REJECT a command is refused", "command", clip(e.Command), "role", r.name, "from", e.Remote)
		return hooks.Drop
	}
	return hooks.Continue
}

// response is http_response: the role's filters are applied.
func (l *library) response(e *hooks.HTTPEvent) hooks.Status {
	r := l.roleOf(e)
	if r.filterList && e.Command == "list-commands" {
		if b, ok := filterList(e.Body, r); ok {
			e.Body = b
		}
	}
	return hooks.Continue
}

// filterList takes the commands that the role does not accept out of the answer
// to list-commands.
func filterList(answer []byte, r *role) ([]byte, bool) {
	var list []map[string]json.RawMessage
	if json.Unmarshal(answer, &list) != nil {
		return nil, false
	}
	for _, a := range list {
		var names []string
		if json.Unmarshal(a["arguments"], &names) != nil {
			continue
		}
		kept := make([]string, 0, len(names))
		for _, n := range names {
			if r.accepts(n) {
				kept = append(kept, n)
			}
		}
		b, err := json.Marshal(kept)
		if err != nil {
			return nil, false
		}
		a["arguments"] = b
	}
	out, err := json.Marshal(list)
	return out, err == nil
}

// body is the answer to a request that is refused.
func body(status int) []byte {
	return fmt.Appendf(nil, `{"result":%d,"text":"%s"}`, status, http.StatusText(status))
}

// clip keeps what a stranger sends out of the log in length.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}
