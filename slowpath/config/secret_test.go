package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// tells says whether a message shows a piece of the secret that is worth
// something.
func tells(message, secret string) bool {
	const piece = 4
	for i := range len(secret) - piece + 1 {
		if strings.Contains(message, secret[i:i+piece]) {
			return true
		}
	}
	return false
}

// However a configuration is broken near a password, no message shows a piece of
// it: messages go to logs, and to whoever sent a command.
func TestMessagesDoNotTellSecrets(t *testing.T) {
	for _, secret := range []string{"hunt3rVQZ77xy", "77012345678901"} {
		text := `{ "Dhcp4": { "interfaces-config": { "interfaces": [ ] }, "control-sockets": [ { "socket-type": "http",
  "socket-address": "127.0.0.1", "socket-port": 18000, "authentication": { "type": "basic", "clients": [
  { "user": "admin", "password": "` + secret + `" }, { "password":
"` + secret + `", "user": "two" } ] } } ],
  "lease-database": { "type": "mysql", "password": "` + secret + `", "name": "kea" },
  "user-context": { "shared-secret": "` + secret + `", "api-token": [ "` + secret + `" ] } } }`
		from := strings.Index(text, `"clients"`)
		broken := 0
		check := func(what, text string) {
			_, warnings, err := parseForMessages(text)
			messages := strings.Join(warnings, "\n")
			if err != nil {
				broken++
				messages += "\n" + err.Error()
			}
			if tells(messages, secret) {
				t.Errorf("%s: %s", what, messages)
			}
		}
		check("as it is", text)
		for i := from; i < len(text); i++ {
			check("without octet "+text[i:i+1], text[:i]+text[i+1:])
			check("cut", text[:i])
			for _, c := range "\"{,:#\\0\n" {
				check("with another "+string(c), text[:i]+string(c)+text[i:])
			}
		}
		for _, value := range []string{secret, "[ \"" + secret + "\" ]", "{ \"" + secret + "\": 1 }", "{ \"a\": \"" + secret + "\" }", "\"" + secret + "\" \"" + secret + "\"", "{ \"" + secret + "\" }", "{ \"" + secret + "\": 1, \"" + secret + "\": 1 }"} {
			check("as "+value, strings.ReplaceAll(text, `"`+secret+`"`, value))
		}
		if broken < 1000 {
			t.Errorf("only %d of the texts were refused", broken)
		}
	}
}

func parseForMessages(text string) (*Snapshot, []string, error) {
	s, err := Parse("kea.conf", []byte(text), LoadOptions{})
	var warnings []string
	if s != nil {
		for _, w := range s.Warnings {
			warnings = append(warnings, fmt.Sprint(w))
		}
	}
	return s, warnings, err
}

// A file that a password is included from is as secret.
func TestMessagesDoNotTellIncludedSecrets(t *testing.T) {
	const secret = "hunt3rVQZ77xy"
	for _, file := range []string{secret, `"` + secret + `" "` + secret + `"`, secret + "\n", "[ " + secret + " ]", `"` + secret} {
		o := LoadOptions{ReadFile: func(name string, limit int64) ([]byte, error) {
			if name != "pw" {
				return nil, os.ErrNotExist
			}
			return []byte(file), nil
		}}
		_, err := Parse("kea.conf", []byte(`{ "Dhcp4": { "user-context": { "password": <?include "pw"?> } } }`), o)
		if err == nil || errors.Is(err, os.ErrNotExist) || tells(err.Error(), secret) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
