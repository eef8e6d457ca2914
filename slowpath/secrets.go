package slowpath

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/peregrine-dhcp/peregrine/slowpath/control"
)

// What config-get shows has its secrets hidden. Whoever gives it back to
// config-set, as the editors of configurations do, gives the hidden ones back
// too: they stand for those in force at the same place.

// keepSecrets puts the secrets of old, the configuration in force in full, where
// text, a new one, has them hidden. What has no counterpart stays hidden, which
// is no password that the configuration takes.
func keepSecrets(text, old json.RawMessage) json.RawMessage {
	if !bytes.Contains(text, []byte(`"`+control.Hidden+`"`)) {
		return text
	}
	var n, o any
	if readNumbers(text, &n) != nil || readNumbers(old, &o) != nil {
		return text
	}
	keepValues(n, o)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(n) != nil {
		return text
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

func readNumbers(text json.RawMessage, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

func keepValues(n, old any) {
	switch n := n.(type) {
	case map[string]any:
		o, _ := old.(map[string]any)
		for k, v := range n {
			if was, has := o[k]; has && control.IsSecret(k) && v == control.Hidden {
				n[k] = was
				continue
			}
			keepValues(v, o[k])
		}
	case []any:
		o, _ := old.([]any)
		for i, v := range n {
			keepValues(v, counterpart(v, o, i))
		}
	}
}

// identities are keys that tell the elements of a list apart.
var identities = []string{"id", "user", "user-file", "name", "socket-name", "socket-type", "socket-address", "socket-port", "library"}

// counterpart is the element of old that element i of a list was: one with the
// same identity, or where it has none the one at its place. nil: there is none.
func counterpart(v any, old []any, i int) any {
	m, ok := v.(map[string]any)
	if !ok {
		if i < len(old) {
			return old[i]
		}
		return nil
	}
	named := false
	for _, k := range identities {
		if _, has := m[k]; has {
			named = true
		}
	}
	if !named {
		if i < len(old) {
			return old[i]
		}
		return nil
	}
	for _, x := range old {
		o, ok := x.(map[string]any)
		if !ok {
			continue
		}
		same := true
		for _, k := range identities {
			same = same && reflect.DeepEqual(m[k], o[k])
		}
		if same {
			return o
		}
	}
	// One that was changed: a socket with another port, say.
	if i < len(old) {
		if o, ok := old[i].(map[string]any); ok && reflect.DeepEqual(m["user"], o["user"]) && reflect.DeepEqual(m["id"], o["id"]) && reflect.DeepEqual(m["library"], o["library"]) {
			return o
		}
	}
	return nil
}
