package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
)

// TestPathsAreConfined: with Kea's variables set, files may be named in their
// directories only.
func TestPathsAreConfined(t *testing.T) {
	for _, c := range []struct {
		name, env, dir, text string
		lenient              bool
		want                 string // "" is accepted
	}{
		{"lease file, inside", "KEA_DHCP_DATA_DIR", "/d/", `"lease-database": { "type": "memfile", "name": "/d/a.csv" }`, false, ""},
		{"lease file, a name", "KEA_DHCP_DATA_DIR", "/d", `"lease-database": { "type": "memfile", "name": "a.csv" }`, false, ""},
		{"lease file, outside", "KEA_DHCP_DATA_DIR", "/d", `"lease-database": { "type": "memfile", "name": "/tmp/a.csv" }`, false,
			"Unable to open database: invalid path specified: '/tmp', supported path is '/d'"},
		{"lease file, below", "KEA_DHCP_DATA_DIR", "/d", `"lease-database": { "type": "memfile", "name": "/d/x/../../etc/a.csv" }`, false, "invalid path specified: '/etc'"},
		{"lease file, lenient", "KEA_DHCP_DATA_DIR", "/d", `"lease-database": { "type": "memfile", "name": "/tmp/a.csv" }`, true, ""},
		{"lease file, no variable", "", "", `"lease-database": { "type": "memfile", "name": "/tmp/a.csv" }`, false, ""},
		{"socket, outside", "KEA_CONTROL_SOCKET_DIR", "/s", `"control-sockets": [ { "socket-type": "unix", "socket-name": "/tmp/s" } ]`, false,
			"'socket-name' is invalid: invalid path specified: '/tmp'"},
		{"socket, a name", "KEA_CONTROL_SOCKET_DIR", "/s", `"control-sockets": [ { "socket-type": "unix", "socket-name": "s" } ]`, false, ""},
		{"log, outside", "KEA_LOG_FILE_DIR", "/l", `"loggers": [ { "name": "kea-dhcp4", "output-options": [ { "output": "/tmp/log" } ] } ]`, false, "invalid path specified: '/tmp'"},
		{"log, none", "KEA_LOG_FILE_DIR", "/l", `"loggers": [ { "name": "kea-dhcp4", "output-options": [ { "output": "stdout" }, { "output": "syslog:x" } ] } ]`, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range []string{"KEA_DHCP_DATA_DIR", "KEA_CONTROL_SOCKET_DIR", "KEA_LOG_FILE_DIR"} {
				t.Setenv(v, "")
			}
			if c.env != "" {
				t.Setenv(c.env, c.dir)
			}
			for _, part := range []string{"Dhcp4", "Dhcp6"} {
				text := strings.ReplaceAll(c.text, "kea-dhcp4", "kea-"+strings.ToLower(part))
				text = `{ "` + part + `": { ` + text + ` } }`
				snap, err := config.Parse("kea.conf", []byte(text), loadOptions(c.lenient))
				if err != nil {
					t.Fatal(err)
				}
				warned := len(snap.Warnings)
				err = confine(snap, c.lenient)
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), wherePath(text))) {
					t.Errorf("%s: error is %v, want %q", part, err, c.want)
				}
				if c.lenient && len(snap.Warnings) != warned+1 {
					t.Errorf("%s: warnings are %q, want one more", part, snap.Warnings)
				}
			}
		})
	}
}

// wherePath is where text names the path that is a test's fault.
func wherePath(text string) string {
	for _, p := range []string{`"/tmp`, `"/d/x`} {
		if i := strings.Index(text, p); i >= 0 {
			return fmt.Sprintf("kea.conf:1:%d: ", i+1)
		}
	}
	return ""
}
