package slowpath

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peregrine-dhcp/peregrine/slowpath/config"
	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// secretKeys are keys whose values are nobody's business.
var secretKeys = []string{"password", "tsig-secret", "access-token"}

// withSecrets calls f with v after a secret was put into each of its maps, at any
// depth: under each of secretKeys, as text, in a list and in a map.
func withSecrets(v json.RawMessage, secret string, f func(path string, changed json.RawMessage)) {
	switch v = bytes.TrimSpace(v); v[0] {
	case '{':
		var m map[string]json.RawMessage
		if json.Unmarshal(v, &m) != nil {
			return
		}
		with := func(name string, value json.RawMessage) json.RawMessage {
			c := maps.Clone(m)
			c[name] = value
			out, err := json.Marshal(c)
			if err != nil {
				panic(err) // all parts are JSON
			}
			return out
		}
		for i, k := range secretKeys {
			shape := []string{`%q`, `[%q]`, `{"inner": %q}`}[i%3]
			f(k, with(k, json.RawMessage(fmt.Sprintf(shape, secret))))
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			withSecrets(m[k], secret, func(path string, changed json.RawMessage) { f(k+"/"+path, with(k, changed)) })
		}
	case '[':
		var l []json.RawMessage
		if json.Unmarshal(v, &l) != nil {
			return
		}
		for i := range l {
			withSecrets(l[i], secret, func(path string, changed json.RawMessage) {
				c := slices.Clone(l)
				c[i] = changed
				out, err := json.Marshal(c)
				if err != nil {
					panic(err)
				}
				f(fmt.Sprintf("%d/%s", i, path), out)
			})
		}
	}
}

// Whatever command a secret is given to, and wherever in its arguments, it is
// neither logged, at the finest level, nor told by an error, nor by config-get.
func TestNoCommandTellsSecrets(t *testing.T) {
	for _, family := range []string{"4", "6"} {
		t.Run("Dhcp"+family, func(t *testing.T) { testCommandSecrets(t, family) })
	}
}

func testCommandSecrets(t *testing.T, family string) {
	const secret = "s3cr3t-of-commands"
	const own = "s3cr3t-of-the-server"
	dir := t.TempDir()
	t.Setenv("KEA_DHCP_DATA_DIR", dir)
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte("s3cr3t-of-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := fmt.Sprintf(`{ "socket-type": "http", "socket-address": "127.0.0.1", "socket-port": %d,
		"authentication": { "type": "basic", "clients": [ { "user": "admin", "password": %q }, { "user": "other", "password-file": %q } ] } }`, freePort(t), own, file)
	more := librariesKey("lease_cmds", "host_cmds", "subnet_cmds", "class_cmds", "stat_cmds", "perfmon", "host_cache") + fmt.Sprintf(`"user-context": { "api-token": %q },`, own)
	text := strings.Replace(testConfig(dir, more, ""), `"control-sockets": [`, `"control-sockets": [ `+socket+`,`, 1)
	if family == "6" {
		text = testConfig6(dir, "", more+`"control-sockets": [ `+socket+` ],`, true)
	}
	var log bytes.Buffer
	o := hookOptions()
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 99}))
	o.ConfigFile = filepath.Join(dir, "kea.conf")
	o.Shutdown = func(int) {}
	o.Load = func(string) (*config.Snapshot, error) { return parse(t, text), nil }
	b := newBed(t, text, o)
	registry := b.s.registry
	if family == "6" {
		registry = b.s.six.registry
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(parse(t, text).Given, &given); err != nil {
		t.Fatal(err)
	}
	tells := func(s []byte) bool { return bytes.Contains(s, []byte("s3cr3t")) }
	ran, audited := 0, 0
	run := func(what, name string, args json.RawMessage) {
		r := registry.Run(context.Background(), &control.Call{Command: name, Arguments: args})
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		ran++
		// What a client has stored with a lease or a host is given back to it.
		if tells([]byte(r.Text)) || (r.Result != control.ResultSuccess || strings.HasPrefix(name, "config-")) && tells(raw) {
			t.Errorf("%s: the answer tells it: %s", what, raw)
		}
		if tells(log.Bytes()) {
			t.Errorf("%s: the log tells it: %s", what, log.Bytes())
		}
		if writes, _ := registry.Mutates(name); writes && !strings.Contains(log.String(), "COMMAND_RECEIVED") {
			t.Errorf("%s is not logged", what)
		} else if writes {
			audited++
		}
		log.Reset()
	}
	commands := append(slices.Clone(keaCommands["both"]), keaCommands["Dhcp"+family]...)
	commands = append(commands, keaSubnetCommands...)
	for _, k := range commands {
		k := k.in(family)
		good := strings.ReplaceAll(k.good, "CONFIG", string(given["Dhcp"+family]))
		if good == "" {
			good = "{}"
		}
		withSecrets(json.RawMessage(good), secret, func(path string, changed json.RawMessage) { run(k.name+" with "+path, k.name, changed) })
		run(k.name, k.name, json.RawMessage(good))
		run("config-get after "+k.name, "config-get", nil)
	}
	// In words of a configuration that cannot be.
	part := string(given["Dhcp"+family])
	for what, bad := range map[string]string{
		"type":      strings.Replace(part, `"`+own+`"`, `["`+own+`"]`, 1),
		"twice":     strings.Replace(part, `"password":`, `"password": "`+secret+`", "password":`, 1),
		"key":       strings.Replace(part, `"password":`, `"passwort": "x", "password":`, 1),
		"parameter": strings.Replace(part, `libdhcp_perfmon.so"`, `libdhcp_perfmon.so", "parameters": { "password": "`+secret+`" }`, 1),
		"database":  strings.Replace(part, `"memfile"`, `"mysql", "password": "`+secret+`"`, 1),
		"hosts":     `{ "hosts-databases": [ { "type": "postgresql", "password": "` + secret + `" } ], ` + part[1:],
		"cut":       part[:strings.Index(part, own)+5],
	} {
		if bad == part {
			t.Errorf("%s: nothing was changed in %s", what, part)
		}
		run("config-test, "+what, "config-test", json.RawMessage(`{"Dhcp`+family+`": `+bad+`}`))
		run("config-set, "+what, "config-set", json.RawMessage(`{"Dhcp`+family+`": `+bad+`}`))
	}
	b.close()
	if tells(log.Bytes()) {
		t.Errorf("the end is logged with it: %s", log.Bytes())
	}
	if ran < 500 || audited < 200 {
		t.Errorf("%d commands were tried, %d of them logged", ran, audited)
	}
}
